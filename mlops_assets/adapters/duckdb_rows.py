"""DuckDB as the engine of rows: expressions become its SQL, and run in a stream on this machine.

Here belongs how DuckDB is given them. How it is set up belongs to `engine`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from mlops_assets.adapters.engine import number
from mlops_assets.adapters.table_files import reading_from, types_of, write_parquet
from mlops_assets.adapters.window_tables import Reading
from mlops_assets.domain.duckdb_functions import functions_in
from mlops_assets.domain.sql import parquet_files, quoted

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir


class DuckdbRows:
    """A row engine over a connection, in which `window_tables` may have made a window's tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._numbers = count()

    def landed(self, reading: Reading) -> "ir.Table":  # noqa: ARG002 -- they stand in the connection
        """The view `landed`."""
        return self.table("landed")

    def of_file(self, file: Path, types: Mapping[str, str]) -> "ir.Table":  # noqa: ARG002 -- it knows them
        """Read where it lies."""
        return self.parquet(file)

    def reading_from(self, of: str) -> AbstractContextManager[None]:
        """With DuckDB's own words."""
        return reading_from(of)

    def unreadable_lines(self) -> "ir.Table | None":
        """The table `unreadable_lines`, where it holds any."""
        name = "unreadable_lines"
        return self.table(name) if number(self._connection, f"SELECT count(*) FROM {name}") else None

    def parquet(self, *paths: Path, file_column: str | None = None) -> "ir.Table":
        """The files as one view."""
        return self.of_query(f"SELECT * FROM {parquet_files(*paths, file_column=file_column)}")

    def named(self, name: str, rows: "ir.Table") -> "ir.Table":
        """A view."""
        self._connection.execute(f"CREATE VIEW {quoted(name)} AS {self.sql(rows)}")
        return self.table(name)

    def kept(self, name: str, rows: "ir.Table") -> "ir.Table":
        """A table in memory."""
        self._connection.execute(f"CREATE TABLE {quoted(name)} AS {self.sql(rows)}")
        return self.table(name)

    def suspects(self, rows: "ir.Table", column: str) -> "ir.Table":
        """By a hash of 8 bytes, which costs a tenth of the memory of the values.

        Sorted hashes meet their equals as neighbours: of 10 M ids that takes 320 MB, grouping them 520 MB and no less
        time.
        """
        values = rows.filter(rows[column].notnull()).select(column)
        value = quoted(column)
        self._connection.execute(
            "CREATE TABLE suspected AS SELECT DISTINCT h FROM (SELECT h, lag(h) OVER (ORDER BY h) AS before "
            f"FROM (SELECT hash({value}) AS h FROM ({self.sql(values)}))) WHERE h = before"
        )
        if not number(self._connection, "SELECT count(*) FROM suspected"):
            return values.limit(0)
        self._connection.execute(
            f"CREATE VIEW suspects AS SELECT * FROM ({self.sql(values)}) WHERE hash({value}) IN (FROM suspected)"
        )
        return self.table("suspects")

    def write(self, rows: "ir.Table", path: Path, *, of: str) -> int:
        """One file, whatever its size."""
        return write_parquet(self._connection, self.sql(rows), path, of=of)

    def answers(self, rows: "ir.Table") -> list[tuple[Any, ...]]:
        """All of them."""
        return self._connection.execute(self.sql(rows)).fetchall()

    def frame(self, rows: "ir.Table") -> pd.DataFrame:
        """All of them."""
        frame: pd.DataFrame = self._connection.sql(self.sql(rows)).df()
        return frame

    def of_query(self, query: str) -> "ir.Table":
        """What DuckDB answers to a query, as a view."""
        name = f"query{next(self._numbers)}"
        self._connection.execute(f"CREATE VIEW {name} AS {query}")
        return self.table(name)

    def table(self, name: str) -> "ir.Table":
        """A table or view of the connection, for expressions to speak of."""
        import ibis

        types = types_of(self._connection, quoted(name))
        return ibis.table({column: data_type(kind) for column, kind in types.items()}, name=name)

    def sql(self, rows: "ir.Table") -> str:
        """A query for the rows; what it calls by name, the connection knows from here on."""
        from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

        for function in functions_in(rows):
            self._connection.execute(f"CREATE OR REPLACE MACRO {function.name}(x) AS {function.sql}")
        return str(DuckDBCompiler().to_sqlglot(rows).sql(dialect="duckdb", copy=False))


def data_type(kind: str) -> "dt.DataType":
    """A type of DuckDB's as Ibis knows it; what Ibis has no word for is of unknown type, which can be read as text."""
    import ibis.expr.datatypes as dt
    from ibis.backends.sql.datatypes import DuckDBType

    if kind.startswith(("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMP_NS WITH TIME ZONE")):
        return dt.Timestamp(timezone="UTC", scale=9)
    found: dt.DataType = DuckDBType.from_string(kind)
    return dt.null if kind == '"NULL"' else found

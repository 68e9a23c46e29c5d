"""Spark as the engine of rows: expressions become its SQL, and run in parts on as many machines as it has.

Here belongs how Spark is given them, and how its workers ask DuckDB for what a text or number means. Files of a landed
window are read where they lie, so every worker must see them under the same path.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import pandas as pd
import pyarrow as pa

from mlops_assets.adapters.engine import number
from mlops_assets.adapters.table_files import DISK_FAULTS, write_parquet
from mlops_assets.adapters.window_tables import Reading
from mlops_assets.domain.duckdb_functions import DuckdbFunction, functions_in
from mlops_assets.domain.sql import parquet_files, quoted
from mlops_assets.domain.windows import WindowUnfit

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from pyspark.sql import DataFrame, SparkSession

ALIKE = ("VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP")
"""DuckDB's types of Parquet columns that Spark reads as the same values; so are decimals and times with a zone."""
ALIKE_AS = {
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20, 0)",
    "HUGEINT": "DECIMAL(38, 0)",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMPTZ_NS": "TIMESTAMPTZ",
    '"NULL"': "INTEGER",
}
"""What others are written as; what is not named here, as text."""
GIVES = {"string": "string", "float64": "double", "boolean": "boolean", "int32": "int", "timestamp": "bigint"}
BROKEN_FILE = ("FAILED_READ_FILE", "INVALID_UTF8_STRING", "CANNOT_READ_FILE_FOOTER")
"""Spark's words for files that cannot be read to their end."""
LAST_MICROSECOND = 2**63 - 1
"""What stands for an infinite time in Parquet, and its negative for the other end."""


class SparkRows:
    """A row engine over a session.

    Args:
        session: Spark.
        connection: DuckDB, in which `window_tables` made a window's tables.
        folder: Where intermediate files may be written.
    """

    def __init__(self, session: "SparkSession", connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        import ibis

        self._session = session
        self._ibis = ibis.pyspark.connect(session)
        self._connection = connection
        self._folder = folder
        self._known: set[DuckdbFunction] = set()

    def landed(self, reading: Reading) -> "ir.Table":
        """The file that `window_tables` names, with what a window of one table lacks."""
        rows = self.of_file(reading.file, reading.types)
        if "_label" in rows.columns:
            return rows
        import ibis

        return rows.mutate(_label=ibis.null("string"), _is_contradictory=ibis.literal(False))

    def of_file(self, file: Path, types: Mapping[str, str]) -> "ir.Table":
        """Read where it lies, if both engines read its types alike; else DuckDB writes it in types that are."""
        if all(_is_alike(kind) for kind in types.values()):
            return self._view("landed", _of_whole_letters(self._read(file)))
        columns = ", ".join(_alike(name, kind) for name, kind in types.items())
        return self._written_by_duckdb(
            f"SELECT {columns}, * EXCLUDE ({', '.join(map(quoted, types))}) FROM {parquet_files(file)}", file.name
        )

    @contextmanager
    def reading_from(self, of: str) -> Iterator[None]:
        """With Spark's own words."""
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        try:
            yield
        except (PySparkException, Py4JJavaError) as error:  # the second where PySpark knows no class of its own for it
            said = str(error)
            told = next((line for line in said.splitlines() if any(words in line for words in BROKEN_FILE)), None)
            if told is not None and not any(words in said for words in DISK_FAULTS):
                raise WindowUnfit(f"{of} cannot be read to its end: {told.strip()}") from error
            raise

    def unreadable_lines(self) -> "ir.Table | None":
        """Those that DuckDB found: it alone reads CSV files."""
        name = "unreadable_lines"
        if not number(self._connection, f"SELECT count(*) FROM {name}"):
            return None
        return self._written_by_duckdb(f"SELECT * FROM {name}", name)

    def parquet(self, *paths: Path, file_column: str | None = None) -> "ir.Table":
        """The files as one view."""
        from pyspark.sql import functions

        frames = [self._read(path) for path in paths]
        if file_column:
            named = zip(frames, paths, strict=True)
            frames = [frame.withColumn(file_column, functions.lit(str(path))) for frame, path in named]
        return self._view("files", reduce(lambda one, other: one.unionByName(other), frames))

    def named(self, name: str, rows: "ir.Table") -> "ir.Table":
        """A view of this session."""
        return self._view(name, self.dataframe(rows))

    def kept(self, name: str, rows: "ir.Table") -> "ir.Table":
        """A folder of Parquet files, which any worker can read again."""
        path = self._folder / uuid4().hex
        self.dataframe(rows).write.parquet(_location(path))
        return self._view(name, self._read(path))

    def suspects(self, rows: "ir.Table", column: str) -> "ir.Table":
        """All: Spark groups on as many machines as it has."""
        return rows.filter(rows[column].notnull()).select(column)

    def write(self, rows: "ir.Table", path: Path, *, of: str) -> int:
        """A folder of files, one for each part that a worker had."""
        self.store(self.dataframe(rows), path, of=of)
        return number(self._connection, f"SELECT count(*) FROM {parquet_files(path)}")

    def store(self, found: "DataFrame", path: Path, *, of: str) -> None:
        """The same, of rows that Spark was told how to find.

        Raises:
            WindowUnfit: what is read is broken somewhere.
        """
        with self.reading_from(of):
            found.write.mode("overwrite").parquet(_location(path))

    def answers(self, rows: "ir.Table") -> list[tuple[Any, ...]]:
        """All of them."""
        return [tuple(row) for row in self.dataframe(rows).collect()]

    def frame(self, rows: "ir.Table") -> pd.DataFrame:
        """All of them, with the types that DuckDB gives a frame."""
        found = self.dataframe(rows).toArrow()
        frame: pd.DataFrame = self._connection.from_arrow(found).df()
        return frame

    def dataframe(self, rows: "ir.Table") -> "DataFrame":
        """The rows, not yet found; what the expression calls by name, the session knows from here on."""
        for function in functions_in(rows) - self._known:
            _register(self._session, function)
            self._known.add(function)
        return self._session.sql(self._ibis.compile(rows))

    def _read(self, path: Path) -> "DataFrame":
        return self._session.read.parquet(_location(path, is_read=True))

    def _view(self, name: str, frame: "DataFrame") -> "ir.Table":
        unique = f"{name}_{uuid4().hex}"
        frame.createOrReplaceTempView(unique)
        table: ir.Table = self._ibis.table(unique)
        return table

    def _written_by_duckdb(self, select: str, name: str) -> "ir.Table":
        path = self._folder / f"{uuid4().hex}.parquet"
        write_parquet(self._connection, select, path, of=name)
        return self.parquet(path)


def _of_whole_letters(frame: "DataFrame") -> "DataFrame":
    """The rows, whose reading ends at a text that is no UTF-8: DuckDB refuses such, and Spark looks at no letter."""
    from pyspark.sql import functions
    from pyspark.sql.types import StringType

    texts = [field.name for field in frame.schema if isinstance(field.dataType, StringType)]
    return frame.withColumns({name: functions.validate_utf8(spark_column(name)) for name in texts})


def spark_column(name: str) -> str:
    """A column as Spark takes it by name: a point in it would else part it."""
    return "`" + name.replace("`", "``") + "`"


def _is_alike(kind: str) -> bool:
    return kind in ALIKE or kind == "TIMESTAMP WITH TIME ZONE" or (kind.startswith("DECIMAL") and kind[-1] != "]")


def _alike(name: str, kind: str) -> str:
    column = quoted(name)
    return column if _is_alike(kind) else f"{column}::{ALIKE_AS.get(kind, 'VARCHAR')} AS {column}"


def _location(path: Path, *, is_read: bool = False) -> str:
    """A path as Spark takes it: where it reads, some letters would be a pattern."""
    text = str(path.absolute())
    return "file://" + (
        "".join(f"\\{letter}" if letter in "*?[]{}\\" else letter for letter in text) if is_read else text
    )


def _register(session: "SparkSession", function: DuckdbFunction) -> None:
    """Lets the session know a function, whose workers ask DuckDB for its answers, a batch at a time.

    A time travels as microseconds: a frame has none that are infinite, nor before 1677.
    """
    from pyspark.sql.functions import pandas_udf

    given = function.sql
    if function.gives == "timestamp":
        given = (
            f"CASE WHEN isinf({given}) THEN (CASE WHEN {given} > '2000-01-01'::TIMESTAMP THEN {LAST_MICROSECOND} "
            f"ELSE -{LAST_MICROSECOND} END) ELSE epoch_us({given}) END"
        )
    elif function.gives == "float64":
        given = f"({given})::DOUBLE"  # of numbers written as 1.0 DuckDB makes decimals, which Spark does not take

    def answer(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET threads = 1")
            for batch in batches:
                values = pa.table({"x": _as_arrow(batch)})
                connection.register("given", values)
                answered: pa.Table = connection.execute(f"SELECT {given} AS y FROM given").to_arrow_table()
                yield answered["y"].to_pandas()

    given_back = function.leaves
    called = function.name if function.gives != "timestamp" and given_back is None else f"duckdb_{function.name}"
    session.udf.register(called, pandas_udf(answer, GIVES[function.gives]))
    if function.gives == "timestamp":
        _define(session, function.name, "TIMESTAMP_NTZ", f"CAST(timestamp_micros({called}(x)) AS TIMESTAMP_NTZ)")
    elif given_back is not None:
        asked = f"{called}(CASE WHEN NOT ({given_back}) THEN x END)"
        _define(session, function.name, "STRING", f"CASE WHEN {given_back} THEN x ELSE {asked} END")


def _define(session: "SparkSession", name: str, gives: str, sql: str) -> None:
    """Makes a function of a text that Spark unfolds where it is called."""
    session.sql(f"CREATE OR REPLACE TEMPORARY FUNCTION {name}(x STRING) RETURNS {gives} RETURN {sql}")


def _as_arrow(batch: "pd.Series[Any]") -> pa.Array:
    """Values of a column as DuckDB reads them: texts, or what numbers they are."""
    first = batch.dropna().head(1)
    is_text = batch.dtype == object and not (len(first) and isinstance(first.iloc[0], Decimal))
    return pa.Array.from_pandas(batch, type=pa.string() if is_text else None)

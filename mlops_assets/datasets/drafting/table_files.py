"""Table files as DuckDB reads them in a stream: the columns' names, and the SQL of the rows.

Here belongs what differs between CSV and Parquet. What the columns hold belongs to `facts`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mlops_assets.domain.csv_header import read_header
from mlops_assets.domain.sql import literal, parquet_files, path_literal

SUFFIXES = (".parquet", ".csv")


class DataUnreadable(ValueError):
    """No contract can be drafted from the data; the message says which file, why, and what is expected."""


@dataclass(frozen=True)
class TableFile:
    """A table's file, with its columns under the names c0, c1, ...: a file may name two alike."""

    path: Path
    names: tuple[str, ...]
    types: tuple[str, ...]
    """The engine's types; a CSV file's columns are all text."""
    rows_sql: str
    """What stands behind FROM."""

    @property
    def is_text(self) -> bool:
        """Whether values are known by their texts alone."""
        return self.path.suffix == ".csv"


def open_table(engine: duckdb.DuckDBPyConnection, path: Path) -> TableFile:
    """Reads a file's header.

    Raises:
        DataUnreadable: it has none.
    """
    names = column_names(path)
    columns = ", ".join(f"c{place}" for place in range(len(names)))
    if path.suffix == ".csv":
        texts = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
        # Lines that are no rows are quarantined when the window lands; here they say nothing.
        rows = (
            f"read_csv({path_literal(path)}, hive_partitioning = false, auto_detect = false, header = true, "
            f"delim = {literal(_csv_header(path)[1])}, quote = '\"', escape = '\"', ignore_errors = true, "
            f"columns = {{{texts}}}) AS t({columns})"
        )
        return TableFile(path, names, ("VARCHAR",) * len(names), rows)
    rows = f"{parquet_files(path)} AS t({columns})"
    types = tuple(kind for _, kind, *_ in engine.execute(f"DESCRIBE FROM {rows}").fetchall())
    return TableFile(path, names, types, rows)


def column_names(path: Path) -> tuple[str, ...]:
    """The names of a file's columns, as they are written in it.

    Raises:
        DataUnreadable: it cannot be read, or has none.
    """
    try:
        names = tuple(_csv_header(path)[0]) if path.suffix == ".csv" else _parquet_names(path)
    except (OSError, UnicodeDecodeError, csv.Error, duckdb.Error) as error:
        reason = str(error).splitlines()[0]
        raise DataUnreadable(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from error
    if not names:
        raise DataUnreadable(f"{path} is empty; its first line names the columns")
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataUnreadable(f"{path} names the column {twice[0]!r} twice; rename one")
    return names


def _csv_header(path: Path) -> tuple[list[str], str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return read_header(file)


def _parquet_names(path: Path) -> tuple[str, ...]:
    with duckdb.connect() as engine:
        schema = engine.execute(f"SELECT name, num_children FROM parquet_schema({path_literal(path)})").fetchall()
    # The schema is a tree, written depth first: names of nested fields are no columns.
    names: list[str] = []
    open_below = [schema[0][1] or 0]
    for name, children in schema[1:]:
        while open_below and open_below[-1] == 0:
            open_below.pop()
        if len(open_below) == 1:
            names.append(name)
        open_below[-1] -= 1
        open_below.append(children or 0)
    return tuple(names)

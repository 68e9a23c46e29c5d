"""The engine that reads and writes windows in a stream: DuckDB, with bounded memory and the same answers everywhere.

Here belongs how it is set up. What is asked of it stands in the modules that read, judge and store windows.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

MEMORY_MB = 768
"""What DuckDB may hold; more goes to temporary files beside the windows. The process itself comes on top."""
MOST_THREADS = 4
"""Each thread holds a row group, so memory grows with them: without a limit, with a machine's cores."""
LARGE_ROW_GROUP_MB = 128
"""Unpacked; of larger ones one thread holds one at a time, 2 to 2.5 times its size (measured at 250 MB)."""


@contextmanager
def engine(spill: Path | None = None, *, memory_mb: int = MEMORY_MB) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory, for one piece of work.

    Args:
        spill: Folder on whose disk temporary files may be made; the system's own where none is given.
        memory_mb: The limit.
    """
    with TemporaryDirectory(prefix=".spill-", dir=spill) as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{memory_mb:d}MB'")
        connection.execute(f"SET threads = {min(MOST_THREADS, os.cpu_count() or 1):d}")
        connection.execute("SET temp_directory = $folder", {"folder": folder})
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET TimeZone = 'UTC'")  # a split key that is a time must read the same on every machine
        # Rows are told apart by their ids and never by their place; keeping their order would hold row groups back.
        connection.execute("SET preserve_insertion_order = false")
        # Parquet's statistics leave NaN out, and DuckDB 2.0 concludes from them that isnan() is false. And it turns
        # `IN` lists of more than five texts into joins, for which every column is read: ten times slower on CSV.
        connection.execute("SET disabled_optimizers = 'statistics_propagation,in_clause'")
        yield connection


def make_room(connection: duckdb.DuckDBPyConnection, *, row_group_mb: float) -> None:
    """Lets the engine read row groups of this size: memory follows the largest of them, and never their number."""
    if row_group_mb > LARGE_ROW_GROUP_MB:
        connection.execute("SET threads = 1")
        connection.execute(f"SET memory_limit = '{MEMORY_MB + 2.5 * row_group_mb:.0f}MB'")


def first_line(error: duckdb.Error) -> str:
    """DuckDB's own words, without the query that follows them."""
    return str(error).splitlines()[0]


def number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one whole number that a query gives."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0

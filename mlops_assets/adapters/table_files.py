"""Reads one file of a landed window as a table: Parquet in place, CSV as columns of text.

Here belongs what can be wrong with a file as a whole, or with a line of it. How tables become a window belongs to
`window_tables`.
"""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mlops_assets.adapters.engine import first_line, number
from mlops_assets.adapters.landing.landed_window import TableFile
from mlops_assets.domain.csv_header import read_header
from mlops_assets.domain.sql import literal, literals, parquet_files, path_literal, quoted
from mlops_assets.domain.windows import WindowUnfit

ROW_GROUP_LIMIT = 1 << 30
"""Bytes that the wanted columns of one row group may unpack to: a reader holds one, whatever the file's size."""
VALUE_LIMIT = 1 << 16
"""Bytes that a column's values may have on average: the engine holds 2,048 of them, whatever its limit says."""
HEADER_LIMIT = 1 << 20
"""Bytes in which the first line of a CSV file must end."""
LINE_LIMIT = 1 << 21
"""Bytes that a line of a CSV file may have."""
DISK_FAULTS = ("No space left on device", "Could not write file", "failed to offload data block")
"""The engine's words where this machine's disk has no room: for a file, or for what memory does not hold."""


@dataclass(frozen=True)
class Table:
    """A table that the engine can read."""

    name: str
    """How a user knows it."""
    file: Path
    """A Parquet file of it."""
    types: dict[str, str]
    """The engine's type by column."""
    is_text: bool
    """Whether it was a CSV file, where every value is a text yet to be read."""
    row_group_mb: float = 0
    """What the wanted columns of its largest row group unpack to, where somebody else wrote them."""

    @property
    def sql(self) -> str:
        """What stands behind FROM."""
        return parquet_files(self.file)


def read_file(
    connection: duckdb.DuckDBPyConnection, file: TableFile, folder: Path, *, wanted: Collection[str]
) -> Table:
    """The file as a table; lines of it that are no rows are added to the table `unreadable_lines`.

    Args:
        connection: The engine, with a table `unreadable_lines (_table, _line_number, _line)`.
        file: The file.
        folder: Where a CSV file is rewritten as Parquet.
        wanted: The columns that will be read of it.

    Raises:
        WindowUnfit: it cannot be read as what its name says, or not to its end.
    """
    return (
        _read_parquet(connection, file, wanted)
        if file.format == "parquet"
        else _read_csv(connection, file, folder, wanted)
    )


def types_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """The engine's type by column, of what stands behind FROM."""
    return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


@contextmanager
def reading_from(of: str) -> Iterator[None]:
    """For queries that read what landed, which the user knows as `of`.

    Raises:
        WindowUnfit: it is broken somewhere. A full disk is no fault of the window: that error stays what it is.
    """
    try:
        yield
    except duckdb.Error as error:
        if any(words in str(error) for words in DISK_FAULTS):
            raise
        if isinstance(error, duckdb.OutOfMemoryException):
            raise WindowUnfit(f"{of} needs more memory than its rows should: {first_line(error)}") from error
        raise WindowUnfit(f"{of} cannot be read to its end: {first_line(error)}") from error


def write_parquet(connection: duckdb.DuckDBPyConnection, select: str, path: Path, *, of: str) -> int:
    """Streams a query into a Parquet file and gives the number of its rows.

    Raises:
        WindowUnfit: what is read, which the user knows as `of`, is broken somewhere.
    """
    with reading_from(of):
        # Rows of long texts fill a row group long before their number does.
        form = "FORMAT parquet, ROW_GROUP_SIZE_BYTES '128MB'"
        return number(connection, f"COPY ({select}) TO {literal(str(path))} ({form})")


def _read_parquet(connection: duckdb.DuckDBPyConnection, file: TableFile, wanted: Collection[str]) -> Table:
    source = parquet_files(file.path)
    try:
        row_group, value = _largest(connection, file.path, wanted)
        types = types_of(connection, source)
    except (duckdb.Error, UnicodeDecodeError) as error:
        words = first_line(error) if isinstance(error, duckdb.Error) else str(error)
        raise WindowUnfit(f"{file.name} cannot be read as Parquet: {words}") from error
    if row_group > ROW_GROUP_LIMIT:
        raise WindowUnfit(
            f"{file.name} has a row group that unpacks to {row_group / 1e6:,.0f} MB, {ROW_GROUP_LIMIT / 1e6:,.0f} MB "
            "are read at most: write it in smaller row groups"
        )
    if value > VALUE_LIMIT:
        raise WindowUnfit(
            f"{file.name} has a column with values of {value / 1e3:,.0f} kB, {VALUE_LIMIT / 1e3:,.0f} kB are read at "
            "most: no feature, id or label is of that size"
        )
    return Table(file.name, file.path, types, is_text=False, row_group_mb=row_group / 1e6)


def _largest(connection: duckdb.DuckDBPyConnection, path: Path, wanted: Collection[str]) -> tuple[int, int]:
    """Bytes of the largest row group, and of the values of a row group's column on average, by the file's footer."""
    found = connection.execute(
        "SELECT coalesce(max(bytes), 0)::BIGINT, coalesce(max(value), 0)::BIGINT FROM ("
        "SELECT sum(total_uncompressed_size) AS bytes, max(total_uncompressed_size / greatest(num_values, 1)) AS value "
        f"FROM parquet_metadata({path_literal(path)}) "
        f"WHERE split_part(path_in_schema, ', ', 1) IN ({literals(wanted)}) GROUP BY row_group_id)"
    ).fetchone()
    return found or (0, 0)


def _read_csv(connection: duckdb.DuckDBPyConnection, file: TableFile, folder: Path, wanted: Collection[str]) -> Table:
    """Rewrites it as Parquet with columns of text: so it is parsed once, and its bad lines are known."""
    names, delimiter = _header(file)
    rewritten = folder / f"{file.sha256}.parquet"
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    kept = ", ".join(quoted(name) for name in names if name in wanted) or "NULL AS _none"
    read = (
        f"SELECT {kept} FROM read_csv({path_literal(file.path)}, hive_partitioning = false, "
        f"header = true, auto_detect = false, columns = {{{columns}}}, delim = {literal(delimiter)}, "
        f"quote = '\"', escape = '\"', nullstr = '', max_line_size = {LINE_LIMIT:d}, "
        "store_rejects = true, rejects_limit = 0)"
    )
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    write_parquet(connection, read, rewritten, of=file.name)
    if at := number(
        connection,
        "SELECT min(line) FROM reject_errors WHERE error_type = 'UNQUOTED VALUE' AND contains(csv_line, chr(10))",
    ):
        raise WindowUnfit(f"{file.name}, line {at}: a quote is opened and not closed, which hides what follows")
    connection.execute(
        "INSERT INTO unreadable_lines SELECT $name, line, any_value(csv_line) FROM reject_errors GROUP BY line",
        {"name": file.name},
    )
    return Table(file.name, rewritten, dict.fromkeys(names, "VARCHAR"), is_text=True)


def _header(file: TableFile) -> tuple[list[str], str]:
    """The names of a CSV file's columns, and the delimiter between them."""
    with file.path.open("rb") as opened:
        head = opened.read(HEADER_LIMIT)
        opened.seek(max(0, opened.seek(0, 2) - 1))
        end = opened.read()
    if not head:
        raise WindowUnfit(f"{file.name} is empty")
    if b"\0" in head.splitlines()[0]:  # as UTF-16 has them; its last byte would be taken for a cut
        raise WindowUnfit(f"{file.name} is not UTF-8 text: its first line holds zero bytes, as UTF-16 does")
    try:
        text = head.splitlines()[0].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WindowUnfit(f"{file.name} is not UTF-8 text: {error.reason} in its first line") from error
    if end not in (b"\n", b"\r"):
        raise WindowUnfit(f"{file.name} does not end with a line end: it may have been cut off; send it anew, whole")
    names, delimiter = read_header(io.StringIO(text, newline=""))
    lower = [name.lower() for name in names]
    if twice := [name for name in names if lower.count(name.lower()) > 1]:
        raise WindowUnfit(f"{file.name}: the column {twice[0]!r} stands twice in its first line")
    if not names or "" in names:
        at = names.index("") + 1 if names else 1
        raise WindowUnfit(f"{file.name}: column {at} has no name in its first line")
    return names, delimiter

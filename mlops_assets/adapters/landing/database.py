"""A SQL database where windows land: the rows of each of the contract's tables that name a window in one column.

A window is fetched in one transaction, into Parquet files. Looking for windows belongs to `database_windows`, types to
`database_rows`, connecting and errors to `database_connection`.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.adapters.landing.database_connection import DatabaseConnection
from mlops_assets.adapters.landing.database_rows import ROWS_AT_ONCE, can_be_ordered, write_rows
from mlops_assets.adapters.landing.database_windows import SeenWindow, column_of, look_at_windows, table_of
from mlops_assets.adapters.landing.landed_window import LandedWindow, SourceDown, SourceInvalid, TableFile
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.landing import Landed
from mlops_assets.domain.windows import WindowUnfit

if TYPE_CHECKING:
    from sqlalchemy import Connection


class DatabaseLanding:
    """Windows in a SQL database."""

    look_every_seconds = 5.0

    def __init__(self, url: str, dataset: Dataset, spool: Path) -> None:
        """Looks at nothing yet.

        Raises:
            SourceInvalid: the contract names no tables or no window column, or nothing here can speak to that database.
        """
        self._source = dataset.source
        if not self._source.tables or not self._source.window_column:
            raise SourceInvalid(
                f"a database as source needs `tables` and `window_column` under [source] in the contract "
                f"{dataset.name}: which tables a window is made of, and the column that names a row's window"
            )
        self.dataset = dataset
        self.spool = spool
        self._window_column = self._source.window_column
        self._database = DatabaseConnection(url)
        self._since: dict[str, tuple[str, float]] = {}
        """By window: its fingerprint, and when it was first seen."""

    def landed(self, *, now: float) -> list[Landed]:
        """Every window that the first table has rows of, oldest period first.

        A database does not say when a load is over: a window rests since this object first saw it as it is.

        Raises:
            SourceDown: the database does not answer, or lacks a table or column.
        """
        seen, _ = self._look()
        there = {window: seen[window] for window in sorted(seen) if self._source.tables[0] in seen[window].rows}
        return [self._landed(window, found, now) for window, found in there.items()]

    def ignored(self) -> list[str]:
        """Values of the window column that can name no window.

        Raises:
            SourceDown: the database does not answer, or lacks a table or column.
        """
        return self._look()[1]

    @contextmanager
    def fetch(self, window: str) -> Iterator[LandedWindow]:
        """The rows of a window, as they are at one moment, in files that go at the end.

        Raises:
            SourceDown: the database does not answer, lacks a table or column, or a table has no rows of the window.
            WindowUnfit: a table of the window has no key, or values of another type.
        """
        self.spool.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.spool, prefix="window-") as folder:
            with self._database.snapshot() as connection:
                seen = look_at_windows(connection, self._source)[0].get(window, SeenWindow())
                if missing := seen.missing(self._source):
                    # As between the emptying and the filling of a load, after which the counts may be the same.
                    raise SourceDown(f"{window} cannot be read: the table {missing[0]} has no rows of it")
                files = {
                    table: self._export(connection, table, values, Path(folder) / f"{number}.parquet")
                    for number, (table, values) in enumerate(seen.values.items())
                }
            labels = files.pop(self._source.labels or "", None)
            landed_at = max(seen.changed, default=time.time())
            yield LandedWindow(window=window, tables=files, labels=labels, landed_at=landed_at)

    def _look(self) -> tuple[dict[str, SeenWindow], list[str]]:
        try:
            with self._database.snapshot() as connection:
                return look_at_windows(connection, self._source)
        except WindowUnfit as error:  # a window's name or time that cannot be read hides which windows are there
            raise SourceDown(str(error)) from error

    def _landed(self, window: str, found: SeenWindow, now: float) -> Landed:
        if self._since.get(window, ("", now))[0] != found.fingerprint:
            self._since[window] = found.fingerprint, now
        missing = found.missing(self._source)
        return Landed(
            window=window,
            fingerprint=found.fingerprint,
            age_seconds=now - self._since[window][1],
            looks_complete=False,
            waits_for=f"the table{'s' if len(missing) > 1 else ''} {', '.join(missing)}" if missing else None,
        )

    def _export(self, connection: "Connection", name: str, values: list[Any], path: Path) -> TableFile:
        import sqlalchemy as sa

        table = table_of(connection, name)
        # Only what the contract speaks of: what else the table holds is not copied, and changes nothing when it does.
        spoken = {column.lower() for column in (self.dataset.label_key, *self.dataset.columns)}
        columns = [column for column in table.c if column.name.lower() in spoken]
        first = [self.dataset.label_key.lower(), self.dataset.row_id.lower()]
        columns.sort(key=lambda column: first.index(column.name.lower()) if column.name.lower() in first else 2)
        if not columns or columns[0].name.lower() not in first:
            raise WindowUnfit(f"table {name} has no column {self.dataset.label_key}, which joins it to the others")
        query = (
            sa.select(*columns)
            .where(column_of(table, self._window_column).in_(values))
            .order_by(*(column for column in columns if can_be_ordered(column.type)))
            .execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
        )
        types = {column.name: column.type for column in columns}
        write_rows(path, types, connection.execute(query).partitions(), name=f"table {name}")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return TableFile(path=path, name=f"table {name}", format="parquet", sha256=sha256, stamp=())

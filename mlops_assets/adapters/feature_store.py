"""Where the feature table is written: beside the releases, as one file that is replaced in one piece.

Here belong the embedded form and the choice of one. The other form belongs to `feature_database`, what a table is to
`serving.feature_table`.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from mlops_assets.adapters.feature_rows import FeatureRow
from mlops_assets.adapters.files import file_in_one_piece
from serving.feature_file import FeatureFile
from serving.feature_table import APPLICATION_ID, FILE, FILE_SCHEMA, FeaturesUnavailable, TableMeta, rfc3339


class FeatureStoreDown(Exception):
    """The table's place cannot be reached; the message says why, without a password."""


class TakenTable(Protocol):
    """The table while nobody else can replace it."""

    meta: TableMeta | None
    """Of the table that is there; None where there is none, or none that can be read."""

    def replace(self, meta: TableMeta, batches: Iterable[list[FeatureRow]]) -> TableMeta:
        """Writes another in its place, whole or not at all, and gives its `meta` with what was counted."""
        ...


class FeatureStore(Protocol):
    """A place for the feature table."""

    place: str
    """How a user knows it."""

    def taken(self) -> AbstractContextManager[TakenTable]:
        """The table, for one who wants to replace it; others wait.

        Raises:
            FeatureStoreDown: the place cannot be reached.
        """
        ...


@dataclass
class Counted:
    """Passes batches on, and keeps count of what went by."""

    batches: Iterable[list[FeatureRow]]
    entities: int = 0
    dates: list[int] = field(default_factory=list)
    """The oldest and the newest."""

    def __iter__(self) -> Iterator[list[FeatureRow]]:
        """The batches, once."""
        for batch in self.batches:
            self.entities += len(batch)
            dates = [as_of for _, as_of, _ in batch] + self.dates
            self.dates = [min(dates), max(dates)]
            yield batch

    def told_by(self, meta: TableMeta) -> TableMeta:
        """What the table says of itself, with the counts."""
        oldest, newest = map(rfc3339, self.dates) if self.dates else (None, None)
        return msgspec.structs.replace(meta, entities=self.entities, oldest_as_of=oldest, newest_as_of=newest)


class FileFeatureStore:
    """The file beside the releases."""

    def __init__(self, releases: Path) -> None:
        self.path = releases / FILE
        self.place = str(self.path)

    @contextmanager
    def taken(self) -> Iterator[TakenTable]:
        """As `FeatureStore` says."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A lock on the folder needs no file of its own, and goes with the process that holds it.
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield _TakenFile(self.path)
        finally:
            os.close(folder)


class _TakenFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.meta: TableMeta | None = None
        try:
            self.meta = FeatureFile(path).meta if path.exists() else None
        except FeaturesUnavailable:
            return  # what cannot be read is replaced

    def replace(self, meta: TableMeta, batches: Iterable[list[FeatureRow]]) -> TableMeta:
        counted = Counted(batches)
        with file_in_one_piece(self._path) as beside:
            with closing(sqlite3.connect(beside, isolation_level=None)) as connection:
                # Until it is whole nobody reads it: a crash leaves a file that has no name yet.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
                connection.executescript(FILE_SCHEMA)
                connection.execute("BEGIN")
                for batch in counted:
                    connection.executemany("INSERT INTO features VALUES (?, ?, ?)", batch)
                written = counted.told_by(meta)
                connection.execute("INSERT INTO meta VALUES (?)", (msgspec.json.encode(written).decode(),))
                connection.execute("COMMIT")
            FeatureFile(beside)
        return written


def feature_store(releases: Path, url: str | None) -> FeatureStore:
    """The database of the URL, or the folder of releases where none is given."""
    if url is None:
        return FileFeatureStore(releases)
    from mlops_assets.adapters.feature_database import DatabaseFeatureStore  # psycopg, which few need

    return DatabaseFeatureStore(url)

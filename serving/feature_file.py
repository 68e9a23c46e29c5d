"""Reads the embedded feature table: one SQLite file, mapped into memory.

Its writer replaces it by a rename and never changes it in place, so it is opened as immutable: no locks, no journal,
and a reader of the one before goes on. Which file is current belongs to `serving.feature_source`.
"""

import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from serving.entity_key import EntityKey
from serving.feature_table import (
    APPLICATION_ID,
    FeaturesUnavailable,
    FoundFeatures,
    TableMeta,
    answer,
    demand_fit,
    demanded_key,
    read_meta,
)
from serving.release import Manifest

MAPPED_BYTES = 1 << 31
"""Most that is mapped, and SQLite's own limit; what lies behind it in a larger file is read."""


class FeatureFile:
    """A table that never changes, open until it is dropped; safe to ask from several threads."""

    meta: TableMeta

    def __init__(self, path: Path) -> None:
        """Opens it, and verifies that it is whole and what it says of itself.

        Raises:
            FeaturesUnavailable: it is no feature table, cut short, damaged, or of another format.
            OSError: the disk failed.
        """
        with path.open("rb") as file:  # SQLite would not say whether the disk failed, or the file is none of its own
            file.read(1)
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _broken(path, error) from error
        # One connection for all threads; SQLite may be built without locks of its own.
        self._lock = threading.Lock()
        try:
            # SQLite itself refuses a file that is shorter than its header says.
            if self._connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise _broken(path, "it is no feature table")
            self._connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES:d}")
            contents = self._connection.execute("SELECT content FROM meta LIMIT 2").fetchall()
            if len(contents) != 1 or not isinstance(contents[0][0], str):
                raise _broken(path, "it says nothing of itself")
            self.meta = read_meta(contents[0][0])
        except sqlite3.Error as error:
            raise _broken(path, error) from error
        self._path = path

    def find(self, key: EntityKey, manifest: Manifest, *, now: float) -> FoundFeatures:
        """As `FeatureTable` says."""
        entity = demanded_key(key)
        demand_fit(self.meta, manifest)
        try:
            with self._lock:
                row = self._connection.execute(
                    "SELECT as_of, features FROM features WHERE entity = ?", (entity,)
                ).fetchone()
        except sqlite3.Error as error:
            raise _broken(self._path, error) from error
        return answer(self.meta, entity, row, manifest, now=now)

    def __del__(self) -> None:
        # Whoever still asks it holds it: nothing is closed under a lookup. Python 3.13 warns of one that is left open.
        if (connection := getattr(self, "_connection", None)) is not None:
            connection.close()


def _broken(path: Path, reason: object) -> FeaturesUnavailable:
    return FeaturesUnavailable(f"{path.name} cannot be read ({reason}): materialize feature_table to build it anew")

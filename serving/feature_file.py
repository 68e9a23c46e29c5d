"""Reads the embedded feature table: one SQLite file, mapped into memory.

Its writer replaces it by a rename and never changes it in place, so it is opened as immutable: no locks, no journal,
and a reader of the one before goes on. Which file is current belongs to `serving.feature_source`.
"""

import os
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
        """Opens it, and verifies that it is whole by its size and by what it says of itself.

        Raises:
            FeaturesUnavailable: it is no feature table, cut short, damaged, or of another format.
            OSError: the disk failed.
        """
        with path.open("rb") as file:  # SQLite would not say whether the disk failed, or the file is none of its own
            size = os.fstat(file.fileno()).st_size
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _broken(path, error) from error
        # One connection for all threads; SQLite may be built without locks of its own.
        self._lock = threading.Lock()
        try:
            self._demand_whole(path, size)
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

    def _demand_whole(self, path: Path, size: int) -> None:
        def pragma(name: str) -> int:
            return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

        if pragma("application_id") != APPLICATION_ID:
            raise _broken(path, "it is no feature table")
        if (expected := pragma("page_count") * pragma("page_size")) != size:
            raise _broken(path, f"it has {size} of {expected} bytes")


def _broken(path: Path, reason: object) -> FeaturesUnavailable:
    return FeaturesUnavailable(f"{path.name} cannot be read ({reason}): materialize feature_table to build it anew")

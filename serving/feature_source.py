"""Where the service looks features up: the feature table that is current, in whichever form the operator chose.

Here belongs following the embedded file and keeping a database's slowness off the event loop. What is found and what is
refused belongs to `serving.feature_table`.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from serving.entity_key import EntityKey
from serving.feature_file import FeatureFile
from serving.feature_table import FILE, FeaturesUnavailable, FeatureTable, FoundFeatures
from serving.file_mark import Mark, mark_of
from serving.release import Manifest
from serving.settings import Settings

MOST_THREADS = 16
"""Questions to a database at once; more wait, and none longer than the timeout."""

logger = logging.getLogger(__name__)


class FeatureSource(Protocol):
    """What the route asks, and the watcher keeps current."""

    def look(self) -> None:
        """Follows what changed since the last look; never raises. It may read a file: not for the event loop."""
        ...

    async def find(self, key: EntityKey, manifest: Manifest) -> FoundFeatures:
        """The newest features of an entity as of now; raises as `FeatureTable.find` does."""
        ...

    def close(self) -> None:
        """At the service's end."""
        ...


def feature_source(settings: Settings) -> FeatureSource:
    """By these settings: the file beside the releases, or a database."""
    if settings.features is None:
        return FollowedFile(settings.releases / FILE)
    from serving.feature_database import FeatureDatabase  # psycopg, which the embedded form can do without

    seconds = settings.features_timeout_seconds
    return AskedDatabase(FeatureDatabase(settings.features, timeout_seconds=seconds), timeout_seconds=seconds)


class FollowedFile:
    """The embedded table, which its writer replaces. One that cannot be read does not take the place of one that was.

    A lookup takes microseconds: the event loop does it itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Mark = None
        self._table: FeatureFile | None = None
        self._refused: str | None = None

    def look(self) -> None:
        """Loads the file if it changed."""
        # Taken before the reading: what changes meanwhile is seen at the next look.
        mark = mark_of(self._path)
        if mark == self._seen:
            return
        try:
            if mark is None:
                self._refuse(f"{self._path.name} is gone")
            else:
                self._table, self._refused = FeatureFile(self._path), None
                meta = self._table.meta
                logger.info("features of window %s, %s entities", meta.window, meta.entities)
        except OSError as error:
            self._refuse(str(error))
            return  # the disk failed, not the file: no change of it will tell when that is over
        except FeaturesUnavailable as error:
            self._refuse(str(error))
        except Exception as error:
            self._refuse(f"{type(error).__name__}: {error}")
        self._seen = mark

    async def find(self, key: EntityKey, manifest: Manifest) -> FoundFeatures:
        """From the table that was loaded last."""
        table = self._table  # read once: a look may replace it meanwhile
        if table is None:
            raise FeaturesUnavailable(
                self._refused
                or f"there is no {self._path.name} beside the releases yet: where the contract names `entity_key`, the "
                "graph builds it when a window has landed"
            )
        return table.find(key, manifest, now=time.time())

    def close(self) -> None:
        """Lets go of the table; a lookup that is under way ends first."""
        self._table = None

    def _refuse(self, reason: str) -> None:
        if reason == self._refused:
            return
        self._refused = reason
        kept = "there are none before" if self._table is None else f"those of {self._table.meta.window} stay in use"
        logger.error("refused features: %s; %s", reason, kept)


class AskedDatabase:
    """A table that others replace: there is nothing to follow, and each question waits for an answer in a thread."""

    def __init__(self, table: FeatureTable, *, timeout_seconds: float) -> None:
        self._table = table
        self._timeout_seconds = timeout_seconds
        # Threads of its own: a database that hangs must not hold up what else the service does in threads.
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="features")

    def look(self) -> None:
        """Nothing to do."""

    async def find(self, key: EntityKey, manifest: Manifest) -> FoundFeatures:
        """Asks the database, and waits no longer than the timeout."""
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._find, key, manifest)
        try:
            return await asyncio.wait_for(asked, self._timeout_seconds)
        except TimeoutError:
            raise FeaturesUnavailable(
                f"the feature database does not answer within {self._timeout_seconds:g} s; try again later"
            ) from None

    def close(self) -> None:
        """Takes no further question."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._table.close()

    def _find(self, key: EntityKey, manifest: Manifest) -> FoundFeatures:
        return self._table.find(key, manifest, now=time.time())

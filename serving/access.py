"""Who may ask now: the keys of a file, which is followed without a restart.

What a file of keys is belongs to `serving.keys`, what a key is needed for to `serving.door`. Not part of the watcher of
releases: while that one loads a large model, a revoked key must not live on.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.file_mark import Mark, mark_of
from serving.keys import Keys, KeysInvalid, read_keys
from serving.repeated import repeated
from serving.settings import Settings

logger = logging.getLogger(__name__)


class Access:
    """The keys that are accepted."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys([]) if settings.keys else None
        """None where no key is asked for; none is accepted until the file was read."""
        self._path = settings.keys
        self._poll_seconds = settings.poll_seconds
        self._seen: Mark = None
        self._refused: str | None = None

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Looks once before requests are accepted, and then until the app ends."""
        await asyncio.to_thread(self.look)
        async with repeated(self.look, seconds=self._poll_seconds):
            yield

    def look(self) -> None:
        """Reads the file if it changed; never raises. One that cannot be read lets none in: keys may be revoked."""
        if self._path is None:
            return
        mark = mark_of(self._path)
        if mark is not None and mark == self._seen:
            return
        self._seen = mark
        try:
            self.keys = Keys(read_keys(self._path))
            self._refused = None
            logger.info("%s keys are accepted", len(self.keys))
        except Exception as error:
            self.keys = Keys([])
            if not isinstance(error, KeysInvalid) or isinstance(error.__cause__, OSError):
                self._seen = None  # no change of the file will tell when that is over
            if str(error) != self._refused:
                self._refused = str(error)
                logger.error("no key is accepted: %s", error)

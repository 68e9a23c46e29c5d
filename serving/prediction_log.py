"""Writes the prediction log: every answered row is handed to the kernel before its answer leaves.

So `kill -9` of the process loses nothing that was answered; for a machine that loses power the log is synced at an
interval. The format belongs to `serving.log_segments`; what is recorded is decided by `serving.answering`.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic, time

from serving.log_segments import stem_of
from serving.repeated import repeated
from serving.schemas import LogState
from serving.segment import Segment, seal_abandoned

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
ABANDONED_SECONDS = 60
"""How often segments are looked for whose writer is gone: of several services on one log, one may not come again."""


class CannotRecord(Exception):
    """The log took nothing of what it was given: the disk is full, or failed."""


class PredictionLog:
    """One writer's segments in a folder that it shares with others; safe to use from several threads."""

    def __init__(self, folder: Path, *, sync_seconds: float, seal_seconds: float, segment_bytes: int) -> None:
        self.writer = secrets.token_hex(8)
        """Tells this process's segments, and its requests, from all others."""
        self.failure: str | None = None
        """Why the last write failed; None while the log can be written."""
        self._folder = folder
        self._sync_seconds = sync_seconds
        self._seal_seconds = seal_seconds
        self._segment_bytes = segment_bytes
        self._lock = Lock()
        self._number = 0
        self._segment: Segment | None = None
        self._unsealed: list[Segment] = []
        """Those that are full and could not be sealed; they are tried again."""
        self._synced_at = monotonic()
        self._unsynced_since: float | None = None

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Seals what writers left that are gone; syncs and seals its own in time, and at the end."""
        await asyncio.to_thread(self.look_for_abandoned)
        await asyncio.to_thread(self._begin)
        try:
            async with (
                repeated(self.look, seconds=TICK_SECONDS),
                repeated(self.look_for_abandoned, seconds=ABANDONED_SECONDS),
            ):
                yield
        finally:
            await asyncio.to_thread(self.seal)

    def append(self, lines: bytes) -> Segment:
        """Hands whole lines to the kernel, all of them or none.

        Returns:
            Where they are, for `sync`.

        Raises:
            CannotRecord: they are not recorded.
        """
        with self._lock:
            try:
                segment = self._open()
                segment.append(lines)
            except OSError as error:
                raise self._failed(error) from error
            self.failure = None
            return segment

    @property
    def syncs_each_answer(self) -> bool:
        """Whether an answer waits until its record is on the disk."""
        return self._sync_seconds == 0

    def sync(self, segment: Segment) -> None:
        """Forces what was appended to a segment to the disk.

        Raises:
            CannotRecord: the disk says that it failed.
        """
        try:
            segment.sync()
        except OSError as error:
            raise self._failed(error) from error

    def seal(self) -> None:
        """Ends the open segment, if there is one; the next row opens another."""
        with self._lock:
            if self._segment is not None:
                self._unsealed.append(self._segment)
            self._segment = None
        self._seal_what_waits()

    def state(self) -> LogState:
        """How it does, as of the last look."""
        oldest = [at for segment in self._written() if (at := segment.oldest_at) is not None]
        return LogState(
            can_record=self.failure is None,
            unsynced_since=_rfc3339(self._unsynced_since),
            unsealed_since=_rfc3339(min(oldest, default=None)),
        )

    def look(self) -> None:
        """Syncs and seals what is due, and tries again what failed; never raises."""
        try:
            self._note_what_is_unsynced()
            if self.failure is not None:
                self._probe()
            segment = self._segment
            is_due = segment is not None and segment.is_due(age=self._seal_seconds, size=self._segment_bytes)
            if is_due:
                self.seal()
            elif self._unsealed:
                self._seal_what_waits()
            elif segment is not None and monotonic() - self._synced_at >= self._sync_seconds > 0:
                self._synced_at = monotonic()
                self.sync(segment)
        except CannotRecord:
            pass  # it is said where it failed
        except Exception:
            logger.exception("the prediction log in %s", self._folder)

    def look_for_abandoned(self) -> None:
        """Seals what writers left that are gone; never raises."""
        try:
            seal_abandoned(self._folder)
        except Exception:
            logger.exception("the prediction log in %s", self._folder)

    def _written(self) -> list[Segment]:
        return [*self._unsealed, *([] if self._segment is None else [self._segment])]

    def _note_what_is_unsynced(self) -> None:
        """At a look, which is as near as anybody wants to know it, for a row should not pay for it."""
        if all(segment.is_synced for segment in self._written()):
            self._unsynced_since = None
        elif self._unsynced_since is None:
            self._unsynced_since = time()

    def _seal_what_waits(self) -> None:
        with self._lock:
            waiting, self._unsealed = self._unsealed, []
        for segment in waiting:
            try:
                segment.seal()
            except OSError as error:
                self._failed(error)
                with self._lock:
                    self._unsealed.append(segment)

    def _begin(self) -> None:
        """So that a log that cannot be written is known before the first request, and not by it."""
        with self._lock:
            try:
                self._open()
            except OSError as error:
                self._failed(error)

    def _open(self) -> Segment:
        if self._segment is None:
            self._number += 1
            stem = stem_of(began=datetime.now(UTC), writer=self.writer, number=self._number)
            self._segment = Segment(self._folder, stem)
        return self._segment

    def _failed(self, error: OSError) -> CannotRecord:
        if self.failure is None:
            logger.error("the prediction log cannot be written: %s", error)
        self.failure = str(error)
        return CannotRecord(str(error))

    def _probe(self) -> None:
        with self._lock, suppress(OSError):
            self._open().probe()
            self.failure = None
            logger.info("the prediction log can be written again")


def _rfc3339(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

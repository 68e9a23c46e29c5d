"""Writes the prediction log: every answered row is handed to the kernel before its answer leaves.

So `kill -9` of the process loses nothing that was answered; for a machine that loses power the log is synced at an
interval. The format belongs to `serving.log_segments`; what is recorded is decided by `serving.answering`.
"""

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic, time

from serving.log_segments import OPEN, sealed_name, stem_of
from serving.release import sha256_of

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
NEW = ".new"
NEW_SECONDS = 60
PROBE = b"\n" * 4096
"""A block that is written and taken back to see whether a full disk has room again."""


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

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Seals what writers left that are gone; then syncs and seals in time, and at the end."""
        await asyncio.to_thread(seal_abandoned, self._folder)
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await asyncio.to_thread(self.seal)

    def append(self, lines: bytes) -> "Segment":
        """Hands whole lines to the kernel, all of them or none.

        Returns:
            Where they are, for `sync`.

        Raises:
            CannotRecord: they are not recorded.
        """
        with self._lock:
            try:
                if self._segment is None:
                    self._number += 1
                    stem = stem_of(began=datetime.now(UTC), writer=self.writer, number=self._number)
                    self._segment = Segment(self._folder, stem)
                self._segment.append(lines)
            except OSError as error:
                raise self._failed(error) from error
            self.failure = None
            return self._segment

    @property
    def syncs_each_answer(self) -> bool:
        """Whether an answer waits until its record is on the disk."""
        return self._sync_seconds == 0

    def sync(self, segment: "Segment") -> None:
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

    def look(self) -> None:
        """Syncs and seals what is due, and tries again what failed; never raises."""
        try:
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

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await asyncio.to_thread(self.look)

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

    def _failed(self, error: OSError) -> CannotRecord:
        if self.failure is None:
            logger.error("the prediction log cannot be written: %s", error)
        self.failure = str(error)
        return CannotRecord(str(error))

    def _probe(self) -> None:
        with self._lock, suppress(OSError):
            if self._segment is None:
                self._segment = Segment(self._folder, stem_of(began=datetime.now(UTC), writer=self.writer, number=0))
            self._segment.probe()
            self.failure = None
            logger.info("the prediction log can be written again")


class Segment:
    """An open segment: locked, so that another process can tell that its writer lives."""

    def __init__(self, folder: Path, stem: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{stem}{OPEN}"
        self._stem = stem
        self._opened = monotonic()
        # It gets its name when it is locked: another process would take it for one whose writer is gone.
        beside = folder / f"{stem}{NEW}"
        self._descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            beside.rename(self.path)
        except OSError:
            os.close(self._descriptor)
            beside.unlink(missing_ok=True)
            raise
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._closing = Lock()
        self._sealed = False

    def append(self, lines: bytes) -> None:
        """Writes all of them or none."""
        written = 0
        try:
            while written < len(lines):
                written += os.pwrite(self._descriptor, lines[written:], self._size + written)
        except OSError:
            # What was written of them is taken back: half a line would spoil the one after it.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(lines)
        self._sha256.update(lines)

    def probe(self) -> None:
        """Raises where nothing can be appended."""
        try:
            if os.pwrite(self._descriptor, PROBE, self._size) < len(PROBE):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.ftruncate(self._descriptor, self._size)

    def sync(self) -> None:
        """Forces it to the disk; one that is being sealed is waited for, and is on the disk then."""
        with self._closing:
            if not self._sealed:
                os.fdatasync(self._descriptor)

    def is_due(self, *, age: float, size: int) -> bool:
        """Whether it is old or large enough to be sealed."""
        return self._size > 0 and (self._size >= size or monotonic() - self._opened >= age)

    def seal(self) -> None:
        """Gives it the name that holds its hash; an empty one goes. Where it fails it stays as it was."""
        with self._closing:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
            if self._size == 0:
                self.path.unlink()
            else:
                _rename(self.path, self.path.with_name(sealed_name(self._stem, self._sha256.hexdigest())))
            self._sealed = True
            os.close(self._descriptor)


def seal_abandoned(folder: Path) -> int:
    """Seals the open segments whose writer is gone, without the line that it did not finish.

    Returns:
        How many bytes of unfinished lines were cut off; none of them was ever answered.
    """
    cut = 0
    for path in folder.glob(f"*{NEW}"):  # of a writer that was killed before it wrote anything
        with suppress(OSError):
            if time() - path.stat().st_mtime > NEW_SECONDS:
                path.unlink()
    for path in sorted(folder.glob(f"*{OPEN}")):
        try:
            cut += _seal_abandoned(path)
        except BlockingIOError:
            continue  # its writer lives
        except OSError:
            logger.exception("%s cannot be sealed", path)
    return cut


def _seal_abandoned(path: Path) -> int:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1].rstrip(b"\n")
        if not whole:
            path.unlink()
            return len(content)
        file.truncate(len(whole) + 1)
        os.fsync(file.fileno())
        if torn := len(content) - content.rfind(b"\n") - 1:
            logger.warning("%s: cut off %s bytes of an unfinished line", path.name, torn)
        _rename(path, path.with_name(sealed_name(path.name.removesuffix(OPEN), sha256_of(path))))
        return torn


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

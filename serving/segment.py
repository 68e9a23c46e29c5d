"""A segment while it is written, and the sealing of those whose writer is gone.

Names and records belong to `serving.log_segments`; when a segment is begun and sealed to `serving.prediction_log`.
"""

import errno
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic, time

from serving.log_segments import OPEN, sealed_name
from serving.release import sha256_of

logger = logging.getLogger(__name__)

NEW = ".new"
"""Of a segment that has no writer's lock yet."""
NEW_SECONDS = 60
PROBE = b"\n" * 4096
"""A block that is written and taken back to see whether a full disk has room again."""


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
        self._synced = 0
        self._oldest_at = 0.0
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
        if self._size == 0:
            self._opened, self._oldest_at = monotonic(), time()  # its age is that of its oldest row
        self._size += len(lines)

    @property
    def oldest_at(self) -> float | None:
        """When its oldest row was written, in seconds since the epoch; None while it has none."""
        return self._oldest_at if self._size else None

    @property
    def is_synced(self) -> bool:
        """Whether all of it is on the disk."""
        return self._sealed or self._synced >= self._size

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
                size = self._size
                os.fdatasync(self._descriptor)
                self._synced = size

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
                _rename(self.path, self.path.with_name(sealed_name(self._stem, sha256_of(self.path))))
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
        except FileNotFoundError:
            continue  # another process has sealed it meanwhile
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

"""The prediction log, gathered: every sealed segment of the service becomes Parquet, exactly once.

A gathered segment is a folder with the segment's name (stem and SHA-256) and a pair of files in it. It appears whole,
flushed to the disk, and then the segment is deleted from the log: the Parquet is the record from there on. A segment
that is broken is moved to `broken/` in the log, with its reason beside it. A crash between any two steps leaves what
the next gathering finishes. Segments that are still being written are the service's. What is made of the rows belongs
to `prediction_window`.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from mlops_assets.adapters.files import folder_in_one_piece, sync_folder, write_atomically
from mlops_assets.adapters.gathered_segment import LABELS, PREDICTIONS, SegmentRows, newest, write_rows
from serving.log_segments import OPEN, SegmentInvalid, demand_whole, sealed

BROKEN, REASON = "broken", ".reason"
LOCK = ".lock"


class LogUnreadable(Exception):
    """Segments cannot be read as things are now: the machine's fault and not theirs, so they wait where they are."""


@dataclass(frozen=True)
class Gathered:
    """What one gathering found."""

    segments: list[SegmentRows]
    set_aside: dict[str, str]
    """Why, by segment."""
    removed: int
    """Gathered segments that were older than what is to be kept."""

    @property
    def predictions(self) -> int:
        """Answered rows."""
        return sum(segment.predictions for segment in self.segments)

    @property
    def labels(self) -> int:
        """Labels."""
        return sum(segment.labels for segment in self.segments)

    @property
    def first(self) -> datetime | None:
        """The time of the oldest record."""
        return min((segment.first for segment in self.segments if segment.first), default=None)

    @property
    def last(self) -> datetime | None:
        """The time of the newest record."""
        return max((segment.last for segment in self.segments if segment.last), default=None)


class GatheredLog:
    """The service's log, and what was gathered of it."""

    def __init__(self, log: Path, folder: Path, *, keep_days: float | None = None) -> None:
        """Opens nothing yet.

        Args:
            log: The service's folder of segments.
            folder: Where Parquet goes.
            keep_days: Gathered segments whose newest record is older are removed; None keeps all.
        """
        self.log = log
        self.folder = folder
        self.keep_days = keep_days

    def gather(self, *, now: datetime) -> Gathered:
        """Gathers every sealed segment that is there.

        Raises:
            LogUnreadable: some cannot be read; the others are gathered.
        """
        segments: list[SegmentRows] = []
        set_aside: dict[str, str] = {}
        unreadable: list[str] = []
        with self.held():
            for segment in sealed(self.log):
                try:
                    if (rows := self._take(segment)) is not None:
                        segments.append(rows)
                except SegmentInvalid as error:
                    self._set_aside(segment, str(error))
                    set_aside[segment.name] = str(error)
                except OSError as error:
                    unreadable.append(f"{segment.name}: {error}")
            removed = self._remove_old(now)
        if unreadable:
            raise LogUnreadable(
                f"{len(unreadable)} segments of {self.log} cannot be gathered, and wait there: {'; '.join(unreadable)}"
            )
        return Gathered(segments, set_aside, removed)

    def broken(self) -> dict[str, str]:
        """Why, by segment, of all that were ever set aside and are still there."""
        folder = self.log / BROKEN
        names = sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))
        return {name: _text(folder / f"{name}{REASON}") for name in names if not name.endswith(REASON)}

    def gathered(self) -> list[Path]:
        """The folders of the gathered segments, in the order in which these were opened."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def gathered_before(self, moment: datetime) -> list[Path]:
        """Those of segments that were opened before a moment."""
        return [folder for folder in self.gathered() if folder.name < _stamp(moment)]

    def open_before(self, moment: datetime) -> int:
        """How many segments the service began before a moment, and has not sealed yet."""
        return sum(path.name < _stamp(moment) for path in self.log.glob(f"*{OPEN}"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps others from changing what is gathered; the kernel frees the lock when its holder dies."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
        with (self.folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.folder.glob(".*"):  # by one that was killed; nobody else is here
                if left.is_dir():
                    shutil.rmtree(left)
            yield

    def _take(self, segment: Path) -> SegmentRows | None:
        """None where it was gathered before, by one that was killed before it could delete the segment."""
        rows, target = None, self.folder / segment.stem
        if not _is_whole(target):
            demand_whole(segment)
            with folder_in_one_piece(target, is_whole=_is_whole) as folder:
                rows = write_rows(segment, folder)
        segment.unlink()
        return rows

    def _set_aside(self, segment: Path, reason: str) -> None:
        folder = self.log / BROKEN
        folder.mkdir(exist_ok=True)
        name = f"{segment.name}.{uuid4().hex}" if os.path.lexists(folder / segment.name) else segment.name
        write_atomically(folder / f"{name}{REASON}", reason.encode())
        segment.rename(folder / name)

    def _remove_old(self, now: datetime) -> int:
        if self.keep_days is None:
            return 0
        oldest = now - timedelta(days=self.keep_days)
        old = [folder for folder in self.gathered_before(oldest) if (newest(folder) or oldest) <= oldest]
        for folder in old:
            folder = folder.rename(folder.with_name(f".{folder.name}.old"))  # a part of it is never seen
            shutil.rmtree(folder)
        return len(old)


def _is_whole(folder: Path) -> bool:
    return (folder / PREDICTIONS).exists() and (folder / LABELS).exists()


def _stamp(moment: datetime) -> str:
    """As the names of segments begin."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S%f}Z"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return "no reason is recorded beside it"

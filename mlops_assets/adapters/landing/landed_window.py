"""What every landing gives: the windows that are there, and the files of one of them, on this machine.

Here belong the protocol and its errors. How a folder, an object store or a database answers it stands in the modules
beside this one; which window is taken up next belongs to `mlops_assets.domain.landing`, reading rows to `window_store`.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from mlops_assets.domain.landing import Landed

ROWS = "rows"
"""Name of the one table of a window that is a single file."""
FORMATS: Mapping[str, Literal["parquet", "csv"]] = {".parquet": "parquet", ".csv": "csv"}
"""What a table's file may be, by its suffix."""


class SourceDown(Exception):
    """A window, or the place where windows land, cannot be had as it is now; the message says why, and what to do.

    It tells nothing of the window's quality, and passes: whoever meets it tries again. What is wrong with the bytes
    that landed, and stays wrong until others land, is `WindowUnfit`.
    """


class SourceInvalid(ValueError):
    """No landing can be made of `MLOPS_SOURCE` and the contract; the message says what is expected."""


@dataclass(frozen=True)
class TableFile:
    """One table of a landed window, as a file on this machine."""

    path: Path
    name: str
    """How a user knows it: `2024-01.parquet`, `2024-01/users.csv`, `table users`."""
    format: Literal["parquet", "csv"]
    sha256: str
    stamp: tuple[int, ...]
    """Inode, size and time of change when it was hashed; empty where nobody else writes to it."""


@dataclass(frozen=True)
class LandedWindow:
    """The files of a window, to be read while its context is open."""

    window: str
    tables: Mapping[str, TableFile]
    """By the contract's table name, in the contract's order; `rows` alone where a window is a single file."""
    labels: TableFile | None
    """Late labels, or the table that holds them; None where they have not come."""
    landed_at: float
    """When the newest of them was written, in seconds since the epoch."""
    ignored: tuple[str, ...] = field(default=())
    """Files of the window that the contract does not speak of."""

    @property
    def rows_sha256(self) -> str:
        """Hash of the tables without the labels: the same under whatever window's name they land."""
        parts = [f"{table}:{file.sha256}" for table, file in self.tables.items()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def content_sha256(self) -> str:
        """Hash of all that landed, the labels with it."""
        return hashlib.sha256(f"{self.rows_sha256}:{self.labels and self.labels.sha256}".encode()).hexdigest()

    def demand_unchanged(self) -> None:
        """Demands that the files are those that were hashed.

        Raises:
            SourceDown: one was written to meanwhile, or is gone. Its fingerprint need not tell: a copy may keep times.
        """
        for file in [*self.tables.values(), *([self.labels] if self.labels else [])]:
            if file.stamp and stamp_of(file.path) != file.stamp:
                raise SourceDown(f"{file.name} was written to while it was read; it is tried again")


class Landing(Protocol):
    """A place where windows land."""

    look_every_seconds: float
    """How often a sensor may look."""

    def landed(self, *, now: float) -> list[Landed]:
        """Every window of which something has landed, oldest period first.

        Args:
            now: Seconds since the epoch.

        Raises:
            SourceDown: the place does not answer.
        """

    def ignored(self) -> list[str]:
        """What is there and names no window."""

    def fetch(self, window: str) -> AbstractContextManager[LandedWindow]:
        """The files of a window on this machine, while the context is open.

        Raises:
            SourceDown: the place does not answer, the window is not there (any more), lacks a table, or changes.
            WindowUnfit: it is not made of regular files, or not what its checksum says.
        """


def stamp_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to or replaced; empty where it is gone, or its disk is."""
    try:
        stat = path.lstat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns

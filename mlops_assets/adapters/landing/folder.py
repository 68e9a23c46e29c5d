"""A local folder where windows land. Files are read where they are; links, pipes and devices are never opened.

How files are named belongs to `layout`, copying files into the folder to `adding`.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from mlops_assets.adapters.landing.adding import Adding
from mlops_assets.adapters.landing.checksum import MOST_BYTES, demand_checksum
from mlops_assets.adapters.landing.landed_window import FORMATS, LandedWindow, SourceDown, TableFile
from mlops_assets.adapters.landing.layout import Entry, FoundWindow, find_windows
from mlops_assets.adapters.landing.parquet_mark import is_whole_parquet
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.landing import Landed
from mlops_assets.domain.windows import WINDOW_NAME, WindowUnfit


class FolderLanding:
    """Windows in a local folder."""

    look_every_seconds = 0.2

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self.folder = folder
        self.dataset = dataset

    def landed(self, *, now: float) -> list[Landed]:
        """Every window of which something has landed, oldest period first.

        Raises:
            SourceDown: the folder is not there, or cannot be read.
        """
        windows, _ = find_windows(self._entries(), self.dataset.source)
        return [found.landed(now=now, is_whole=self._is_whole) for found in windows.values()]

    def ignored(self) -> list[str]:
        """Names in the folder that no window is made of.

        Raises:
            SourceDown: the folder is not there, or cannot be read.
        """
        return find_windows(self._entries(), self.dataset.source)[1]

    @contextmanager
    def fetch(self, window: str) -> Iterator[LandedWindow]:
        """The files of a window, where they are.

        Raises:
            SourceDown: the folder, or the window as a whole, is not there, cannot be read, or changes meanwhile.
            WindowUnfit: the window is not made of regular files, or is not what its checksum says.
        """
        windows, _ = find_windows(self._entries(), self.dataset.source)
        if window not in windows:
            raise SourceDown(f"{window} is not in {self.folder}; it was removed since it was seen there")
        found = windows[window]
        found.demand_whole()
        yield LandedWindow(
            window=window,
            tables={table: self._read(found, entries[0]) for table, entries in found.tables.items()},
            labels=self._read(found, found.labels[0]) if found.labels else None,
            landed_at=max(entry.changed for entry in found.files),
            ignored=tuple(found.others),
        )

    def add(self, path: Path, window: str | None = None, *, replace: bool = False) -> Path:
        """Copies a window, a window's labels, or one of its tables into the folder; it appears there whole.

        Args:
            path: A Parquet or CSV file, or a folder of the contract's tables.
            window: Its name; the file's or folder's own where none is given.
            replace: Whether it takes the place of what has landed under that name.

        Returns:
            Where it has landed.

        Raises:
            WindowNameInvalid: the name cannot name a window.
            WindowUnfit: it is nothing that can land, that name is taken, or it cannot be copied.
        """
        return Adding(self.folder, self.dataset.source, replace=replace).add(path, window)

    def _entries(self) -> list[Entry]:
        try:
            return list(self._walk())
        except FileNotFoundError as error:
            # As a disk that is not mounted, or a mistyped name; not as a folder without windows.
            raise SourceDown(
                f"the landing folder {self.folder} is not there; mount or make it, or name another in MLOPS_SOURCE"
            ) from error
        except OSError as error:
            raise SourceDown(
                f"the landing folder {self.folder} cannot be read: {error.strerror or error}; mend its permissions, "
                "or name another in MLOPS_SOURCE"
            ) from error

    def _walk(self) -> Iterator[Entry]:
        for path in list(self.folder.iterdir()):
            if (entry := _look_at(path, path.name)) is None:
                continue
            yield entry
            if self.dataset.source.tables and entry.kind == "folder" and WINDOW_NAME.fullmatch(path.name):
                try:
                    inside = [_look_at(file, f"{path.name}/{file.name}") for file in path.iterdir()]
                except OSError:  # removed meanwhile, or closed to us: its tables have not come, the others have
                    continue
                yield from filter(None, inside)

    def _is_whole(self, entry: Entry) -> bool:
        if not entry.name.endswith(".parquet"):
            return False
        try:
            with open_regular(self.folder / entry.name) as file:
                return is_whole_parquet(file)
        except (OSError, WindowUnfit):  # it is taken up once it has settled, and reading it says why it cannot be
            return False

    def _read(self, found: FoundWindow, entry: Entry) -> TableFile:
        path = self.folder / entry.name
        try:
            with open_regular(path) as file:
                before = os.fstat(file.fileno())
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                after = os.fstat(file.fileno())
            if checksum := found.checksums.get(entry.name):
                with open_regular(self.folder / checksum.name) as file:
                    demand_checksum(entry.name, sha256, file.read(MOST_BYTES), checksum.name)
        except OSError as error:
            raise SourceDown(f"{entry.name} cannot be read: {error.strerror or error}; it is tried again") from error
        stamp = (after.st_ino, after.st_size, after.st_mtime_ns)
        if (before.st_ino, before.st_size, before.st_mtime_ns) != stamp:
            raise SourceDown(f"{entry.name} was written to while it was read; it is tried again")
        return TableFile(path=path, name=entry.name, format=FORMATS[path.suffix], sha256=sha256, stamp=stamp)


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file, and nothing that has taken its name since it was looked at.

    Raises:
        OSError: it cannot be opened.
        WindowUnfit: it is a link, a pipe or a device.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WindowUnfit(f"{path.name} is a link, which is not followed; land the file itself") from error
        raise
    file = open(descriptor, "rb")  # noqa: PTH123, SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise WindowUnfit(f"{path.name} is not a regular file")


def _look_at(path: Path, name: str) -> Entry | None:
    """None where it was removed meanwhile."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(status.st_mode)
    return Entry(
        name=name,
        size=status.st_size,
        # The earlier of both: a time from a clock that is ahead must not keep a file from settling.
        changed=min(status.st_mtime, status.st_ctime),
        kind="file" if kind == stat.S_IFREG else "folder" if kind == stat.S_IFDIR else "other",
        mark=str(status.st_mtime_ns),
    )

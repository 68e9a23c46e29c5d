"""The landing folder: where users drop windows, one file `<window>.parquet` each.

Here belongs telling which files are there and whether they are complete. Reading their rows belongs to `window_store`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.adapters.files import copy_atomically
from mlops_assets.domain.windows import WINDOW_NAME, WindowUnfit, window_name

SUFFIX = ".parquet"
PARQUET_MARK = b"PAR1"


@dataclass(frozen=True)
class LandedFile:
    """A file that names a window, as it was when it was looked at."""

    window: str
    path: Path
    fingerprint: str
    """Changes when the file does: size and time of change, cheap enough for a sensor."""
    age_seconds: float
    """Since it was last written to."""
    looks_complete: bool
    """Begins and ends as a Parquet file does; not where it cannot be read, so that its check comes to say why."""


class Landing:
    """The folder where windows land."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, *, now: float) -> list[LandedFile]:
        """The landed windows, oldest period first. Files that cannot name a window are left alone (`ignored`).

        Args:
            now: Seconds since the epoch.
        """
        looked_at = [_look_at(path, now) for path in self._entries() if _names_a_window(path)]
        return [file for file in looked_at if file is not None]

    def ignored(self) -> list[str]:
        """Names in the folder that no window will be made of."""
        return [path.name for path in self._entries() if not _names_a_window(path)]

    def path_of(self, window: str) -> Path:
        """Where a window's file lands."""
        return self.folder / f"{window_name(window)}{SUFFIX}"

    def add(self, file: Path, window: str | None = None) -> Path:
        """Copies a file into the folder under a window's name; it appears there whole.

        Raises:
            WindowNameInvalid: the name (the file's own where none is given) cannot name a window.
            WindowUnfit: it is not a Parquet file, that window has landed already, or the file cannot be copied.
        """
        try:
            return self._add(file, window)
        except OSError as error:
            raise WindowUnfit(f"{file} cannot be copied into {self.folder}: {error}") from error

    def _add(self, file: Path, window: str | None) -> Path:
        if not file.is_file():
            raise WindowUnfit(f"{file}: there is no such file")
        if file.suffix != SUFFIX:
            raise WindowUnfit(f"{file}: its name must end in {SUFFIX}; only Parquet files are windows")
        if not _looks_complete(file):
            raise WindowUnfit(f"{file}: is not a complete Parquet file; write the window as `<window>{SUFFIX}`")
        target = self.path_of(window or file.stem)
        taken = WindowUnfit(f"{target.name} has landed already; remove it from {self.folder} to land it anew")
        if target.exists():
            raise taken
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            copy_atomically(file, target)
        except FileExistsError as error:
            raise taken from error
        return target

    def _entries(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))


def _names_a_window(path: Path) -> bool:
    return (
        path.suffix == SUFFIX
        and WINDOW_NAME.fullmatch(path.stem) is not None
        and path.is_file()
        and not path.is_symlink()
    )


def _look_at(path: Path, now: float) -> LandedFile | None:
    """None where the file was removed meanwhile."""
    try:
        stat = path.stat()
        looks_complete = _looks_complete(path)
    except FileNotFoundError:
        return None
    except OSError:
        looks_complete = False
    return LandedFile(
        window=path.stem,
        path=path,
        fingerprint=f"{stat.st_size}-{stat.st_mtime_ns}",
        age_seconds=now - stat.st_mtime,
        looks_complete=looks_complete,
    )


def _looks_complete(path: Path) -> bool:
    size = len(PARQUET_MARK)
    if path.stat().st_size < 2 * size:
        return False
    with path.open("rb") as file:
        head = file.read(size)
        file.seek(-size, os.SEEK_END)
        return head == PARQUET_MARK and file.read(size) == PARQUET_MARK

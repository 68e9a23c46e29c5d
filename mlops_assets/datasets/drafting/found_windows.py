"""What a user's path holds: the windows that a contract is drafted from, and the files of each.

Here belongs recognising files by their names and headers. What stands in their columns belongs to `facts`; landing
windows in the loop to `mlops_assets.adapters.landing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.datasets.drafting.table_files import SUFFIXES, DataUnreadable, column_names

ROWS = "rows"
"""Name of the one table of a window that is a single file."""
LABELS_SUFFIX = ".labels"
NEWEST = 3
SAME_COLUMNS_SHARE = 0.5
"""Files of a folder with a larger share of common columns are windows of one table, others tables of one window."""


@dataclass(frozen=True)
class FoundWindow:
    """The files of one window, by table; `rows` alone where it is a single file."""

    name: str
    tables: dict[str, Path]
    labels: Path | None = None
    """Late labels of a single file. Which of several tables holds the labels is inferred later."""


@dataclass(frozen=True)
class FoundData:
    """All windows of a path, oldest first."""

    windows: tuple[FoundWindow, ...]
    landing: Path
    """The folder whose files or folders are the windows."""
    has_tables: bool
    """Whether a window is a folder of tables."""

    @property
    def sample(self) -> tuple[FoundWindow, ...]:
        """The first window and the newest, over which a contract is drafted."""
        return self.windows if len(self.windows) <= NEWEST + 1 else (self.windows[0], *self.windows[-NEWEST:])


def find_windows(path: Path) -> FoundData:
    """Recognises a file, a folder of window files, a folder of window folders, or one window folder.

    Raises:
        DataUnreadable: there is none of these; the message says what is expected.
    """
    path = path.absolute()
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise DataUnreadable(f"{path.name} is neither .parquet nor .csv; a window is one of these, or a folder")
        beside = [other for other in _files(path.parent) if other.stem == path.stem + LABELS_SUFFIX]
        window = FoundWindow(path.stem, {ROWS: path}, beside[0] if beside else None)
        return FoundData((window,), path.parent, has_tables=False)
    if not path.is_dir():
        raise DataUnreadable(f"{path} is not there; give a .parquet or .csv file, or a folder of windows")
    if files := _files(path):
        if _are_tables(files):
            return FoundData((_window_of(path, files),), path.parent, has_tables=True)
        return FoundData(_single_files(files), path, has_tables=False)
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    windows = tuple(_window_of(folder, files) for folder in folders if (files := _files(folder)))
    if not windows:
        raise DataUnreadable(f"{path} holds no .parquet and no .csv files, nor folders that do")
    return FoundData(windows, path, has_tables=True)


def _files(folder: Path) -> list[Path]:
    """The data files of a folder by name; where a table is there twice, the Parquet file."""
    found = [
        entry
        for entry in folder.iterdir()
        if entry.is_file() and entry.suffix in SUFFIXES and not entry.name.startswith((".", "_"))
    ]
    by_stem = {entry.stem: entry for entry in sorted(found, key=lambda entry: entry.suffix == ".parquet")}
    return [by_stem[stem] for stem in sorted(by_stem)]


def _are_tables(files: Sequence[Path]) -> bool:
    own = [file for file in files if not file.stem.endswith(LABELS_SUFFIX)]
    if len(own) < 2:
        return False
    first, last = (set(column_names(file)) for file in (own[0], own[-1]))
    return len(first & last) <= SAME_COLUMNS_SHARE * len(first | last)


def _window_of(folder: Path, files: Sequence[Path]) -> FoundWindow:
    return FoundWindow(folder.name, {file.stem: file for file in files})


def _single_files(files: Sequence[Path]) -> tuple[FoundWindow, ...]:
    labels = {file.stem.removesuffix(LABELS_SUFFIX): file for file in files if file.stem.endswith(LABELS_SUFFIX)}
    windows = [
        FoundWindow(file.stem, {ROWS: file}, labels.get(file.stem))
        for file in files
        if not file.stem.endswith(LABELS_SUFFIX)
    ]
    if not windows:
        raise DataUnreadable(f"{files[0].parent} holds labels and no rows")
    return tuple(windows)

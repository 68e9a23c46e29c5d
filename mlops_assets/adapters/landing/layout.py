"""How the files of windows are named: which entries under a landing's root make up which window.

Pure: it is told what is there, and opens nothing. Looking, and reading the files, belongs to `folder` and
`object_store`.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from mlops_assets.adapters.landing.landed_window import FORMATS, ROWS, SourceDown
from mlops_assets.domain.dataset_tables import Source
from mlops_assets.domain.landing import Landed
from mlops_assets.domain.windows import WINDOW_NAME

LABELS = ".labels"
"""Between the window's name and the suffix, where late labels are a file beside the window's only file."""
CHECKSUM = ".sha256"
"""After a file's whole name: a file as `sha256sum` writes it."""
ALL_LANDED = "_SUCCESS"
"""In a window's folder: all files that were written before it have landed, as Spark and Hadoop say it."""


@dataclass(frozen=True)
class Entry:
    """Something under the landing's root, as it was when it was looked at."""

    name: str
    """From the root on, `/` between folder and file."""
    size: int = 0
    changed: float = 0.0
    """Seconds since the epoch."""
    kind: Literal["file", "folder", "other"] = "file"
    """`other` is what is never opened: a link, a pipe, a device."""
    mark: str = ""
    """What changes when it is written to: the exact time of change, or an object's ETag."""


@dataclass
class FoundWindow:
    """What is there of one window."""

    window: str
    tables: dict[str, list[Entry]]
    """Each table's files, in the contract's order: one is right, none has not come yet, two are one too many."""
    labels: list[Entry] = field(default_factory=list)
    checksums: dict[str, Entry] = field(default_factory=dict)
    """By the name of the file that they speak of."""
    marked: float | None = None
    """When it was said that all has landed, in seconds since the epoch."""
    others: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[Entry]:
        """The tables' files and the labels'."""
        return [*(entry for entries in self.tables.values() for entry in entries), *self.labels]

    @property
    def waits_for(self) -> str | None:
        """What keeps it from being taken up, or None."""
        for entries in [*self.tables.values(), self.labels]:
            if len(entries) > 1:
                names = " and ".join(entry.name for entry in entries)
                return f"a choice: {names} are both there, remove one of them"
        missing = [table for table, entries in self.tables.items() if not entries]
        if missing == [ROWS]:
            return f"the window itself (only its {'labels have' if self.labels else 'checksum has'} landed)"
        if missing:
            return f"the table{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        return None

    def demand_whole(self) -> None:
        """Demands that it waits for nothing.

        Raises:
            SourceDown: it does, and did not when it was taken up: when it is whole again it may look as it did then.
        """
        if self.waits_for:
            raise SourceDown(f"{self.window} cannot be read: it waits for {self.waits_for}")

    def landed(self, *, now: float, is_whole: Callable[[Entry], bool]) -> Landed:
        """What the rules of landing need to know of it.

        Args:
            now: Seconds since the epoch.
            is_whole: Says whether a file can be seen to be complete; not asked where a checksum or marker says so.
        """
        seen = [*self.files, *self.checksums.values()]
        parts = sorted(f"{entry.name} {entry.size} {entry.mark or entry.changed}" for entry in seen)
        return Landed(
            window=self.window,
            fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16],
            age_seconds=now - max((entry.changed for entry in seen), default=now),
            looks_complete=all(
                self._is_marked(entry) or entry.name in self.checksums or is_whole(entry) for entry in self.files
            ),
            waits_for=self.waits_for,
        )

    def _is_marked(self, entry: Entry) -> bool:
        """Late labels, or a corrected table, may still be written when the marker has long been there."""
        return self.marked is not None and entry.changed <= self.marked


def find_windows(entries: Iterable[Entry], source: Source) -> tuple[dict[str, FoundWindow], list[str]]:
    """Sorts what is there into windows, oldest period first, and the names that belong to none."""
    windows: dict[str, FoundWindow] = {}
    ignored: list[str] = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        if any(map(_is_passing, entry.name.split("/"))):
            continue
        window = _window_of(entry, source)
        if window is None:
            ignored.append(_on_one_line(entry.name))
            continue
        found = windows.setdefault(window, FoundWindow(window, {table: [] for table in source.tables or (ROWS,)}))
        if source.tables:
            _take_table(found, entry, source)
        else:
            _take_file(found, entry)
    return dict(sorted(windows.items())), ignored


def _is_passing(name: str) -> bool:
    """A tool's own file, or one that is still being written under a name of its own."""
    return name.startswith(".") or name.endswith((".part", ".tmp"))


def _window_of(entry: Entry, source: Source) -> str | None:
    if source.tables:
        window, has_file, _ = entry.name.partition("/")
        return window if (has_file or entry.kind == "folder") and WINDOW_NAME.fullmatch(window) else None
    path = PurePosixPath(entry.name.removesuffix(CHECKSUM))
    window = path.stem.removesuffix(LABELS)
    fits = entry.kind == "file" and "/" not in entry.name and path.suffix in FORMATS
    return window if fits and WINDOW_NAME.fullmatch(window) else None


def _take_file(found: FoundWindow, entry: Entry) -> None:
    if entry.name.endswith(CHECKSUM):
        found.checksums[entry.name.removesuffix(CHECKSUM)] = entry
    elif PurePosixPath(entry.name).stem.endswith(LABELS):
        found.labels.append(entry)
    else:
        found.tables[ROWS].append(entry)


def _take_table(found: FoundWindow, entry: Entry, source: Source) -> None:
    name = entry.name.partition("/")[2]
    if not name:
        return
    path = PurePosixPath(name.removesuffix(CHECKSUM))
    is_ours = "/" not in name and path.suffix in FORMATS and path.stem in (*source.tables, source.labels)
    if entry.kind == "file" and name == ALL_LANDED:
        found.marked = entry.changed
    elif entry.kind != "file" or not is_ours:
        found.others.append(_on_one_line(name))
    elif name.endswith(CHECKSUM):
        found.checksums[entry.name.removesuffix(CHECKSUM)] = entry
    elif path.stem == source.labels:
        found.labels.append(entry)
    else:
        found.tables[path.stem].append(entry)


def _on_one_line(name: str) -> str:
    return name if name.isprintable() else ascii(name)

"""Copying windows into a landing folder: each appears whole, and takes the place of another only when told to."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mlops_assets.adapters.files import folder_in_one_piece
from mlops_assets.adapters.landing.landed_window import FORMATS
from mlops_assets.adapters.landing.layout import CHECKSUM, LABELS
from mlops_assets.adapters.landing.parquet_mark import is_whole_parquet
from mlops_assets.domain.dataset_tables import Source
from mlops_assets.domain.windows import WindowUnfit, window_name


class Adding:
    """Adds to one landing folder; what it may add says the contract's source."""

    def __init__(self, folder: Path, source: Source, *, replace: bool) -> None:
        self.folder = folder
        self.source = source
        self.replace = replace

    def add(self, path: Path, window: str | None) -> Path:
        """See `FolderLanding.add`."""
        try:
            if path.is_dir():
                return self._add_folder(path, path.name if window is None else window)
            return self._add_file(path, self._target_of(path, window))
        except OSError as error:
            raise WindowUnfit(f"{path} cannot be copied into {self.folder}: {error}") from error

    def _target_of(self, file: Path, window: str | None) -> Path:
        if not file.is_file():
            raise WindowUnfit(f"{file}: there is no such file")
        if file.suffix not in FORMATS:
            raise WindowUnfit(f"{file}: its name must end in {' or '.join(FORMATS)}")
        if not self.source.tables:
            labels = LABELS if file.stem.endswith(LABELS) else ""
            name = file.stem.removesuffix(LABELS) if window is None else window
            return self.folder / f"{window_name(name)}{labels}{file.suffix}"
        if file.stem not in self._table_names:
            raise WindowUnfit(f"{file}: is none of the contract's tables ({', '.join(self._table_names)})")
        if window is None:
            raise WindowUnfit(f"{file}: say of which window it is a table")
        return self.folder / window_name(window) / file.name

    def _add_file(self, file: Path, target: Path) -> Path:
        _demand_whole(file)
        formats = [target.with_name(f"{target.stem}{suffix}") for suffix in FORMATS]
        if not self.replace and (there := [path for path in formats if os.path.lexists(path)]):
            raise self._taken(there[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        with _copied_beside(file, target) as beside:
            if self.replace:
                for path in formats:
                    # It speaks of the bytes that are replaced.
                    path.with_name(path.name + CHECKSUM).unlink(missing_ok=True)
                beside.replace(target)
                for path in formats:
                    if path != target:
                        path.unlink(missing_ok=True)
            else:
                try:
                    # A hard link fails where the name is taken by now; a rename would overwrite.
                    os.link(beside, target)
                except FileExistsError as error:
                    raise self._taken(target) from error
        return target

    def _add_folder(self, folder: Path, window: str) -> Path:
        if not self.source.tables:
            raise WindowUnfit(f"{folder}: is a folder; the contract names no tables, so a window is one file")
        target = self.folder / window_name(window)
        files = sorted(file for file in folder.iterdir() if file.suffix in FORMATS and file.stem in self._table_names)
        if missing := [table for table in self.source.tables if table not in {file.stem for file in files}]:
            raise WindowUnfit(f"{folder}: has no file of the table {missing[0]} ({missing[0]}.parquet or .csv)")
        if len({file.stem for file in files}) < len(files):
            raise WindowUnfit(f"{folder}: has one table as Parquet and as CSV; remove one of them")
        for file in files:
            _demand_whole(file)
        if target.exists() and not self.replace:
            raise self._taken(target)
        # Made under a name that no landing looks at: `folder_in_one_piece` leaves a taken name as it is, silently.
        fresh, former = (self.folder / f".{window}.{uuid4().hex}.{state}.tmp" for state in ("new", "old"))
        try:
            with folder_in_one_piece(fresh) as inside:
                for file in files:
                    _copy(file, inside / file.name)
                for labels in self._former_labels(target, files):
                    _copy(labels, inside / labels.name)
            if self.replace and target.exists():
                target.rename(former)
            self._rename_to_free(fresh, target, former)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(former, ignore_errors=True)
        return target

    def _rename_to_free(self, fresh: Path, target: Path, former: Path) -> None:
        try:
            fresh.rename(target)  # fails where another folder with files in it is there by now
        except OSError as error:
            if former.exists() and not target.exists():
                former.rename(target)
            elif target.exists():
                raise self._taken(target) from error
            raise

    def _former_labels(self, target: Path, files: list[Path]) -> list[Path]:
        """Labels that came late, and are not replaced: they stay, as they do beside a window's only file."""
        if any(file.stem == self.source.labels for file in files):
            return []
        return [path for suffix in FORMATS if (path := target / f"{self.source.labels}{suffix}").is_file()]

    @property
    def _table_names(self) -> list[str]:
        return [*self.source.tables, *([self.source.labels] if self.source.labels else [])]

    def _taken(self, there: Path) -> WindowUnfit:
        name = there.relative_to(self.folder)
        return WindowUnfit(
            f"{name} has landed already in {self.folder}; add it with `--replace` to land a corrected one in its place"
        )


def _demand_whole(file: Path) -> None:
    if file.suffix == ".parquet":
        with file.open("rb") as opened:
            if not is_whole_parquet(opened):
                raise WindowUnfit(f"{file}: is not a complete Parquet file; write it anew")


@contextmanager
def _copied_beside(source: Path, target: Path) -> Iterator[Path]:
    beside = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        _copy(source, beside)
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def _copy(source: Path, copy: Path) -> None:
    """Copies bytes and times: with the time of its writer, a CSV file that appears whole need not settle."""
    shutil.copyfile(source, copy)
    status = source.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    with copy.open("rb") as file:
        os.fsync(file.fileno())

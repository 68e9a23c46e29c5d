"""The window store: landed windows become data windows, and bounded frames are drawn from them.

A data window is a folder `<window>/<data version>/` with `clean.parquet`, `quarantined.parquet` and `window.json`, and
never changes; a large one also keeps a sample. Beside it `latest.json` says what landed last and whether it is fit,
`current.json` which version is to be used. Reading and judging rows belongs to `window_tables` and `window_rows`,
samples to `window_sample`; pandas appears in bounded frames alone.
"""

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.files import folder_in_one_piece, write_atomically
from mlops_assets.adapters.landing.landed_window import LandedWindow
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.table_files import types_of
from mlops_assets.adapters.window_records import (
    CURRENT,
    LATEST,
    DataWindow,
    Intake,
    RecordInvalid,
    StoreRecord,
    read_record,
)
from mlops_assets.adapters.window_rows import count_new_categories, write_rows
from mlops_assets.adapters.window_sample import SAMPLE, draw_order, rows_to_draw_from, write_sample
from mlops_assets.adapters.window_tables import read_tables
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.row_rules import LINE_UNREADABLE, row_rules
from mlops_assets.domain.sql import literals, parquet_files, quoted
from mlops_assets.domain.windows import (
    SPLIT_COLUMN,
    WindowUnfit,
    last_windows,
    missing_labels,
    unfit_for,
    window_name,
)

CLEAN, QUARANTINED, RECORD = "clean.parquet", "quarantined.parquet", "window.json"
FORMAT = 3
"""Grows when the same landed bytes come to be stored otherwise, so that no version is of two kinds.

A sample makes no other kind: the same rows are drawn without it, only slower. A new version of every window would look
like new data to a training.
"""


class RowIdMissing(Exception):
    """Stored rows have no column of the contract's row id, which the message names."""


class WindowStore:
    """Data windows under one folder."""

    def __init__(self, folder: Path, dataset: Dataset, engines: Engines | None = None) -> None:
        self.folder = folder
        self.dataset = dataset
        self._engines = engines or Engines()

    def take(self, landed: LandedWindow) -> tuple[Intake, DataWindow | None]:
        """Stores a landed window, and makes it the current version of its window where it is fit.

        An unfit one stays the window's latest, and what was current before stays current.
        """
        stored: DataWindow | None = None
        try:
            if (original := self._original_of(landed)) is not None:
                raise WindowUnfit(
                    f"holds the same bytes as the window {original}, which landed before: if {original} is the wrong "
                    f"name, `mlops window remove {original}` and requeue this one"
                )
            stored = self._store(landed)
            fault = unfit_for(self.dataset, stored.counts)
        except WindowUnfit as error:
            landed.demand_unchanged()  # what went away, or was replaced, says nothing of the window
            fault = str(error)
        before = None
        with suppress(RecordInvalid):  # taking it up again is what mends it
            before = self.current(landed.window)
        version = self._data_version(landed)
        intake = Intake(
            window=landed.window,
            data_version=version,
            landed_at=landed.landed_at,
            fault=fault,
            can_be_read=stored is not None,
            replaces=before.data_version if before and before.data_version != version else None,
        )
        self._write(landed.window, LATEST, intake)
        if stored is not None and fault is None:
            self._write(landed.window, CURRENT, stored)
        return intake, stored

    def refuse(self, window: str, fault: str) -> Intake:
        """Records that a window landed of which not even the files could be had."""
        version = hashlib.sha256(fault.encode()).hexdigest()[:16]
        intake = Intake(
            window=window,
            data_version=version,
            landed_at=time.time(),
            fault=fault,
            can_be_read=False,
            replaces=None,
        )
        self._write(window, LATEST, intake)
        return intake

    def latest(self, window: str) -> Intake | None:
        """What became of the window as it landed last, or None where nothing was taken."""
        return read_record(self._folder(window) / LATEST, Intake, window=window)

    def current(self, window: str) -> DataWindow | None:
        """The window as it is to be used, or None where it is not there (or was never fit)."""
        return read_record(self._folder(window) / CURRENT, DataWindow, window=window)

    def stored(self, window: str, data_version: str) -> DataWindow | None:
        """What is recorded of a version of a window."""
        return read_record(self._folder(window) / data_version / RECORD, DataWindow, window=window)

    def clean_rows(self, stored: DataWindow) -> Path:
        """The Parquet file of a version's clean rows, all of them."""
        return self._folder(stored.window) / stored.data_version / CLEAN

    def rows_landed_at(self, stored: DataWindow) -> float:
        """When a version's rows landed first, in seconds since 1970; else, when they were stored."""
        record = self._folder(stored.window) / stored.data_version / RECORD
        return record.stat().st_mtime if stored.rows_landed_at is None else stored.rows_landed_at

    def newest_in_use(self) -> DataWindow | None:
        """The window in use of the newest period, whenever it landed, of the contract's shape."""
        for window in reversed(self.windows()):
            if (current := self.current(window)) is not None and current.shape == self.dataset.shape:
                return current
        return None

    def windows(self) -> list[str]:
        """All windows of which something was taken, oldest period first."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{LATEST}"))

    def remove(self, window: str) -> bool:
        """Takes a window out of use; its versions stay on the disk. False where it was not in use."""
        found = [path for name in (CURRENT, LATEST) if (path := self._folder(window) / name).exists()]
        for path in found:
            path.unlink()
        return bool(found)

    def training_windows(self, window: str) -> list[DataWindow]:
        """The windows that a candidate of this window learns from, oldest first: of one shape, and with labels."""
        usable = {
            name: stored
            for name in self.windows()
            if (stored := self.current(name)) is not None
            and stored.shape == self.dataset.shape
            and missing_labels(self.dataset, stored.counts) is None
        }
        chosen = last_windows(usable, until=window, count=self.dataset.training.train_windows)
        return [usable[name] for name in chosen]

    def draw(
        self, versions: Mapping[str, str], *, split: str | None, max_rows: int, labelled: bool = False
    ) -> pd.DataFrame:
        """A bounded frame of clean rows, the same ones every time, ordered by row id.

        Args:
            versions: Data version by window.
            split: `train`, `validation`, or None for both.
            max_rows: The most rows; where there are more, those with the smallest MD5 of the row id are drawn.
            labelled: Only rows whose label has come.

        Returns:
            A frame with row id, split key, target and features: numbers and booleans float32, categories and ids str,
            null as NaN in numbers and None in categories; the target bool where `labelled`, else bool or None.

        Raises:
            RowIdMissing: the rows were stored under a contract with another row id.
        """
        files = [
            rows_to_draw_from(self._folder(window) / version / CLEAN, max_rows=max_rows, labelled=labelled)
            for window, version in versions.items()
        ]
        with TemporaryDirectory(prefix=".draw-", dir=self.folder) as work, engine(self.folder) as connection:
            rows = self._engines.over(connection, Path(work))
            drawn = rows.parquet(*files, file_column="_file")
            if self.dataset.row_id not in drawn.columns:
                raise RowIdMissing(self.dataset.row_id)
            if split:
                drawn = drawn.filter(drawn[SPLIT_COLUMN] == split)
            if labelled:
                drawn = drawn.filter(drawn[self.dataset.target].notnull())
            # An id may come back in another window: then the file, that is the window, settles the order.
            first = drawn.order_by([*draw_order(drawn, self.dataset), "_file"]).limit(max_rows)
            frame = rows.frame(first.order_by([self.dataset.row_id, "_file"]).drop(SPLIT_COLUMN, "_file"))
        return frame.astype({self.dataset.target: bool}) if labelled else frame

    def quarantined(self, stored: DataWindow, *, rows: int, reasons: Sequence[str] = ()) -> pd.DataFrame:
        """The first quarantined rows of a version: their columns as they landed, `_reasons`, `_line_number`, `_line`.

        Args:
            stored: The version.
            rows: The most rows.
            reasons: Only rows that have one of these; all where none is named.
        """
        path = self._folder(stored.window) / stored.data_version / QUARANTINED
        of_them = f"WHERE list_has_any(_reasons, [{literals(reasons)}])" if reasons else ""
        with engine() as connection:
            names = types_of(connection, parquet_files(path))
            # Not every value that the engine can read has a place in a frame: a date of infinity has none.
            columns = [
                quoted(name) if name.startswith("_") else f"{quoted(name)}::VARCHAR AS {quoted(name)}" for name in names
            ]
            select = f"SELECT {', '.join(columns)} FROM {parquet_files(path)} {of_them} LIMIT {rows:d}"
            frame: pd.DataFrame = connection.sql(select).df()
        return frame

    def _store(self, landed: LandedWindow) -> DataWindow:
        version = self._data_version(landed)
        target = self._folder(landed.window) / version
        known = None
        with suppress(RecordInvalid):
            known = self.stored(landed.window, version)
        if known is not None and _is_whole(target):
            return known
        name = next(iter(landed.tables.values())).name
        with folder_in_one_piece(target, is_whole=_is_whole) as folder, engine(folder) as connection:
            work = folder / "work"
            work.mkdir()
            reading = read_tables(connection, landed, self.dataset, work)
            rows = self._engines.over(connection, work)
            counts = write_rows(
                rows, reading, self.dataset, clean=folder / CLEAN, quarantined=folder / QUARANTINED, of=name
            )
            write_sample(rows, self.dataset, counts, clean=folder / CLEAN, sample=folder / SAMPLE, of=name)
            kinds = {rule.reason: rule.kind for rule in [LINE_UNREADABLE, *row_rules(self.dataset)]}
            stored = DataWindow(
                window=landed.window,
                data_version=version,
                rows_sha256=landed.rows_sha256,
                rows_landed_at=self._rows_landed_at(landed),
                shape=self.dataset.shape,
                counts=counts,
                kinds={reason: kinds[reason] for reason in counts.by_reason},
                ignored_columns=reading.ignored_columns,
                unmatched=reading.unmatched,
                absent=reading.absent,
                new_categories=count_new_categories(rows, reading, self.dataset),
            )
            landed.demand_unchanged()
            (folder / RECORD).write_text(stored.model_dump_json(indent=2))
            shutil.rmtree(work)
        return stored

    def _original_of(self, landed: LandedWindow) -> str | None:
        """Another window in use that is of the same bytes."""
        for window in self.windows():
            current = None
            with suppress(RecordInvalid):  # another window's damage is no fault of this one; training names it
                current = self.current(window)
            if current is not None and current.rows_sha256 == landed.rows_sha256 and window != landed.window:
                return window
        return None

    def _rows_landed_at(self, landed: LandedWindow) -> float:
        """Labels that come later, and rules that change, make another version of rows that are as old as they were."""
        found = [landed.landed_at]
        for path in self._folder(landed.window).glob(f"*/{RECORD}"):
            with suppress(RecordInvalid):
                known = self.stored(landed.window, path.parent.name)
                if known is not None and known.rows_sha256 == landed.rows_sha256:
                    found.append(self.rows_landed_at(known))
        return min(found)

    def _data_version(self, landed: LandedWindow) -> str:
        parts = f"{FORMAT}\n{landed.content_sha256}\n{self.dataset.rules}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def _folder(self, window: str) -> Path:
        return self.folder / window_name(window)

    def _write(self, window: str, name: str, record: StoreRecord) -> None:
        self._folder(window).mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder(window) / name, record.model_dump_json(indent=2).encode())


def _is_whole(version: Path) -> bool:
    return all((version / name).exists() for name in (CLEAN, QUARANTINED, RECORD))

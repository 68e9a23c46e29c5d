"""Landed windows as a landing would give them, of files that a test wrote, and what the store makes of them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd

from mlops_assets.adapters.landing.landed_window import FORMATS, ROWS, LandedWindow, TableFile, stamp_of
from mlops_assets.adapters.window_records import LATEST, DataWindow
from mlops_assets.adapters.window_store import CLEAN, QUARANTINED, WindowStore

WINDOW = "2013-01"


def table_file(path: Path) -> TableFile:
    """A file, hashed and stamped; its name is what errors must say."""
    return TableFile(
        path=path,
        name=path.name,
        format=FORMATS[path.suffix],
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        stamp=stamp_of(path),
    )


def landed_window(rows: Path | Mapping[str, Path], labels: Path | None = None, *, window: str = WINDOW) -> LandedWindow:
    """A window of one file, or of several by the contract's table name, with or without late labels."""
    paths = {ROWS: rows} if isinstance(rows, Path) else rows
    return LandedWindow(
        window=window,
        tables={name: table_file(path) for name, path in paths.items()},
        labels=table_file(labels) if labels else None,
        landed_at=1_000.0,
    )


def write(path: Path, content: str | bytes) -> Path:
    """A file of exactly these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def take(store: WindowStore, rows: Path | Mapping[str, Path], labels: Path | None = None) -> DataWindow:
    """Stores a window that can be read, be it fit or not."""
    intake, stored = store.take(landed_window(rows, labels))
    assert stored is not None, intake.fault
    assert stored.counts.rows == stored.counts.clean + stored.counts.quarantined
    return stored


def table_of(store: WindowStore, stored: DataWindow, name: str = CLEAN) -> pd.DataFrame:
    """A stored file as it is; clean rows by their id."""
    path = store.folder / stored.window / stored.data_version / name
    frame: pd.DataFrame = duckdb.read_parquet(str(path)).df()
    return frame.sort_values(store.dataset.row_id, ignore_index=True) if name == CLEAN else frame


def reasons_of(store: WindowStore, rows: Path | Mapping[str, Path], labels: Path | None = None) -> list[list[str]]:
    """Why rows were quarantined, a list a row."""
    return [list(reasons) for reasons in table_of(store, take(store, rows, labels), QUARANTINED)["_reasons"]]


def fault_of(store: WindowStore, rows: Path | Mapping[str, Path], labels: Path | None = None) -> str:
    """Why a window cannot be read; nothing of it is kept but that."""
    landed = landed_window(rows, labels)
    intake, stored = store.take(landed)
    assert stored is None
    assert not intake.can_be_read
    assert store.current(landed.window) is None
    assert [path.name for path in (store.folder / landed.window).iterdir()] == [LATEST]
    return str(intake.fault)

"""The same landed window taken in by both engines, and the demand that they agree on all that is stored."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import QUARANTINED, WindowStore
from mlops_assets.domain.dataset import Dataset
from tests.unit.mlops_assets.landed_windows import landed_window, table_of


def take_with_both(
    spark: Engines, folder: Path, dataset: Dataset, rows: Path | Mapping[str, Path], labels: Path | None = None
) -> tuple[list[WindowStore], DataWindow]:
    """Takes a window in with DuckDB and with Spark, demands that both stored the same, and gives both stores."""
    stores = [WindowStore(folder / name, dataset, of) for name, of in (("duckdb", Engines()), ("spark", spark))]
    (first, stored), (second, other) = (store.take(landed_window(rows, labels)) for store in stores)
    assert second == first
    assert other is not None, second.fault
    assert other == stored
    pd.testing.assert_frame_equal(table_of(stores[1], other), table_of(stores[0], other))
    here, there = (told(table_of(store, other, QUARANTINED)) for store in stores)
    assert there == here
    return stores, other


def told(quarantined: pd.DataFrame) -> list[tuple[str, ...]]:
    """Quarantined rows as sorted texts: they have no order, and Spark lacks some types of what landed."""
    rows = quarantined.to_dict("records")
    return sorted(tuple(_text(row[name]) for name in sorted(row, key=str)) for row in rows)


def agree(spark: Engines, dataset: Dataset, rows: Path) -> DataWindow:
    """What both stored of a file, in folders that are gone again."""
    with TemporaryDirectory() as folder:
        return take_with_both(spark, Path(folder), dataset, rows)[1]


def break_column(path: Path, name: str) -> Path:
    """Overwrites the values of a column, which the file's end still promises."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    (column,) = (group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == name)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    return path


def _text(value: Any) -> str:  # noqa: ANN401 -- whatever landed
    if isinstance(value, np.ndarray | list):
        return repr(list(value))
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, pd.Timestamp):
        return str(value.tz_convert(None) if value.tz else value)
    return str(value)

"""The work that `benchmarks.drift` measures, one piece in a process of its own: so its peak memory is its alone.

`python -m benchmarks.drift_work PIECE ...` prints seconds, peak memory and what was found. The time is that of the
work; Python's start and imports are in neither side's, while the modules' memory is in both sides'.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.drift_data import LEVELS, levels_of
from benchmarks.evidently_statistics import verdict
from benchmarks.windows_work import peak_mb
from mlops_assets.adapters.drift_measurement import measure_drift
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.pictures import distributions
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift_columns import ranked
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.windows import TRAIN

NUMBERS, CATEGORIES = 15, 5
SHIFTS = (0.0, 0.05, 0.15, 0.3)
"""Of the current window's columns in turn, in standard deviations; a category is cut of a shifted number."""
ROWS_A_KEY = 5
ROWS_AT_ONCE = 500_000


def contract() -> Dataset:
    """20 features with the contract's own methods, thresholds and sample size, which are the defaults."""
    features = {f"number_{at}": Feature(type="float") for at in range(NUMBERS)}
    features |= {f"group_{at}": Feature(type="category", categories=LEVELS) for at in range(CATEGORIES)}
    return Dataset(name="orders", target="returned", row_id="order", split_by="customer", features=features)


def shift_of(at: int, seed: int) -> float:
    """By how much a column of the current window is shifted in the pair of this seed."""
    return SHIFTS[(at + seed) % len(SHIFTS)]


def make_pair(rows: int, seed: int, landing: Path) -> dict[str, Any]:
    """Writes `reference.parquet` and `current.parquet`, whose columns are shifted."""
    landing.mkdir(parents=True, exist_ok=True)
    for of, name in enumerate(("reference", "current")):
        chance = np.random.default_rng([seed, of])
        writer: pq.ParquetWriter | None = None
        for first in range(0, rows, ROWS_AT_ONCE):
            table = _made(name, np.arange(first, min(first + ROWS_AT_ONCE, rows)), chance, seed)
            writer = writer or pq.ParquetWriter(landing / f"{name}.parquet", table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return {"rows": rows}


def _made(name: str, numbers: npt.NDArray[np.int64], chance: np.random.Generator, seed: int) -> pa.Table:
    def normal(at: int) -> npt.NDArray[np.float64]:
        return chance.normal(shift_of(at, seed) if name == "current" else 0.0, 1.0, len(numbers))

    columns: dict[str, object] = {
        "order": [f"{name}-{number:09d}" for number in numbers],
        "customer": [f"customer-{number // ROWS_A_KEY}" for number in numbers],
        "returned": chance.random(len(numbers)) < 0.2,
    }
    columns |= {f"number_{at}": normal(at).astype(np.float32) for at in range(NUMBERS)}
    for at in range(CATEGORIES):
        columns[f"group_{at}"] = np.array(LEVELS, dtype=object)[levels_of(normal(NUMBERS + at))]
    return pa.table(columns)


def take_pair(landing: Path, store: Path) -> dict[str, Any]:
    """Stores both windows, as the loop does before any report."""
    dataset = contract()
    for window in ("reference", "current"):
        with FolderLanding(landing, dataset).fetch(window) as landed:
            intake, _ = WindowStore(store, dataset).take(landed)
        if intake.fault:
            raise RuntimeError(f"{window} was not taken as a fit window: {intake.fault}")
    return {}


def ours(store: Path, html: Path) -> dict[str, Any]:
    """Both samples read, calibrated, compared, the page and the picture made; a calibration that is kept is used."""
    dataset = contract()
    windows = WindowStore(store, dataset)
    versions = {stored.window: stored.data_version for name in windows.windows() if (stored := windows.current(name))}
    rows = dataset.drift.sample_rows
    reference = windows.draw({"reference": versions["reference"]}, split=TRAIN, max_rows=rows)
    current = windows.draw({"current": versions["current"]}, split=None, max_rows=rows)
    measured = measure_drift(
        dataset, reference=reference, current=current, html=html, title="current", calibrations=store / "calibrations"
    )
    drifted = [column.column for column in ranked(measured.columns) if column.counts_as_drifted]
    distributions(reference, current, dict.fromkeys(drifted, ""), categorical=dataset.categorical)
    return {
        "drifted": sorted(drifted),
        "share": measured.share,
        "thresholds": {column.column: column.threshold for column in measured.columns},
    }


def preset(landing: Path, html: Path) -> dict[str, Any]:
    """Evidently's `DataDriftPreset` as it comes on the full frames, with its page."""
    from evidently import DataDefinition, Report
    from evidently import Dataset as EvidentlyDataset
    from evidently.presets import DataDriftPreset

    dataset = contract()
    definition = DataDefinition(numerical_columns=dataset.numeric, categorical_columns=dataset.categorical)
    current, reference = (
        EvidentlyDataset.from_pandas(_full(landing, window), data_definition=definition)
        for window in ("current", "reference")
    )
    report = Report([DataDriftPreset(columns=list(dataset.features))], include_tests=True)
    snapshot = report.run(current_data=current, reference_data=reference)
    snapshot.save_html(str(html))
    found = snapshot.dict()
    columns = {metric["id"]: metric["config"].get("column") for metric in found["metrics"]}
    failed = [test["metric_config"]["metric_id"] for test in found["tests"] if str(test["status"]).endswith("FAIL")]
    return {"drifted": sorted(str(columns[name]) for name in failed if columns.get(name))}


def statistics(landing: Path) -> dict[str, Any]:
    """What the preset decides by, without its page: each column's statistic on the full frames."""
    dataset = contract()
    found = {}
    for name in dataset.features:
        current, reference = (
            pd.read_parquet(landing / f"{window}.parquet", columns=[name])[name] for window in ("current", "reference")
        )
        found[name] = verdict(reference, current, is_category=name in dataset.categorical)
    return {
        "drifted": sorted(name for name, one in found.items() if one.drifted),
        "times_threshold": {name: one.statistic / one.threshold for name, one in found.items()},
    }


def _full(landing: Path, window: str) -> pd.DataFrame:
    return pd.read_parquet(landing / f"{window}.parquet", columns=list(contract().features))


def main() -> None:
    """Runs one piece."""
    os.environ["DO_NOT_TRACK"] = "1"
    # What both sides need is imported before the clock starts, as in the loop's warm run workers (`preloaded`).
    import evidently.metrics
    import evidently.presets  # noqa: F401
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401
    import plotly.graph_objs  # noqa: F401

    work: Callable[[], dict[str, Any]]
    match sys.argv[1:]:
        case ["make", rows, seed, landing]:
            work = partial(make_pair, int(rows), int(seed), Path(landing))
        case ["take", landing, store]:
            work = partial(take_pair, Path(landing), Path(store))
        case ["ours", store, html]:
            work = partial(ours, Path(store), Path(html))
        case ["preset", landing, html]:
            work = partial(preset, Path(landing), Path(html))
        case ["statistics", landing]:
            work = partial(statistics, Path(landing))
        case _:
            sys.exit("one of: make ROWS SEED LANDING, take LANDING STORE, ours STORE HTML, preset LANDING HTML, "
                     "statistics LANDING")  # fmt: skip
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), **found}) + "\n")


if __name__ == "__main__":
    main()

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

import duckdb
import pandas as pd

from benchmarks.evidently_statistics import verdict
from benchmarks.windows_work import peak_mb
from mlops_assets.adapters.drift_measurement import measure_drift
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.pictures import distributions
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset, Feature
from mlops_assets.domain.drift_columns import ranked
from mlops_assets.domain.sql import literal
from mlops_assets.domain.windows import TRAIN

NUMBERS, CATEGORIES = 15, 5
LEVELS = 8
SHIFTS = (0.0, 0.05, 0.15, 0.3)
"""Of the current window's columns in turn, in standard deviations; a category is cut of a shifted number."""
ROWS_A_KEY = 5


def contract() -> Dataset:
    """20 features with the contract's own methods, thresholds and sample size, which are the defaults."""
    features = {f"number_{at}": Feature(type="float") for at in range(NUMBERS)}
    levels = tuple(f"level {level}" for level in range(LEVELS))
    features |= {f"group_{at}": Feature(type="category", categories=levels) for at in range(CATEGORIES)}
    return Dataset(name="orders", target="returned", row_id="order", split_by="customer", features=features)


def shift_of(at: int, seed: int) -> float:
    """By how much a column of the current window is shifted in the pair of this seed."""
    return SHIFTS[(at + seed) % len(SHIFTS)]


def make_pair(rows: int, seed: int, landing: Path) -> dict[str, Any]:
    """Writes `reference.parquet` and `current.parquet`: standard normal numbers, and levels cut of such."""
    landing.mkdir(parents=True, exist_ok=True)
    for name, shifted in (("reference", False), ("current", True)):
        salt = 1000 * seed + 500 * shifted

        def normal(at: int, salt: int = salt, shifted: bool = shifted) -> str:
            # Box and Muller (1958), of two hashes.
            first, second = (f"((hash(i, {salt + 50 * half + at}) >> 11) + 1) / 9007199254740993.0" for half in (0, 1))
            return f"sqrt(-2 * ln({first})) * cos(2 * pi() * {second}) + {shift_of(at, seed) if shifted else 0.0}"

        columns = [f"({normal(at)})::FLOAT AS number_{at}" for at in range(NUMBERS)]
        columns += [
            f"'level ' || greatest(0, least({LEVELS - 1}, floor(({normal(NUMBERS + at)} + 2) * {LEVELS} / 4)))::INT "
            f"AS group_{at}"
            for at in range(CATEGORIES)
        ]
        keys = f"'{name}-' || lpad(i::VARCHAR, 9, '0') AS \"order\", 'customer-' || (i // {ROWS_A_KEY}) AS customer"
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT {keys}, hash(i, {salt + 499}) % 5 = 0 AS returned, {', '.join(columns)} "  # noqa: S608
                f"FROM range({rows:d}) AS made(i)) TO {literal(str(landing / f'{name}.parquet'))} (FORMAT parquet)"
            )
    return {"rows": rows}


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
        dataset, reference=reference, current=current, html=html, calibrations=store / "calibrations"
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
    # What both sides need is imported before the clock starts.
    import evidently.metrics
    import evidently.presets  # noqa: F401
    import matplotlib.figure  # noqa: F401

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

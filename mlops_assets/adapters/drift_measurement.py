"""Measures drift with Evidently: how far each column of a window moved from the reference.

Here belongs the library. What the measurements lead to belongs to `mlops_assets.domain.drift`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlops_assets.domain.dataset import SCORES, Dataset
from mlops_assets.domain.drift import ColumnDrift, drift_share

if TYPE_CHECKING:
    from evidently.core.metric_types import Metric

PREDICTION = SCORES
MIN_VALUES = 30
"""Fewer values than this in a column's sample say nothing about its distribution."""


class DriftNotMeasured(Exception):
    """Evidently's report lacks a number that was asked for."""


@dataclass(frozen=True)
class DriftMeasurement:
    """What was measured of a window against the reference."""

    share: float
    sampled_rows: dict[str, int]
    """Rows of the samples, by `reference` and `current`."""
    columns: list[ColumnDrift]
    target: ColumnDrift
    prediction: ColumnDrift


def measure_drift(dataset: Dataset, *, reference: pd.DataFrame, current: pd.DataFrame, html: Path) -> DriftMeasurement:
    """Compares two bounded samples and writes Evidently's report.

    Args:
        dataset: The contract, with the methods and thresholds.
        reference: Rows that the production model learned from, with a column `prediction`: its scores on them.
        current: Rows of the window, likewise.
        html: Where Evidently's page goes.

    Raises:
        DriftNotMeasured: a column that can be measured has no score.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Report
    from evidently import Dataset as EvidentlyDataset
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    drift = dataset.drift
    # Evidently raises for the whole report where one column is all null, so such columns are kept from it.
    unusable = {
        name: note
        for name in (*dataset.features, dataset.target, PREDICTION)
        if (note := _why_unusable(name, reference=reference, current=current))
    }
    numeric = [name for name in dataset.numeric if name not in unusable]
    categorical = [name for name in dataset.categorical if name not in unusable]
    scores: dict[str, float] = {}
    metrics: list[Metric | DataDriftPreset] = []
    if numeric or categorical:
        metrics.append(
            DataDriftPreset(
                columns=[*numeric, *categorical],
                drift_share=drift.drift_share_threshold,
                num_method=drift.numeric_method,
                num_threshold=drift.numeric_threshold,
                cat_method=drift.category_method,
                cat_threshold=drift.category_threshold,
            )
        )
    if dataset.target not in unusable:
        metrics.append(
            ValueDrift(column=dataset.target, method=drift.category_method, threshold=drift.category_threshold)
        )
        categorical.append(dataset.target)
    if PREDICTION not in unusable:
        metrics.append(ValueDrift(column=PREDICTION, method=drift.numeric_method, threshold=drift.numeric_threshold))
        numeric.append(PREDICTION)
    html.parent.mkdir(parents=True, exist_ok=True)
    if not metrics:
        html.write_text("<!doctype html><p>No column could be measured: the samples hold too few values.")
    else:
        definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
        columns = [*numeric, *categorical]
        snapshot = Report(metrics).run(
            current_data=EvidentlyDataset.from_pandas(_plain(current[columns]), data_definition=definition),
            reference_data=EvidentlyDataset.from_pandas(_plain(reference[columns]), data_definition=definition),
        )
        snapshot.save_html(str(html))
        scores = {
            metric["config"]["column"]: float(metric["value"])
            for metric in snapshot.dict()["metrics"]
            if metric["config"]["type"] == "evidently:metric_v2:ValueDrift"
        }

    def column_drift(name: str, *, is_category: bool) -> ColumnDrift:
        if name not in unusable and name not in scores:
            raise DriftNotMeasured(f"Evidently's report has no score for the column {name!r}")
        return ColumnDrift(
            column=name,
            method=drift.category_method if is_category else drift.numeric_method,
            score=scores.get(name),
            threshold=drift.category_threshold if is_category else drift.numeric_threshold,
            note=unusable.get(name, ""),
        )

    features = [column_drift(name, is_category=f.type == "category") for name, f in dataset.features.items()]
    return DriftMeasurement(
        share=drift_share(features),
        sampled_rows={"reference": len(reference), "current": len(current)},
        columns=features,
        target=column_drift(dataset.target, is_category=True),
        prediction=column_drift(PREDICTION, is_category=False),
    )


def _why_unusable(name: str, *, reference: pd.DataFrame, current: pd.DataFrame) -> str | None:
    for role, frame in (("reference", reference), ("current window", current)):
        if (values := int(frame[name].notna().sum())) < MIN_VALUES:
            return f"{values} values in the sample of the {role}, {MIN_VALUES} are needed"
    return None


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Float64 numbers: Evidently's histograms round float32 bounds to values outside their own range."""
    numbers = {name: "float64" for name, kind in frame.dtypes.items() if kind == "float32"}
    return frame.astype(numbers)

"""Evidently's report on two samples: a score and a verdict for each column, and its page.

Here belongs the library, and nothing else imports it. Which columns it is given, and with which thresholds, belongs to
`drift_measurement`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from evidently.core.report import MetricOrContainer


class DriftNotMeasured(Exception):
    """Evidently's report lacks a number that was asked for."""


@dataclass(frozen=True)
class Asked:
    """A column to be measured; Evidently chooses where no method or no threshold is named."""

    name: str
    is_category: bool
    in_preset: bool
    """Whether it is one of the features, which the preset counts."""
    method: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Scored:
    """What Evidently says of a column."""

    method: str
    score: float
    threshold: float
    drifted: bool


def run_report(
    columns: Sequence[Asked],
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    drift_share_threshold: float,
) -> tuple[dict[str, Scored], str]:
    """Runs the drift preset on the features and `ValueDrift` on the others.

    Args:
        columns: At least one; each must have values in both samples, for Evidently fails as a whole where one has none.
        reference: The reference's sample.
        current: The window's sample.
        drift_share_threshold: Shown on the page.

    Returns:
        What it says of each column, and its page.

    Raises:
        DriftNotMeasured: a column has no score, or the page another shape.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Report
    from evidently import Dataset as EvidentlyDataset
    from evidently.metrics import ValueDrift

    from mlops_assets.adapters.evidently_preset import DriftPreset

    preset = None
    metrics: list[MetricOrContainer] = []
    if features := [column for column in columns if column.in_preset]:
        preset = DriftPreset(
            columns=[column.name for column in features],
            drift_share=drift_share_threshold,
            per_column_method={column.name: column.method for column in features if column.method},
            per_column_threshold={column.name: column.threshold for column in features if column.threshold is not None},
        )
        metrics.append(preset)
    metrics += [
        ValueDrift(column=column.name, method=column.method, threshold=column.threshold)
        for column in columns
        if not column.in_preset
    ]
    definition = DataDefinition(
        numerical_columns=[column.name for column in columns if not column.is_category],
        categorical_columns=[column.name for column in columns if column.is_category],
    )
    current_data, reference_data = (
        EvidentlyDataset.from_pandas(_plain(frame[[column.name for column in columns]]), data_definition=definition)
        for frame in (current, reference)
    )
    # Evidently says which columns drifted; of a p-value that cannot be told from the score and the threshold alone.
    snapshot = Report(metrics, include_tests=True).run(current_data=current_data, reference_data=reference_data)
    methods = {column.name: column.method for column in features}
    found = {
        name: Scored(
            method=methods[name] or drift.stattest_name,
            score=float(drift.drift_score),
            threshold=float(drift.stattest_threshold),
            drifted=bool(drift.drift_detected),
        )
        for name, drift in (preset.columns_found(snapshot.context) if preset else {}).items()
    }
    found |= _scored(snapshot.dict())
    if lacking := [column.name for column in columns if column.name not in found]:
        raise DriftNotMeasured(f"Evidently's report has no score for {', '.join(lacking)}")
    return found, _with_safe_texts(snapshot.get_html_str(as_iframe=False))


def _with_safe_texts(page: str) -> str:
    """The page, with the `<` of its data as an escape: a column called `</script>` would else end the script.

    The data are JSON in a script of their own. A text holds no line break there, so that the first line with
    `</script>` is its end.
    """
    before, start, rest = page.partition("<script>\n    var ")
    data, end, after = rest.partition("\n</script>")
    if not end:
        raise DriftNotMeasured("Evidently's page is of another shape than its texts can be made safe in")
    return before + start + data.replace("<", "\\u003c") + end + after


def _scored(report: Mapping[str, Any]) -> dict[str, Scored]:
    """What the `ValueDrift`s of a report say."""
    statuses = {test["metric_config"]["metric_id"]: test["status"] for test in report["tests"]}
    return {
        metric["config"]["column"]: Scored(
            method=metric["config"]["method"],
            score=float(metric["value"]),
            threshold=float(metric["config"]["threshold"]),
            drifted=str(getattr(status, "value", status)) == "FAIL",
        )
        for metric in report["metrics"]
        if metric["config"]["type"] == "evidently:metric_v2:ValueDrift"
        and (status := statuses.get(metric["id"])) is not None
    }


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Finite float64 numbers: Evidently's histograms round float32 bounds to values outside their own range."""
    numbers = {name: "float64" for name, kind in frame.dtypes.items() if kind == "float32"}
    return frame.astype(numbers).replace([np.inf, -np.inf], np.nan)

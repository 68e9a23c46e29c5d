"""Measures a window's drift: which columns can be judged, from which distance on they drifted, what Evidently says.

Here belong the parts of a report put together. Evidently itself belongs to `evidently_report`, the rules of columns and
of chance to `mlops_assets.domain`, what the measurements lead to to `mlops_assets.domain.drift`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.adapters.calibrations import calibrated
from mlops_assets.adapters.drift_page import summary, write_page
from mlops_assets.adapters.evidently_report import Asked, run_report
from mlops_assets.domain.dataset import SCORES, Dataset
from mlops_assets.domain.drift_calibration import MIN_KEYS, CalibratedColumn, Calibration, Sizes
from mlops_assets.domain.drift_columns import ColumnDrift, Unusable, drift_share, is_value, why_unusable

PREDICTION = SCORES


@dataclass(frozen=True)
class DriftMeasurement:
    """What was measured of a window against the reference."""

    share: float | None
    """None where there is not enough data."""
    not_enough_data: str | None
    """What is lacking."""
    sampled_rows: dict[str, int]
    """Rows of the samples, by `reference` and `current`."""
    columns: list[ColumnDrift]
    """The features, in the contract's order; none where there are too few rows."""
    target: ColumnDrift | None = None
    prediction: ColumnDrift | None = None
    """None where no model scored the samples."""
    calibration: Calibration | None = None
    """None in `raw` mode, and where there was nothing to calibrate."""


def measure_drift(
    dataset: Dataset,
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    html: Path,
    title: str,
    calibrations: Path | None = None,
    importance: Mapping[str, float] | None = None,
) -> DriftMeasurement:
    """Compares two bounded samples and writes the report's page.

    Args:
        dataset: The contract, with the methods and thresholds.
        reference: Rows that the production model learned from: row id, split key, features, target and, where a model
            scored them, `prediction`. Their order says nothing.
        current: Rows of the window, likewise.
        html: Where the page goes.
        title: What stands on top of it.
        calibrations: Folder where the calibrations of this reference are kept, if any.
        importance: What the production model loses in AUC without a feature, by name.
    """
    # Sums of the same numbers in another order differ in the last bit, and a verdict might.
    reference, current = (_ordered(frame, by=dataset.row_id) for frame in (reference, current))
    rows = {"reference": len(reference), "current": len(current)}
    if lacking := _too_little(dataset, reference, current):
        write_page(html, [title, *summary(dataset.drift, [], share=None, not_enough_data=lacking)], None)
        return DriftMeasurement(None, lacking, rows, columns=[])
    names = [*dataset.features, dataset.target]
    names += [PREDICTION] if {PREDICTION} <= {*reference.columns} & {*current.columns} else []
    usable, unusable = _sorted_out(dataset, names, reference, current)
    calibration = None
    if usable and dataset.drift.mode == "calibrated":
        sizes = Sizes(rows=_about(len(current)), keys=_about(current[dataset.split_by].nunique()))
        silent = sum(unusable[name].counts_as_drifted is True for name in unusable if name in dataset.features)
        calibration = calibrated(calibrations, dataset, reference, usable, current=sizes, drifted_already=silent)
    measured, page = _measured(dataset, usable, calibration, reference=reference, current=current)
    known = importance or {}
    found = {
        name: replace(
            measured[name] if name in measured else unusable[name],
            nulls=(_nulls(reference, name), _nulls(current, name)),
            importance=known.get(name),
        )
        for name in names
    }
    columns = [found[name] for name in dataset.features]
    lacking = None
    if all(column.counts_as_drifted is None for column in columns):
        lacking = "no column can be judged: " + "; ".join(f"{column.column}: {column.reason}" for column in columns)
    share = None if lacking else drift_share(columns)
    write_page(html, [title, *summary(dataset.drift, columns, share=share, not_enough_data=lacking)], page)
    return DriftMeasurement(
        share=share,
        not_enough_data=lacking,
        sampled_rows=rows,
        columns=columns,
        target=found[dataset.target],
        prediction=found.get(PREDICTION),
        calibration=calibration,
    )


def _about(size: int) -> int:
    """A size rounded down to two digits, so that windows of about one size share a calibration."""
    last: int = 10 ** max(len(str(size)) - 2, 0)
    return size // last * last


def _nulls(sample: pd.DataFrame, name: str) -> float:
    return float(1 - is_value(sample[name]).mean()) if name in sample.columns else 1.0


def _ordered(frame: pd.DataFrame, *, by: str) -> pd.DataFrame:
    """Rows by their id; one that came back in another window stands in an order of its values."""
    settled = frame.iloc[np.argsort(pd.util.hash_pandas_object(frame, index=False).to_numpy(), kind="stable")]
    return settled.sort_values(by, kind="stable", ignore_index=True)


def _too_little(dataset: Dataset, reference: pd.DataFrame, current: pd.DataFrame) -> str | None:
    """What both samples as a whole lack, or None."""
    least = dataset.drift.min_rows
    for role, frame in (("reference", reference), ("current window", current)):
        if len(frame) < least:
            return f"{len(frame)} rows in the {role}, the contract asks for {least} (`[drift] min_rows`)"
    keys = reference[dataset.split_by].nunique()
    if keys < MIN_KEYS and dataset.drift.mode == "calibrated":
        return (
            f"the reference has {keys} split keys (`{dataset.split_by}`), {MIN_KEYS} are needed to tell drift from "
            "chance: rows that share one are not independent; name a finer `split_by`, or more `train_windows` where "
            'windows have keys of their own, or `[drift] mode = "raw"`, which does not tell'
        )
    return None


def _sorted_out(
    dataset: Dataset, names: list[str], reference: pd.DataFrame, current: pd.DataFrame
) -> tuple[list[CalibratedColumn], dict[str, ColumnDrift]]:
    """The columns that can be judged, and what is said of the others."""
    usable, unusable = [], {}
    chance = dataset.drift.false_alarm_rate / len(names)  # any of them may be odd
    keys = (pd.factorize(reference[dataset.split_by])[0], pd.factorize(current[dataset.split_by])[0])
    for name in names:
        column = _as_contracted(dataset, name)
        found = why_unusable(
            reference.get(name),
            current.get(name),
            is_category=column.is_category,
            chance=chance,
            keys=keys,
            min_keys=MIN_KEYS if dataset.drift.mode == "calibrated" else 0,
        )
        if found is None:
            usable.append(column)
        else:
            unusable[name] = _unusable(dataset, column, found)
    return usable, unusable


def _as_contracted(dataset: Dataset, name: str) -> CalibratedColumn:
    drift = dataset.drift
    is_category = name == dataset.target or name in dataset.categorical
    return CalibratedColumn(
        name=name,
        method=drift.category_method if is_category else drift.numeric_method,
        threshold=drift.category_threshold if is_category else drift.numeric_threshold,
        is_category=is_category,
        in_share=name in dataset.features,
    )


def _unusable(dataset: Dataset, column: CalibratedColumn, found: Unusable) -> ColumnDrift:
    counts = found.changed and dataset.drift.unusable == "drifted"
    return ColumnDrift(
        column.name,
        "unusable",
        method=column.method if dataset.drift.mode == "calibrated" else "",
        counts_as_drifted=True if counts else None,
        reason=found.reason,
        changed=found.changed,
    )


def _measured(
    dataset: Dataset,
    columns: list[CalibratedColumn],
    calibration: Calibration | None,
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
) -> tuple[dict[str, ColumnDrift], str | None]:
    """What Evidently says of the columns, and its page; none where it has nothing to say."""
    if not columns:
        return {}, None
    asked = [Asked(column.name, column.is_category, in_preset=column.in_share) for column in columns]
    if calibration is not None:
        thresholds = {
            column.name: calibration.threshold(column, values=int(is_value(current[column.name]).sum()))
            for column in columns
        }
        asked = [
            replace(one, method=column.method, threshold=thresholds[column.name])
            for one, column in zip(asked, columns, strict=True)
        ]
    scored, page = run_report(
        asked,
        reference=reference,
        current=current,
        drift_share_threshold=dataset.drift.drift_share_threshold,
    )
    found = {}
    for column in columns:
        of_column = scored[column.name]
        if not math.isfinite(of_column.score):
            found[column.name] = _unusable(
                dataset, column, Unusable(f"Evidently measures {of_column.score}", changed=True)
            )
            continue
        limit = of_column.threshold if calibration is None else column.threshold
        found[column.name] = ColumnDrift(
            column.name,
            "drifted" if of_column.drifted else "stable",
            method=column.method if calibration else of_column.method,
            score=of_column.score,
            threshold=of_column.threshold,
            times_limit=None if "p_value" in of_column.method else of_column.score / limit,
            counts_as_drifted=of_column.drifted,
        )
    return found, page

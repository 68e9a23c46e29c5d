"""`mlops drift A B`: quality of two stored windows side by side, and the drift from one to the other.

What the loop measures against production by itself belongs to the asset `drift_report`; nothing here starts a training.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlops_assets.adapters.drift_measurement import PREDICTION, DriftMeasurement, measure_drift
from mlops_assets.adapters.release_store import ReleaseStore, missing_inputs
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import RowIdMissing, WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift_columns import ColumnDrift, ranked


@dataclass(frozen=True)
class Comparison:
    """Two windows side by side."""

    reference: DataWindow
    current: DataWindow
    measured: DriftMeasurement
    page: Path

    def as_json(self) -> dict[str, Any]:
        """Everything that `mlops drift --json` prints."""
        return {
            "reference": self.reference.model_dump(mode="json"),
            "current": self.current.model_dump(mode="json"),
            "drift": asdict(self.measured),
            "page": str(self.page),
        }


def compare(settings: Settings, reference: str, current: str) -> Comparison:
    """Measures a window against another, by the contract's rules, as if a model had learned from all of the first.

    Raises:
        UserError: one of them is not there, or is in quarantine.
    """
    demand_state(settings)
    dataset = read_dataset(settings.dataset)
    windows = WindowStore(settings.windows, dataset)
    stored = [_in_use(windows, window) for window in (reference, current)]
    samples = [_sample(windows, window) for window in stored]
    page = settings.reports / f"drift-{reference}.{current}.html"  # no window's own page: their names hold no dot
    scored = _scored(settings, dataset, samples)
    measured = measure_drift(
        dataset, reference=scored[0], current=scored[1], html=page, title=f"{current} beside {reference}"
    )
    return Comparison(stored[0], stored[1], measured, page)


def show(comparison: Comparison, dataset: Dataset, console: Console) -> None:
    """Prints both windows' counts, the columns by the size of their drift, and what they add up to."""
    both = (comparison.reference, comparison.current)
    quality = Table("", *(window.window for window in both), title="quality", title_justify="left", box=SIMPLE_HEAD)
    for name in ("rows", "clean", "quarantined", "labelled"):
        quality.add_row(name, *(f"{getattr(window.counts, name):,}" for window in both))
    for reason in dict.fromkeys(reason for window in both for reason in window.counts.by_reason):
        quality.add_row(f"  {reason}", *(f"{window.counts.by_reason.get(reason, 0):,}" for window in both))
    console.print(quality)
    measured = comparison.measured
    drift = dataset.drift
    if measured.columns:
        console.print(_columns(comparison))
    if measured.share is None:
        console.print(f"not enough data: {measured.not_enough_data}", soft_wrap=True)
        return
    exceeds = "exceeds" if measured.share > drift.drift_share_threshold else "does not exceed"
    counted = [column for column in measured.columns if column.counts_as_drifted is not None]
    console.print(
        f"{sum(bool(column.counts_as_drifted) for column in counted)} of {len(counted)} columns drifted: drift_share "
        f"{measured.share:.4f} {exceeds} the threshold {drift.drift_share_threshold:.4f}",
        soft_wrap=True,
    )
    silent = sum(column.verdict == "unusable" for column in counted)
    if silent / len(counted) > drift.drift_share_threshold:
        console.print(f"{silent} of them cannot be judged, and exceed it by themselves", soft_wrap=True)
    elif (calibration := measured.calibration) is not None:
        console.print(
            f"by chance alone it would in {calibration.false_alarm_rate:.1%} at the most, by {calibration.resamples:,} "
            f"resamples of {comparison.reference.window} at the size of {comparison.current.window} "
            f"({calibration.current.rows:,} rows of {calibration.current.keys:,} split keys)",
            soft_wrap=True,
        )
    console.print(f"Evidently's page: {comparison.page}", soft_wrap=True)


def _columns(comparison: Comparison) -> Table:
    table = Table(
        "column",
        "verdict",
        "counts",
        "score",
        "threshold",
        "nulls",
        "why",
        title="drift",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    measured = comparison.measured
    others = [column for column in (measured.target, measured.prediction) if column is not None]
    for column in (*ranked(measured.columns), *others):
        table.add_row(
            column.column,
            column.verdict,
            column.counts if column in measured.columns else "beside the share",
            _decimal(column.score),
            _decimal(column.threshold),
            "{:.1%} → {:.1%}".format(*column.nulls) if any(column.nulls) else "",
            _why(column, measured),
        )
    return table


def _why(column: ColumnDrift, measured: DriftMeasurement) -> str:
    if column.reason:
        return column.reason
    return "the target" if column == measured.target else "the model's scores" if column == measured.prediction else ""


def _in_use(windows: WindowStore, window: str) -> DataWindow:
    latest, stored = windows.latest(window), windows.current(window)
    if stored is not None:
        return stored
    if latest is not None and latest.fault:
        raise UserError(f"the window {window} is in quarantine: {latest.fault}")
    raise UserError(f"no window {window} is in use; there are: {', '.join(windows.windows()) or 'none'}")


def _sample(windows: WindowStore, window: DataWindow) -> pd.DataFrame:
    dataset = windows.dataset
    lacking = f"row id ({dataset.row_id})"
    with suppress(RowIdMissing):
        version = {window.window: window.data_version}
        sample = windows.draw(version, split=None, max_rows=dataset.drift.sample_rows)
        if dataset.split_by in sample.columns:
            return sample
        lacking = f"split key ({dataset.split_by})"
    raise UserError(
        f"the window {window.window} was stored under a contract without this {lacking}: "
        f"`mlops quarantine requeue {window.window}` takes it up anew"
    )


def _scored(settings: Settings, dataset: Dataset, samples: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The samples with production's scores, where there is a production model that can score both."""
    production = ReleaseStore(settings.releases).production()
    if production is None or missing_inputs(production.model, dataset):
        return samples
    if not all({*dataset.features} <= {*sample.columns} for sample in samples):
        return samples
    return [sample.assign(**{PREDICTION: production.model.score(sample)}) for sample in samples]


def _decimal(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"

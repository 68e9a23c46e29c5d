"""`drift_report`: a window measured against the data that the production model learned from."""

import math

import dagster as dg

from mlops_assets.adapters.drift_measurement import PREDICTION, measure_drift
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.drift import ColumnDrift, decide
from mlops_assets.domain.windows import TRAIN
from mlops_assets.partitions import window_partitions
from mlops_assets.resources import ReportsResource


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window"],
    group_name="loop",
    owners=["team:ml"],
    kinds={"evidently"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def drift_report(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    releases: dg.ResourceParam[ReleaseStore],
    reports: ReportsResource,
) -> dg.MaterializeResult[None]:
    """How far the window moved from what the production model learned from, column by column.

    `drift_share` is the observed share of drifted columns; where it exceeds the threshold, `drift_sensor` trains a
    candidate. Without a production model there is nothing to compare with, and the window trains the first one.
    """
    window = context.partition_key
    current = windows.current(window)
    if current is None:
        raise dg.Failure(f"there is no data window {window}: materialize data_window first", allow_retries=False)
    threshold = windows.dataset.drift.drift_share_threshold
    production = releases.production()
    if production is None:
        decision = decide(None, threshold)
        return dg.MaterializeResult(metadata={"decision": decision.kind, "reason": decision.reason})

    pointer, manifest, model = production
    reference_versions = {part.window: part.data_version for part in manifest.training_windows}
    rows = windows.dataset.drift.sample_rows
    reference = windows.draw(reference_versions, split=TRAIN, max_rows=rows)
    sample = windows.draw({window: current.data_version}, split=None, max_rows=rows)
    page = reports.page(window)
    measured = measure_drift(
        windows.dataset,
        reference=reference.assign(**{PREDICTION: model.score(reference)}),
        current=sample.assign(**{PREDICTION: model.score(sample)}),
        html=page,
    )
    decision = decide(measured.share, threshold)
    return dg.MaterializeResult(
        metadata={
            "drift_share": measured.share,
            "drift_share_threshold": threshold,
            "decision": decision.kind,
            "reason": decision.reason,
            "columns": _table([*measured.columns, measured.target, measured.prediction]),
            "target_drift": _number(measured.target),
            "prediction_drift": _number(measured.prediction),
            "report": dg.MetadataValue.url(reports.link(window)),
            "reference": dg.MetadataValue.json(reference_versions),
            "sampled_rows": dg.MetadataValue.json({"reference": len(reference), "current": len(sample)}),
            "production_version": pointer.model_version,
            "production_epoch": pointer.epoch,
        }
    )


def _table(columns: list[ColumnDrift]) -> dg.MetadataValue:
    ranked = sorted(columns, key=lambda column: -math.inf if column.score is None else -column.score)
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": column.column,
                    "drifted": column.drifted,
                    "score": "-" if column.score is None else f"{column.score:.4f}",
                    "threshold": column.threshold,
                    "method": column.method,
                    "note": column.note,
                }
            )
            for column in ranked
        ]
    )


def _number(column: ColumnDrift) -> float | str:
    return column.note if column.score is None else column.score

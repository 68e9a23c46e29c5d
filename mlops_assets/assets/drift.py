"""`drift_report`: a window measured against the data that the production model learned from."""

import math
from collections.abc import Iterator

import dagster as dg

from mlops_assets.adapters.drift_measurement import PREDICTION, DriftMeasurement, measure_drift
from mlops_assets.adapters.event_log import evidence_of, newest_report, reported_value
from mlops_assets.adapters.provenance import code_sha256, lock_sha256
from mlops_assets.adapters.release_store import Release, ReleaseStore
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift import ColumnDrift, Learned, Situation, Tried, decide
from mlops_assets.domain.windows import TRAIN, missing_labels
from mlops_assets.partitions import window_partitions
from mlops_assets.resources import ReportsResource

ROOT_RUN_TAG = "dagster/root_run_id"
"""On a retry: the run that it retries, from the first on."""


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window"],
    output_required=False,
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
) -> Iterator[dg.MaterializeResult[None]]:
    """How far the window moved from what the production model learned from, column by column.

    `drift_share` is the observed share of drifted columns; where it exceeds the threshold, `drift_sensor` trains a
    candidate. Without a production model there is nothing to compare with, and the window trains the first one. A
    window in quarantine has no report.
    """
    window = context.partition_key
    latest, current = windows.latest(window), windows.current(window)
    if latest is not None and latest.fault:
        context.log.warning(f"window {window} is in quarantine, its drift is not measured: {latest.fault}")
        return
    if current is None:
        raise dg.Failure(f"there is no data window {window}: materialize data_window first", allow_retries=False)
    production = releases.production()
    measured = None if production is None else _measure(windows, reports, production, current)
    decision = decide(_situation(context.instance, windows, production, current, measured))
    metadata: dict[str, dg.MetadataValue] = {
        "decision": dg.MetadataValue.text(decision.kind),
        "reason": dg.MetadataValue.text(decision.reason),
        "trains": dg.MetadataValue.text(decision.trains or ""),
        "data_version": dg.MetadataValue.text(current.data_version),
    }
    if production is not None:
        metadata |= {
            "production_version": dg.MetadataValue.int(production.pointer.model_version),
            "production_epoch": dg.MetadataValue.int(production.pointer.epoch),
            "production_manifest_sha256": dg.MetadataValue.text(production.pointer.manifest_sha256),
            "reference": dg.MetadataValue.json(production.learned),
        }
    if measured is not None:
        metadata |= {
            "drift_share": dg.MetadataValue.float(measured.share),
            "drift_share_threshold": dg.MetadataValue.float(windows.dataset.drift.drift_share_threshold),
            "columns": _table([*measured.columns, measured.target, measured.prediction]),
            "target_drift": _number(measured.target),
            "prediction_drift": _number(measured.prediction),
            "report": dg.MetadataValue.url(reports.link(window)),
            "sampled_rows": dg.MetadataValue.json(measured.sampled_rows),
        }
    yield dg.MaterializeResult(metadata=metadata)


def _measure(
    windows: WindowStore, reports: ReportsResource, production: Release, current: DataWindow
) -> DriftMeasurement | None:
    """The window beside what production learned from; None where the contract changed since, so nothing is alike."""
    stored = [windows.stored(window, version) for window, version in production.learned.items()]
    if any(part is None or part.shape != windows.dataset.shape for part in stored):
        return None
    rows = windows.dataset.drift.sample_rows
    reference = windows.draw(production.learned, split=TRAIN, max_rows=rows)
    sample = windows.draw({current.window: current.data_version}, split=None, max_rows=rows)
    return measure_drift(
        windows.dataset,
        reference=reference.assign(**{PREDICTION: production.model.score(reference)}),
        current=sample.assign(**{PREDICTION: production.model.score(sample)}),
        html=reports.page(current.window),
    )


def _situation(
    instance: dg.DagsterInstance,
    windows: WindowStore,
    production: Release | None,
    current: DataWindow,
    measured: DriftMeasurement | None,
) -> Situation:
    learned = Learned(production.manifest.validation_window.window, production.learned) if production else None
    newest = current.window
    if learned is not None and learned.window > newest and _is_of_shape(windows, learned.window):
        newest = learned.window
    would_learn = Learned(newest, {part.window: part.data_version for part in windows.training_windows(newest)})
    return Situation(
        window=current.window,
        threshold=windows.dataset.drift.drift_share_threshold,
        missing_labels=missing_labels(windows.dataset, current.counts),
        production=learned,
        production_epoch=production.pointer.epoch if production else None,
        share=measured.share if measured else None,
        would_learn=would_learn,
        judged_by=_judged_by(windows.dataset),
        tried=_tried(instance, newest),
    )


def _is_of_shape(windows: WindowStore, window: str) -> bool:
    stored = windows.current(window)
    return stored is not None and stored.shape == windows.dataset.shape


def _judged_by(dataset: Dataset) -> dict[str, object]:
    return {
        "training": dataset.training.model_dump(mode="json"),
        "min_gain": dataset.gate.min_gain,
        "max_differing_share": dataset.gate.max_differing_share,
        "code_sha256": code_sha256(),
        "lock_sha256": lock_sha256(),
    }


def _tried(instance: dg.DagsterInstance, window: str) -> Tried | None:
    """The newest candidate of a window, as its evidence says it; None where it was never decided on."""
    candidate = newest_report(instance, "candidate_model", window)
    evidence = evidence_of(candidate) if candidate else None
    if candidate is None or evidence is None or not _was_decided_on(instance, candidate.run_id):
        return None
    return Tried(
        Learned(evidence.window, evidence.training_windows),
        evidence.production.epoch if evidence.production else None,
        judged_by={
            "training": reported_value(candidate, "training"),
            "min_gain": evidence.min_gain,
            "max_differing_share": evidence.max_differing_share,
            "code_sha256": evidence.code_sha256,
            "lock_sha256": evidence.lock_sha256,
        },
    )


def _was_decided_on(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run that made a candidate, or a retry of it, went on to `production_model` and succeeded.

    One that failed between the two (no space for the ledger, MLflow down) has promoted nothing and refused nothing.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or (run.asset_selection and dg.AssetKey("production_model") not in run.asset_selection):
        return False
    retried = dg.RunsFilter(tags={ROOT_RUN_TAG: run.root_run_id or run_id}, statuses=[dg.DagsterRunStatus.SUCCESS])
    return run.is_success or instance.get_runs_count(retried) > 0


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


def _number(column: ColumnDrift) -> dg.MetadataValue:
    return dg.MetadataValue.text(column.note) if column.score is None else dg.MetadataValue.float(column.score)

"""What the decision on a window looks at, found in Dagster's event log and runs and in the window store.

Here belongs finding it. What it leads to belongs to `mlops_assets.domain.drift`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile

import dagster as dg

from mlops_assets.adapters.drift_measurement import DriftMeasurement
from mlops_assets.adapters.event_log import evidence_of, newest_report, reported_value
from mlops_assets.adapters.provenance import code_sha256, lock_sha256
from mlops_assets.adapters.release_store import Release
from mlops_assets.adapters.training_runs import ROOT_RUN_TAG, answered_report, trained_windows, trainings_started
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift import Learned, NotEnoughData, Situation, Tried
from mlops_assets.domain.windows import missing_labels


def situation_of(
    instance: dg.DagsterInstance,
    windows: WindowStore,
    production: Release | None,
    current: DataWindow,
    measured: DriftMeasurement | None,
) -> Situation:
    """The situation of a window that was just measured.

    Args:
        instance: Where the loop's earlier reports and trainings are recorded.
        windows: The window store.
        production: The production model; None before the first promotion.
        current: The window.
        measured: Its drift; None where there is nothing to compare with.
    """
    policy = windows.dataset.retraining
    learned = Learned(production.manifest.validation_window.window, production.learned) if production else None
    epoch = production.pointer.epoch if production else None
    newest = current.window
    if learned is not None and learned.window > newest and _is_of_shape(windows, learned.window):
        newest = learned.window
    return Situation(
        window=current.window,
        threshold=windows.dataset.drift.drift_share_threshold,
        policy=policy,
        missing_labels=missing_labels(windows.dataset, current.counts),
        production=learned,
        production_epoch=epoch,
        measured=_share(measured) if measured else None,
        earlier=_earlier(instance, windows, learned, epoch, current.window),
        windows_since_training=_windows_since_training(instance, windows, current.window),
        trainings=trainings_started(instance, policy, now=datetime.now(UTC)),
        would_learn=Learned(newest, {part.window: part.data_version for part in windows.training_windows(newest)}),
        judged_by=judged_by(windows.dataset),
        tried=_tried(instance, newest),
    )


def _is_of_shape(windows: WindowStore, window: str) -> bool:
    stored = windows.current(window)
    return stored is not None and stored.shape == windows.dataset.shape


def _share(measured: DriftMeasurement) -> float | NotEnoughData | None:
    return measured.share if measured.not_enough_data is None else NotEnoughData(measured.not_enough_data)


def _newest_before(windows: WindowStore, window: str) -> Iterator[str]:
    """The windows in use of earlier periods, newest first; a record is read when its window is asked for."""
    return (name for name in reversed(windows.windows()) if name < window and windows.current(name) is not None)


def _earlier(
    instance: dg.DagsterInstance, windows: WindowStore, learned: Learned | None, epoch: int | None, window: str
) -> dict[str, float]:
    """As many drift shares as the rules look at: a query for each window, the newest first, until they are found.

    A share against production of another epoch says nothing of this one, nor does one by other settings, and too little
    data is no share at all.
    """
    if learned is None:
        return {}
    found: dict[str, float] = {}
    for name in takewhile(lambda name: name > learned.window, _newest_before(windows, window)):
        if len(found) == windows.dataset.retraining.of_last - 1:
            break
        report = newest_report(instance, "drift_report", name)
        if report is not None and (share := _share_against(report, epoch, windows.dataset)) is not None:
            found[name] = share
    return found


def _share_against(report: dg.EventLogRecord, epoch: int | None, dataset: Dataset) -> float | None:
    """The drift share that a report measured against production of this epoch, by these settings, if it did."""
    share = reported_value(report, "drift_share")
    if reported_value(report, "production_epoch") != epoch or reported_value(report, "not_enough_data") is not None:
        return None
    if reported_value(report, "settings") != dataset.drift.model_dump(mode="json"):
        return None
    return share if isinstance(share, float) else None


def _windows_since_training(instance: dg.DagsterInstance, windows: WindowStore, window: str) -> int | None:
    if not windows.dataset.retraining.cooldown_windows:
        return None
    looked_at = list(islice(_newest_before(windows, window), windows.dataset.retraining.cooldown_windows))
    trained = trained_windows(instance, looked_at)
    return next((since for since, name in enumerate(looked_at) if name in trained), None)


def judged_by(dataset: Dataset) -> dict[str, object]:
    """What a candidate of now would be made and judged by: with another of it, a lost comparison may be won."""
    return {
        "training": dataset.training.model_dump(mode="json"),
        "gate": dataset.gate.model_dump(mode="json"),
        "segments": list(dataset.segments),
        "known_cases": [case.model_dump(mode="json") for case in dataset.known_cases],
        "code_sha256": code_sha256(),
        "lock_sha256": lock_sha256(),
    }


def _tried(instance: dg.DagsterInstance, window: str) -> Tried | None:
    """The last training on a window that was decided on."""
    candidate, answered = newest_report(instance, "candidate_model", window), answered_report(instance, window)
    if answered is not None and (candidate is None or candidate.storage_id < answered):
        return _tried_in_vain(instance, answered)
    return _tried_candidate(instance, candidate) if candidate else None


def _tried_in_vain(instance: dg.DagsterInstance, answered: int) -> Tried | None:
    """A training that found the models not comparable: of it there is no more than what its report asked for."""
    of_id = dg.AssetRecordsFilter(asset_key=dg.AssetKey("drift_report"), storage_ids=[answered])
    report = next(iter(instance.fetch_materializations(of_id, limit=1).records), None)
    learned = reported_value(report, "would_learn") if report else None
    if report is None or learned is None:
        return None
    epoch = reported_value(report, "production_epoch")
    return Tried(Learned(**learned), epoch, judged_by=reported_value(report, "judged_by"))


def _tried_candidate(instance: dg.DagsterInstance, candidate: dg.EventLogRecord) -> Tried | None:
    """A candidate, as its evidence says it; None where it was never decided on."""
    evidence = evidence_of(candidate)
    if evidence is None or not _was_decided_on(instance, candidate.run_id):
        return None
    return Tried(
        Learned(evidence.window, evidence.training_windows),
        evidence.production.epoch if evidence.production else None,
        judged_by=reported_value(candidate, "judged_by"),
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

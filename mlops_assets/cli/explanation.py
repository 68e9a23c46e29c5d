"""What happened to one window, and why, read from the stores, the ledger and Dagster's event log.

Here belongs reading. How it is shown belongs to `explain`, a line for each window to `history`.
"""

import time
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.event_log import evidence_of, newest_report, reported_value
from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.drift import silent_features
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import DatasetInvalid, read_dataset
from mlops_assets.domain.approval import waiting
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import faults
from mlops_assets.domain.windows import missing_labels, window_name
from mlops_assets.jobs import training_job, window_job
from mlops_assets.sensors.drift import answer_of

Explanation = dict[str, Any]
CANDIDATE = dg.AssetKey("candidate_model")
MEASURED = (
    "drift_share",
    "drift_share_threshold",
    "not_enough_data",
    "target_drift",
    "prediction_drift",
    "calibration",
    "sampled_rows",
    "production_version",
    "production_epoch",
    "reference",
    "report",
)
"""What a drift report says in one value each. One that was made by an earlier version says less."""


def read_explanation(settings: Settings, window: str) -> Explanation:
    """Everything that `mlops explain --json` prints; a part is None where it did not happen (yet).

    Raises:
        UserError: there is no loop, or nothing is known of the window.
        WindowNameInvalid: no window can have this name.
    """
    demand_state(settings)
    if not dagster_databases.are_made(settings):
        raise UserError(f"there is no loop in {settings.state}; `mlops up` or `mlops demo` starts one")
    windows = WindowStore(settings.windows, read_dataset(settings.dataset))
    with dagster_instance(settings) as instance:
        _demand_known(settings, instance, windows, window_name(window))
        return explanation_of(instance, windows, Ledger(settings.ledger_url), Approvals(settings.ledger_url), window)


def explanation_of(
    instance: dg.DagsterInstance, windows: WindowStore, ledger: Ledger, approvals: Approvals, window: str
) -> Explanation:
    """The same of a window that is known."""
    report = newest_report(instance, "drift_report", window)
    run, candidate = _training(instance, window, report)
    evidence = evidence_of(candidate) if candidate else None
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": window}, statuses=UNFINISHED), limit=1)
    # A retry goes on from what the run before it made.
    judged_in = candidate.run_id if candidate else run.run_id if run else None
    return {
        "window": window,
        "running": runs[0].job_name if runs else None,
        "landed": _landed(instance, windows, window),
        "drift": _drift(report, windows) if report else None,
        "decision": _decision(report) if report else None,
        "training": _as_said(instance, run, candidate, report) if run or candidate else None,
        "candidate": evidence.model_dump(mode="json") if evidence else None,
        "checks": _checks(instance, judged_in) if judged_in else [],
        "outcome": _outcome(instance, ledger, approvals, run, evidence) if run or candidate else None,
    }


def _demand_known(settings: Settings, instance: dg.DagsterInstance, windows: WindowStore, window: str) -> None:
    known = {*instance.get_dynamic_partitions("window"), *windows.windows()}
    if window in known:
        return
    landing, fault = landing_at(settings.landing_location, windows.dataset, settings.spool), ""
    try:
        known |= {found.window for found in landing.landed(now=time.time())}
    except SourceDown as error:
        fault = f"; whether it has landed cannot be seen: {error}"
    if window in known:
        return
    close = get_close_matches(window, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"nothing is known of a window {window}; {meant}known are: {_some(sorted(known))}{fault}")


def _some(names: list[str], *, most: int = 12) -> str:
    """The newest names."""
    return f"{'..., ' if len(names) > most else ''}{', '.join(names[-most:]) or 'none'}"


def _landed(instance: dg.DagsterInstance, windows: WindowStore, window: str) -> Explanation:
    intake, data = windows.latest(window), newest_report(instance, "data_window", window)
    version = intake.data_version if intake else reported_value(data, "data_version") if data else None
    stored = windows.stored(window, version) if version and (intake is None or intake.can_be_read) else None
    landed: Explanation = {
        "state": "in use",
        "fault": intake.fault if intake else _fault_of_taking_up(instance, window),
        "data_version": version,
        "landed_at": _time(intake.landed_at) if intake else None,
        "rows": None,
        "waits_for": None,
    }
    if intake is None:
        landed["state"] = "not taken up" if data is None else "out of use"
    elif intake.fault:
        landed["state"] = "in quarantine"
    if stored is not None:
        counts = stored.counts
        landed |= {name: getattr(counts, name) for name in ("rows", "clean", "quarantined", "labelled")}
        landed["by_reason"] = dict(sorted(counts.by_reason.items(), key=lambda item: -item[1]))
        landed["waits_for"] = missing_labels(windows.dataset, counts)
    return landed


def _fault_of_taking_up(instance: dg.DagsterInstance, window: str) -> str | None:
    of_window = dg.RunsFilter(job_name=window_job.name, tags={"dagster/partition": window})
    runs = instance.get_runs(of_window, limit=1)
    return _failure(instance, runs[0]) if runs else None


def _drift(report: dg.EventLogRecord, windows: WindowStore) -> Explanation:
    said = {name: value for name in MEASURED if (value := reported_value(report, name)) is not None}
    current, version = windows.current(str(report.partition_key)), reported_value(report, "data_version")
    columns = _columns(report)
    counted = [column for column in columns if column["counts"] in ("drifted", "stable")]
    return {
        **dict.fromkeys(MEASURED),
        **said,
        "settings": reported_value(report, "settings") or {},
        "silent_features": silent_features(report),
        "measured_at": _time(report.timestamp),
        "data_version": version,
        "is_of_data_in_use": current is not None and current.data_version == version,
        "columns": columns,
        "drifted_columns": sum(column["counts"] == "drifted" for column in counted),
        "judged_columns": len(counted),
    }


def _columns(report: dg.EventLogRecord) -> list[Explanation]:
    """The columns in the report's order; a report by an earlier version has a flag and a note instead of a verdict."""

    def number(value: object) -> float | None:
        return None if value in (None, "-") else float(str(value))

    table = reported_value(report, "columns")
    records = [record.data for record in table.records] if isinstance(table, dg.TableMetadataValue) else []
    return [
        {
            "column": record["column"],
            "verdict": record.get("verdict", "drifted" if record.get("drifted") else "stable"),
            "counts": record.get("counts"),
            "score": number(record.get("score")),
            "threshold": number(record.get("threshold")),
            "importance": number(record.get("importance")),
            "nulls": record.get("nulls"),
            "method": record.get("method"),
            "reason": record.get("reason", record.get("note", "")),
        }
        for record in records
    ]


def _decision(report: dg.EventLogRecord) -> Explanation:
    answer = answer_of(report)
    return {
        "kind": answer.decision,
        "reason": answer.reason,
        "trains": answer.trains,
        "steps": reported_value(report, "steps") or [],
    }


def _training(
    instance: dg.DagsterInstance, window: str, report: dg.EventLogRecord | None
) -> tuple[dg.DagsterRun | None, dg.EventLogRecord | None]:
    """The run that answers the report, or else trained on the window last, and the candidate that it made."""
    trains = (answer_of(report).trains if report else None) or window
    made = dg.AssetRecordsFilter(asset_key=CANDIDATE, asset_partitions=[trains])
    if report and (runs := instance.get_runs(dg.RunsFilter(tags={ANSWERS_TAG: str(report.storage_id)}))):
        own = {run.run_id for run in runs}
        candidates = instance.fetch_materializations(made, limit=20).records
        return runs[0], next((candidate for candidate in candidates if candidate.run_id in own), None)
    candidate = newest_report(instance, "candidate_model", window)
    if candidate is not None:
        return instance.get_run_by_id(candidate.run_id), candidate
    of_window = dg.RunsFilter(job_name=training_job.name, tags={"dagster/partition": window})
    return next(iter(instance.get_runs(of_window, limit=1)), None), None


def _as_said(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun | None,
    candidate: dg.EventLogRecord | None,
    report: dg.EventLogRecord | None,
) -> Explanation:
    answers = run.tags.get(ANSWERS_TAG) if run else None
    return {
        "run_id": run.run_id if run else candidate.run_id if candidate else None,
        "status": run.status.value.lower() if run else "deleted",
        "window": run.tags.get("dagster/partition") if run else candidate.partition_key if candidate else None,
        "started_by": "drift_sensor" if answers else "hand",
        "answers_this_report": report is not None and answers == str(report.storage_id),
        "failure": _failure(instance, run) if run else None,
    }


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run failed, as far as a step says it."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return None
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)):
        event = entry.dagster_event
        failed = event.step_failure_data if event else None
        if failed and failed.user_failure_data and failed.user_failure_data.description:
            return failed.user_failure_data.description
        if failed and failed.error:
            return (failed.error.cause or failed.error).message.strip()
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        event = entry.dagster_event
        error = event.engine_event_data.error if event else None
        if error is not None:
            return _contracts_fault(error) or error.message.strip()
    return "the run ended without a step that failed: its worker died, or was stopped"


def _contracts_fault(error: SerializableErrorInfo) -> str | None:
    """What is wrong with the contract, where that is why the graph could not be loaded."""
    link: SerializableErrorInfo | None = error
    while link is not None:
        if link.cls_name == DatasetInvalid.__name__:
            return link.message.strip().removeprefix(f"{DatasetInvalid.__module__}.{DatasetInvalid.__name__}: ")
        link = link.cause
    return None


def _checks(instance: dg.DagsterInstance, run_id: str) -> list[Explanation]:
    """The gate's verdicts in a run, with the numbers that they judged."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)]
    evaluations = [event.asset_check_evaluation_data for event in events if event]
    return [
        {
            "name": evaluation.check_name,
            "passed": evaluation.passed,
            "description": evaluation.description,
            "numbers": {
                name: value.value
                for name, value in evaluation.metadata.items()
                if isinstance(value, dg.FloatMetadataValue | dg.IntMetadataValue)
            },
        }
        for evaluation in evaluations
        if evaluation.asset_key == CANDIDATE
    ]


def _outcome(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    approvals: Approvals,
    run: dg.DagsterRun | None,
    evidence: Evidence | None,
) -> Explanation:
    """What became of a training: promoted, refused, failed or running, and why."""
    version = evidence.candidate.version if evidence else None
    promotions = [promotion for promotion, outcome in ledger.history() if outcome == "done"]
    for promotion in promotions:
        if promotion.model_version == version:
            return {
                "verdict": "promoted",
                "why": [promotion.reason],
                "epoch": promotion.epoch,
                "at": promotion.at,
                "is_production": promotion == promotions[0],
            }
    outcome: Explanation = {"verdict": "refused", "why": [], "epoch": None, "at": None, "is_production": False}
    if run is not None and run.status in UNFINISHED:
        return {**outcome, "verdict": "running"}
    if run is not None and run.status != dg.DagsterRunStatus.SUCCESS:
        return {**outcome, "verdict": "failed", "why": [_failure(instance, run) or "it was stopped"]}
    if evidence is None:
        return {**outcome, "why": ["no candidate came of it; the gate's checks say why"]}
    if found := faults(evidence):
        return {**outcome, "why": found}
    return {**outcome, "verdict": "passed", "why": [_held_back(ledger, approvals, evidence)]}


def _held_back(ledger: Ledger, approvals: Approvals, evidence: Evidence) -> str:
    """Why a candidate that passed the gate is not production."""
    if (hold := ledger.hold()) is not None:
        return str(hold)
    request, answer = approvals.newest(evidence.candidate.version) or (None, None)
    if request is not None and request.evidence_sha256 == evidence.sha256:
        return waiting(request) if answer is None else f"{answer.answer} by {answer.actor}: {answer.reason}"
    return "production moved while it was trained, so the comparison was stale"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

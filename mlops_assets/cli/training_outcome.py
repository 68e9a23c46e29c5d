"""What came of a window's training, read from Dagster's event log, the ledger and the approvals.

A part of `explanation`. Here belongs which run and which candidate are the window's, what its gate said, and why it is
production or is not.
"""

from typing import Any

import dagster as dg

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.event_log import newest_report
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.cli.run_failure import failure_of
from mlops_assets.domain.approval import waiting
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import faults
from mlops_assets.jobs import training_job
from mlops_assets.sensors.drift import answer_of

CANDIDATE = dg.AssetKey("candidate_model")


def training_of(
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


def described_training(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun | None,
    candidate: dg.EventLogRecord | None,
    report: dg.EventLogRecord | None,
) -> dict[str, Any]:
    """The run of a training: who started it, on which window, and how it went."""
    answers = run.tags.get(ANSWERS_TAG) if run else None
    return {
        "run_id": run.run_id if run else candidate.run_id if candidate else None,
        "status": run.status.value.lower() if run else "deleted",
        "window": run.tags.get("dagster/partition") if run else candidate.partition_key if candidate else None,
        "started_by": "drift_sensor" if answers else "hand",
        "answers_this_report": report is not None and answers == str(report.storage_id),
        "failure": failure_of(instance, run) if run else None,
    }


def gate_checks(instance: dg.DagsterInstance, run_id: str) -> list[dict[str, Any]]:
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


def outcome_of(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    approvals: Approvals,
    run: dg.DagsterRun | None,
    evidence: Evidence | None,
) -> dict[str, Any]:
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
    outcome: dict[str, Any] = {"verdict": "refused", "why": [], "epoch": None, "at": None, "is_production": False}
    if run is not None and run.status in UNFINISHED:
        return {**outcome, "verdict": "running"}
    if run is not None and run.status != dg.DagsterRunStatus.SUCCESS:
        return {**outcome, "verdict": "failed", "why": [failure_of(instance, run) or "it was stopped"]}
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

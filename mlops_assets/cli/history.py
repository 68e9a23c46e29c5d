"""What the loop did, window by window, read from Dagster's event log.

Here belongs reading. How it is shown belongs to `status` and `demo`.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dagster as dg

from mlops_assets.adapters.event_log import evidence_of, newest_report, reported_value
from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.checks.drift import silent_features
from mlops_assets.config import Settings
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import faults, verdict
from mlops_assets.jobs import training_job, window_job
from mlops_assets.sensors.drift import answer_of


@dataclass(frozen=True)
class WindowHistory:
    """What happened to one window; a field is None where it did not happen (yet)."""

    window: str
    rows: int | None = None
    drift_share: float | None = None
    decision: str | None = None
    trains: bool = False
    """Whether the decision asks for a candidate of this window."""
    realised_auc: float | None = None
    """AUC, on its labelled rows, of the model that was production when it landed."""
    candidate_version: int | None = None
    candidate_auc: float | None = None
    production_auc: float | None = None
    verdict: str | None = None
    """promoted, passed (the gate, and waits for approval, or for a hold to be lifted), refused, undecided (refused, for
    more rows may show its gain), unfit (the window itself), or failed."""
    fault: str | None = None
    waits_for: str | None = None
    """The labels that its training waits for."""
    silent_features: tuple[str, ...] = ()
    """Those that its drift report can no longer judge, with their reasons."""
    landed_at: float | None = None
    running: str | None = None
    """The job that works on it now."""
    run_id: str | None = None
    """Its newest Dagster run."""

    @property
    def handled(self) -> bool:
        """Whether the loop has done with it all that there is to do."""
        done = self.verdict in ("promoted", "passed", "refused", "undecided", "unfit") or (
            self.decision is not None and not self.trains
        )
        return self.running is None and done


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The loop's Dagster instance."""
    os.environ["DAGSTER_HOME"] = str(settings.state / "dagster")
    with dg.DagsterInstance.get() as instance:
        yield instance


def window_histories(instance: dg.DagsterInstance, promoted: Collection[int]) -> list[WindowHistory]:
    """All windows that were ever taken up, oldest period first.

    Args:
        instance: The loop's Dagster instance.
        promoted: Versions that the ledger has promoted.
    """
    windows = sorted(instance.get_dynamic_partitions("window"))
    return [window_history(instance, window, promoted) for window in windows]


def window_history(instance: dg.DagsterInstance, window: str, promoted: Collection[int]) -> WindowHistory:
    """What happened to one window."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": window}), limit=20)
    running = next((run.job_name for run in runs if run.status in UNFINISHED), None)
    run_id = runs[0].run_id if runs else None
    ingests = [run for run in runs if run.job_name == window_job.name]
    data = newest_report(instance, "data_window", window)
    failed = bool(ingests) and running is None and (data is None or data.run_id not in _tries(ingests[0]))
    if data is None or failed:
        fault = f"the run {ingests[0].run_id[:8]} ended {ingests[0].status.value.lower()}" if failed else None
        return WindowHistory(window, running=running, run_id=run_id, fault=fault, verdict="failed" if failed else None)
    history = WindowHistory(
        window,
        rows=reported_value(data, "rows"),
        landed_at=reported_value(data, "landed_at"),
        running=running,
        run_id=run_id,
        fault=reported_value(data, "fault"),
    )
    if history.fault:
        return replace(history, verdict="unfit")
    drift = newest_report(instance, "drift_report", window)
    if drift is None or drift.storage_id < data.storage_id:
        return history
    answer, realised = answer_of(drift), newest_report(instance, "realised_performance", window)
    history = replace(
        history,
        drift_share=reported_value(drift, "drift_share"),
        decision=answer.decision,
        trains=answer.trains == window,
        realised_auc=reported_value(realised, "realised_auc") if realised else None,
        waits_for=answer.reason if answer.decision == "waits for labels" else None,
        silent_features=tuple(silent_features(drift)),
    )
    candidate = newest_report(instance, "candidate_model", window)
    evidence = evidence_of(candidate) if candidate else None
    # A report that asks for a training waits for its own; one that asks for none leaves the last candidate's verdict.
    since = drift if history.trains else data
    if candidate is None or evidence is None or candidate.storage_id < since.storage_id:
        if running is not None or not runs or runs[0].job_name != training_job.name:
            return history
        # A training that ends without a candidate has found the models not comparable: its checks are red.
        return replace(history, verdict="failed" if runs[0].status == dg.DagsterRunStatus.FAILURE else "refused")
    version = evidence.candidate.version
    trainings = [run for run in runs if run.job_name == training_job.name]
    ended = trainings[0] if trainings else instance.get_run_by_id(candidate.run_id)
    outcome = None
    if version in promoted:
        outcome = "promoted"
    elif running is None:
        outcome = _not_promoted(evidence) if ended and ended.status == dg.DagsterRunStatus.SUCCESS else "failed"
    return replace(
        history,
        candidate_version=version,
        candidate_auc=evidence.candidate.auc,
        production_auc=evidence.production.auc if evidence.production else None,
        verdict=outcome,
    )


def _tries(run: dg.DagsterRun) -> set[str | None]:
    """The runs that a run goes on from: one that is tried again does not make anew what was made already."""
    return {run.run_id, run.parent_run_id, run.root_run_id}


def _not_promoted(evidence: Evidence) -> str:
    if not faults(evidence):
        return "passed"
    return "undecided" if verdict(evidence) == "undecided" else "refused"

"""Runs that train, and which of them the loop started: of its own accord, to answer a drift report.

Here belongs what Dagster's run storage says of them; what they made belongs to `event_log`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import dagster as dg

from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.domain.dataset_tables import Retraining

ANSWERS_TAG = "mlops/drift_report"
"""On a training that the loop started: the storage id of the report that it answers."""
DECISION_TAG = "mlops/decision"
"""On it too: what the report decided."""
LANE = {"mlops/lane": "training"}
"""On every run that trains: one at a time, see dagster.yaml."""
ROOT_RUN_TAG = "dagster/root_run_id"
"""On a retry: the run that it retries, from the first on."""

_FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def trainings_started(instance: dg.DagsterInstance, policy: Retraining, *, now: datetime) -> list[datetime]:
    """When the loop started its trainings of the last `budget_days`; empty where the policy names no budget.

    A retry is no training of its own, whoever asked for it; what a person starts is not the loop's to count; and a
    first model answers no drift.
    """
    if policy.budget_trainings is None:
        return []
    lately = dg.RunsFilter(tags=LANE, created_after=now - timedelta(days=policy.budget_days))
    return [
        record.create_timestamp
        for record in instance.get_run_records(lately)
        if ANSWERS_TAG in record.dagster_run.tags
        and record.dagster_run.tags.get(DECISION_TAG) != "first"
        and record.dagster_run.parent_run_id is None
    ]


def last_training_ended(instance: dg.DagsterInstance, job: str) -> float | None:
    """When a run of a job that trains last ended, in seconds since the epoch; None where none has.

    Of the newest ones: one that was queued later may have been cancelled earlier.
    """
    over = dg.RunsFilter(job_name=job, statuses=[status for status in dg.DagsterRunStatus if status not in UNFINISHED])
    return max((record.end_time or 0.0 for record in instance.get_run_records(over, limit=20)), default=None)


def answered_report(instance: dg.DagsterInstance, window: str) -> int | None:
    """The storage id of the report that the last training on a window answered; None where the loop started none.

    Of a training that came to its end; one that failed has said nothing.
    """
    of_window = dg.RunsFilter(tags={**LANE, "dagster/partition": window}, statuses=[dg.DagsterRunStatus.SUCCESS])
    runs = instance.get_runs(of_window, limit=1)
    answers = runs[0].tags.get(ANSWERS_TAG) if runs else None
    return int(answers) if answers else None


def trained_windows(instance: dg.DagsterInstance, windows: Collection[str]) -> set[str]:
    """Those of the windows that the loop trained a candidate on, or does now; a training that failed made none."""
    statuses = [status for status in dg.DagsterRunStatus if status not in _FAILED]
    runs = instance.get_runs(dg.RunsFilter(tags={**LANE, "dagster/partition": list(windows)}, statuses=statuses))
    return {run.tags["dagster/partition"] for run in runs if ANSWERS_TAG in run.tags}

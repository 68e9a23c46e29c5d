"""Runs in Dagster's run storage, and which of them are still to come to their end.

Here belongs what holds of runs of any job; what trains belongs to `training_runs`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


RETRY_SECONDS = 600
"""Dagster retries a run within half a minute of its end, and where it does not, as of a backfill that was cancelled
since, the run's tag goes on saying that it will."""


def under_way(instance: dg.DagsterInstance, job: str, *, tags: Mapping[str, str] | None = None) -> str | None:
    """What a job's runs, with these tags if any are named, are still about, in words; None where all are over."""
    if runs := instance.get_runs(dg.RunsFilter(job_name=job, tags=tags, statuses=UNFINISHED), limit=1):
        return f"{job} of {runs[0].tags.get('dagster/partition')} is {runs[0].status.value}"
    newest = instance.get_run_records(dg.RunsFilter(job_name=job, tags=tags), limit=1)
    if newest and newest[0].dagster_run.is_complete_and_waiting_to_retry:
        ended, now = newest[0].end_time, datetime.now(UTC).timestamp()
        if ended is None or now - ended < RETRY_SECONDS:
            return f"{job} of {newest[0].dagster_run.tags.get('dagster/partition')} is about to be tried again"
    return None

"""Runs in Dagster's run storage, and which of them are still to come to their end.

Here belongs what holds of runs of any job; what trains belongs to `training_runs`.
"""

import dagster as dg

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def under_way(instance: dg.DagsterInstance, job: str) -> str | None:
    """What a job's runs are still about, in words; None where all of them are over."""
    if runs := instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
        return f"{job} of {runs[0].tags.get('dagster/partition')} is {runs[0].status.value}"
    newest = instance.get_runs(dg.RunsFilter(job_name=job), limit=1)
    if newest and newest[0].is_complete_and_waiting_to_retry:
        return f"{job} of {newest[0].tags.get('dagster/partition')} is about to be tried again"
    return None

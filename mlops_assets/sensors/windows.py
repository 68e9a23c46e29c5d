"""`window_sensor`: takes up landed windows, oldest first, one at a time.

One at a time, so that twelve windows dropped together end as twelve dropped one by one: each is measured against what
the one before it left in production.
"""

import json
import time

import dagster as dg

from mlops_assets.adapters.landing import Landing
from mlops_assets.config import Settings
from mlops_assets.domain.landing import next_to_take
from mlops_assets.jobs import training_job, window_job
from mlops_assets.partitions import window_partitions
from mlops_assets.sensors.drift import unanswered_report
from mlops_assets.sensors.watching import watch

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""A run in one of these keeps the next window waiting."""


def window_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the landing folder of these settings."""
    landing = Landing(settings.landing)

    @dg.sensor(
        name="window_sensor",
        job=window_job,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes up landed windows, oldest first, one at a time.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        taken: dict[str, str] = json.loads(context.cursor or "{}")

        def look() -> dg.SensorResult | None:
            landed = next_to_take(landing.files(now=time.time()), taken)
            if landed is None or _what_is_under_way(context.instance) is not None:
                return None
            return dg.SensorResult(
                run_requests=[
                    dg.RunRequest(
                        partition_key=landed.window,
                        run_key=f"{landed.window}:{landed.fingerprint}",
                        tags={"mlops/landed": landed.path.name},
                    )
                ],
                dynamic_partitions_requests=[window_partitions.build_add_request([landed.window])],
                cursor=json.dumps({**taken, landed.window: landed.fingerprint}),
            )

        found = watch(look, seconds=settings.watch_seconds)
        return found or dg.SkipReason(_why_nothing(landing, taken, context.instance))

    return sense


def _what_is_under_way(instance: dg.DagsterInstance) -> str | None:
    for job in (window_job, training_job):
        if runs := instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED), limit=1):
            return f"{job.name} of {runs[0].tags.get('dagster/partition')} is {runs[0].status.value}"
        newest = instance.get_runs(dg.RunsFilter(job_name=job.name), limit=1)
        if newest and newest[0].is_complete_and_waiting_to_retry:
            return f"{job.name} of {newest[0].tags.get('dagster/partition')} is about to be tried again"
    if (report := unanswered_report(instance)) is not None:
        return f"the drift report of {report} is not answered yet"
    return None


def _why_nothing(landing: Landing, taken: dict[str, str], instance: dg.DagsterInstance) -> str:
    waiting = [file.path.name for file in landing.files(now=time.time()) if taken.get(file.window) != file.fingerprint]
    parts = [f"{len(taken)} windows are taken up"]
    if waiting:
        parts.append(f"waiting: {', '.join(waiting)} ({_what_is_under_way(instance) or 'not complete yet'})")
    if ignored := landing.ignored():
        parts.append(f"ignored, for no window is named like this: {', '.join(ignored)} (expected <window>.parquet)")
    return "; ".join(parts)

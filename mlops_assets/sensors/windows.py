"""`window_sensor`: takes up landed windows, oldest first, one at a time.

One at a time, so that twelve windows dropped together end as twelve dropped one by one: each is measured against what
the one before it left in production.
"""

import json
import time
from dataclasses import replace

import dagster as dg

from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.landing import Landed, next_to_take, retry_is_due
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
LANDED_TAG = "mlops/landed"
"""On a run of `window_job`: the fingerprint of what had landed when it was asked for."""


def window_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the place where windows land by these settings."""
    landing = landing_at(settings.landing_location, read_dataset(settings.dataset), settings.spool)
    requeue = Requeue(settings.requeued)

    @dg.sensor(
        name="window_sensor",
        job=window_job,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes up landed windows, oldest first, one at a time. A source that is down fails the tick.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        taken: dict[str, str] = json.loads(context.cursor or "{}")
        failed = _failed_attempts(context.instance, now=time.time())
        open_ones = {window: landed for window, landed in taken.items() if failed.get(window, (0, False))[1] is False}

        def look() -> dg.SensorResult | None:
            landed = next_to_take(_landed(landing, requeue), open_ones)
            if landed is None or _what_is_under_way(context.instance) is not None:
                return None
            attempt, _ = failed.get(landed.window, (0, False))
            return dg.SensorResult(
                run_requests=[
                    dg.RunRequest(
                        partition_key=landed.window,
                        run_key=f"{landed.window}:{landed.fingerprint}:{attempt}",
                        tags={LANDED_TAG: landed.fingerprint},
                    )
                ],
                dynamic_partitions_requests=[window_partitions.build_add_request([landed.window])],
                cursor=json.dumps({**taken, landed.window: landed.fingerprint}),
            )

        found = watch(look, seconds=settings.watch_seconds, every=landing.look_every_seconds)
        return found or dg.SkipReason(_why_nothing(landing, requeue, taken, context.instance))

    return sense


def _landed(landing: Landing, requeue: Requeue) -> list[Landed]:
    """What has landed; a wish to take a window up again counts as if it had changed."""
    tokens = requeue.tokens()
    return [
        replace(landed, fingerprint=f"{landed.fingerprint}+{tokens[landed.window]}")
        if landed.window in tokens
        else landed
        for landed in landing.landed(now=time.time())
    ]


def _failed_attempts(instance: dg.DagsterInstance, *, now: float) -> dict[str, tuple[int, bool]]:
    """By window whose last run failed: how often what landed was tried, and whether it is time to try again.

    A sensor asks for a run once for ever; a source that was down for longer than a run's own retries would else lose
    the window.
    """
    found: dict[str, tuple[int, bool]] = {}
    failures = instance.get_run_records(
        dg.RunsFilter(job_name=window_job.name, statuses=[dg.DagsterRunStatus.FAILURE]), limit=50
    )
    for window in {record.dagster_run.tags.get("dagster/partition") for record in failures} - {None}:
        runs = instance.get_run_records(
            dg.RunsFilter(job_name=window_job.name, tags={"dagster/partition": str(window)}), limit=50
        )
        newest = runs[0].dagster_run
        if newest.status != dg.DagsterRunStatus.FAILURE or newest.is_complete_and_waiting_to_retry:
            continue
        landed = newest.tags.get(LANDED_TAG)
        tries = [
            run for run in runs if run.dagster_run.tags.get(LANDED_TAG) == landed and not run.dagster_run.parent_run_id
        ]
        found[str(window)] = (len(tries), retry_is_due(len(tries), seconds_since=now - (runs[0].end_time or now)))
    return found


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


def _why_nothing(landing: Landing, requeue: Requeue, taken: dict[str, str], instance: dg.DagsterInstance) -> str:
    parts = [f"{len(taken)} windows are taken up"]
    new = [landed for landed in _landed(landing, requeue) if taken.get(landed.window) != landed.fingerprint]
    if new:
        under_way = _what_is_under_way(instance) or "it may still be written to"
        said = [
            f"{landed.window} ({f'waits for {landed.waits_for}' if landed.waits_for else under_way})" for landed in new
        ]
        parts.append(f"waiting: {', '.join(said)}")
    if ignored := landing.ignored():
        parts.append(f"ignored, for no window is named like this: {', '.join(ignored)}")
    return "; ".join(parts)

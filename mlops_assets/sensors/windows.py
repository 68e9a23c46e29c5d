"""`window_sensor`: takes up landed windows, oldest first, one at a time.

One at a time, so that twelve windows dropped together end as twelve dropped one by one: each is measured against what
the one before it left in production.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import dagster as dg

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.runs import under_way
from mlops_assets.config import Settings
from mlops_assets.domain.landing import Landed, next_to_take, retry_is_due
from mlops_assets.jobs import drift_job, training_job, window_job
from mlops_assets.partitions import window_partitions
from mlops_assets.sensors.drift import unanswered_report
from mlops_assets.sensors.watching import watch

LANDED_TAG = "mlops/landed"
"""On a run of `window_job`: the fingerprint of what had landed when it was asked for."""


def window_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the place where windows land by these settings."""
    landing = landing_of(settings)
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
        due = _due_again(context.instance, now=time.time())
        open_ones = {window: landed for window, landed in taken.items() if window not in due}

        def look() -> dg.SensorResult | None:
            landed = next_to_take(_landed(landing, requeue), open_ones)
            if landed is None or _what_is_under_way(context.instance) is not None:
                return None
            return dg.SensorResult(
                run_requests=[
                    dg.RunRequest(
                        partition_key=landed.window,
                        run_key=_run_key(context.instance, landed),
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


def _run_key(instance: dg.DagsterInstance, landed: Landed) -> str:
    """Another one each time that a window is taken up: Dagster passes over a key that one of its runs has.

    What landed does not tell two times apart: it may come back after something else, or be tried again. The window's
    newest run does: it is the newest until the run that is asked for is there, and never again while that one is.
    """
    newest = instance.get_runs(_runs_of(landed.window), limit=1)
    return f"{landed.window}:{landed.fingerprint}:{newest[0].run_id if newest else 'first'}"


def _due_again(instance: dg.DagsterInstance, *, now: float) -> set[str]:
    """Windows whose last run failed, and for which it is time to try again.

    What landed is taken up once; a source that was down for longer than a run's own retries would else lose the window.
    """
    found = set()
    failures = instance.get_run_records(
        dg.RunsFilter(job_name=window_job.name, statuses=[dg.DagsterRunStatus.FAILURE]), limit=50
    )
    for window in {record.dagster_run.tags.get("dagster/partition") for record in failures} - {None}:
        runs = instance.get_run_records(_runs_of(str(window)), limit=50)
        newest = runs[0].dagster_run
        if newest.status != dg.DagsterRunStatus.FAILURE or newest.is_complete_and_waiting_to_retry:
            continue
        tries = _tries([record.dagster_run for record in runs])
        if retry_is_due(tries, seconds_since=now - (runs[0].end_time or now)):
            found.add(str(window))
    return found


def _tries(runs: Sequence[dg.DagsterRun]) -> int:
    """How often, by a window's runs from the newest on, what landed was tried in vain.

    A run that was started by hand says nothing of what had landed, and counts as another try of the same.
    """
    landed = next((run.tags[LANDED_TAG] for run in runs if LANDED_TAG in run.tags), None)
    same = takewhile(
        lambda run: run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(LANDED_TAG, landed) == landed, runs
    )
    return sum(run.parent_run_id is None for run in same)


def _runs_of(window: str) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=window_job.name, tags={"dagster/partition": window})


def _what_is_under_way(instance: dg.DagsterInstance) -> str | None:
    # In the order in which they follow each other, so that none begins behind the look: window_job and drift_job make
    # a report, and training_job answers it, or drift_job once more.
    if said := under_way(instance, window_job.name) or under_way(instance, drift_job.name):
        return said
    if (report := unanswered_report(instance)) is not None:
        return f"the drift report of {report} is not answered yet"
    return under_way(instance, drift_job.name) or under_way(instance, training_job.name)


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

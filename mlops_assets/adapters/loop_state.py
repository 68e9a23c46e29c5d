"""How the loop's machinery does, read from Dagster, the ledger and the place where windows land.

When that is a reason to wake somebody belongs to `mlops_assets.domain.condition`.
"""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, SensorInstigatorData, TickStatus

from mlops_assets.adapters.landing.landed_window import Landing, SourceDown
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.runs import RETRY_SECONDS, UNFINISHED
from mlops_assets.domain.condition import LoopState, Run, Sensor
from mlops_assets.domain.landing import RETRY_AFTER_SECONDS

SENSORS = (
    "window_sensor",
    "drift_sensor",
    "approval_sensor",
    "production_sensor",
    "service_sensor",
    "prediction_log_sensor",
)
"""Those that must tick for the loop to go on."""
JOBS = ("drift_job", "training_job", "promotion_job", "prediction_log_job", "prediction_window_job")
"""Whose newest run says how they do; windows are each a matter of their own."""
WINDOW_JOB = "window_job"
LOOKED_BACK = 50
"""Runs; a loop with more that are unfinished or failed is told of these."""


def loop_state(
    instance: dg.DagsterInstance, ledger: Ledger, landing: Landing, requeue: Requeue, *, landing_after: float = 0
) -> LoopState:
    """The loop as it is now.

    Args:
        instance: The loop's Dagster instance.
        ledger: The loop's ledger.
        landing: Where its windows land.
        requeue: The windows that are to be taken up again.
        landing_after: How long nothing must have run before what has landed is looked at: elsewhere a look costs.
    """
    now = time.time()
    idle = idle_seconds(instance, now=now)
    return LoopState(
        daemons=daemons(instance, now=now),
        sensors=sensors(instance, now=now),
        unfinished=unfinished(instance, now=now),
        failed=failed(instance, now=now),
        waiting=waiting(instance, landing, requeue) if idle >= landing_after else {},
        idle_seconds=idle,
        promotion_seconds=_promotion_seconds(ledger, now=now),
    )


def daemons(instance: dg.DagsterInstance, *, now: float) -> dict[str, float | None]:
    """Seconds since the last heartbeat of each daemon that the instance needs."""
    beats = instance.get_daemon_heartbeats()
    return {
        name: now - beats[name].timestamp if name in beats else None for name in instance.get_required_daemon_types()
    }


def sensors(instance: dg.DagsterInstance, *, now: float) -> list[Sensor]:
    """How the loop's sensors do; none of an instance in memory, which has no daemon either."""
    if instance.schedule_storage is None:
        return []
    ticks = {name: _last_tick(instance, state) for name, state in _states(instance).items()}
    return [_sensor(name, ticks.get(name), now=now) for name in SENSORS]


def cursor_of(instance: dg.DagsterInstance, sensor: str) -> str | None:
    """What a sensor remembers; None where it remembers nothing."""
    state = _states(instance).get(sensor)
    data = state.instigator_data if state else None
    return data.cursor if isinstance(data, SensorInstigatorData) else None


def unfinished(instance: dg.DagsterInstance, *, now: float) -> list[Run]:
    """Runs that are queued or under way, the oldest first."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED), limit=LOOKED_BACK, ascending=True)
    return [_run(record, since=record.create_timestamp.timestamp(), now=now) for record in records]


def failed(instance: dg.DagsterInstance, *, now: float) -> list[Run]:
    """The newest run of a job, or of a window, where it failed and nothing tries it again."""
    return [*_failed_jobs(instance, now=now), *_failed_windows(instance, now=now)]


def waiting(instance: dg.DagsterInstance, landing: Landing, requeue: Requeue) -> dict[str, float]:
    """Seconds since it was last written to, by window that could be taken up and was not.

    None of a source that is down: its sensor's tick fails for that.
    """
    taken: dict[str, str] = json.loads(cursor_of(instance, "window_sensor") or "{}")
    tokens = requeue.tokens()
    with suppress(SourceDown):
        return {
            landed.window: landed.age_seconds
            for landed in landing.landed(now=time.time())
            if landed.is_ready
            and taken.get(landed.window) != _fingerprint(landed.fingerprint, tokens.get(landed.window))
        }
    return {}


def idle_seconds(instance: dg.DagsterInstance, *, now: float) -> float:
    """Since the newest run began or changed; as long as there is time where there never was one."""
    newest = instance.get_run_records(limit=1, order_by="update_timestamp")
    return now - newest[0].update_timestamp.timestamp() if newest else now


def _fingerprint(landed: str, token: str | None) -> str:
    return f"{landed}+{token}" if token else landed


def _states(instance: dg.DagsterInstance) -> Mapping[str, InstigatorState]:
    """The newest of each sensor: one that moved to another code location leaves its old one behind."""
    if instance.schedule_storage is None:
        return {}
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return {state.instigator_name: state for state in sorted(states, key=_ticked_at)}


def _ticked_at(state: InstigatorState) -> float:
    data = state.instigator_data
    return (data.last_tick_timestamp or 0.0) if isinstance(data, SensorInstigatorData) else 0.0


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState) -> InstigatorTick | None:
    over = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=over)
    return next(iter(ticks), None)


def _sensor(name: str, tick: InstigatorTick | None, *, now: float) -> Sensor:
    if tick is None:
        return Sensor(name, None, None)
    error = tick.error.message.strip().splitlines()[0] if tick.status == TickStatus.FAILURE and tick.error else None
    return Sensor(name, now - (tick.end_timestamp or tick.timestamp), error)


def _run(record: dg.RunRecord, *, since: float, now: float) -> Run:
    run = record.dagster_run
    return Run(run.run_id, run.job_name, run.tags.get("dagster/partition"), run.status.value, now - since)


def _failed_jobs(instance: dg.DagsterInstance, *, now: float) -> Iterable[Run]:
    for job in JOBS:
        newest = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
        if newest and newest[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
            ended = newest[0].end_time or newest[0].update_timestamp.timestamp()
            if not newest[0].dagster_run.is_complete_and_waiting_to_retry or now - ended > RETRY_SECONDS:
                yield _run(newest[0], since=ended, now=now)


def _failed_windows(instance: dg.DagsterInstance, *, now: float) -> Iterable[Run]:
    """Windows that `window_sensor` tries no more."""
    failed = dg.RunsFilter(job_name=WINDOW_JOB, statuses=[dg.DagsterRunStatus.FAILURE])
    records = instance.get_run_records(failed, limit=LOOKED_BACK)
    windows = dict.fromkeys(record.dagster_run.tags.get("dagster/partition") for record in records)
    for window in filter(None, windows):
        runs = dg.RunsFilter(job_name=WINDOW_JOB, tags={"dagster/partition": window})
        newest = instance.get_run_records(runs, limit=1)[0]
        ended = newest.end_time or newest.update_timestamp.timestamp()
        if newest.dagster_run.status == dg.DagsterRunStatus.FAILURE and now - ended > 2 * max(RETRY_AFTER_SECONDS):
            yield _run(newest, since=ended, now=now)


def _promotion_seconds(ledger: Ledger, *, now: float) -> float | None:
    unfinished = ledger.unfinished()
    return now - datetime.fromisoformat(unfinished[0].at).timestamp() if unfinished else None

"""How the loop stands at this moment: a function for each place that it is read from."""

import time
from collections import Counter
from datetime import datetime

import dagster as dg
from prometheus_client.core import Metric

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.loop_state import cursor_of, daemons, failed, sensors, unfinished, waiting
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServiceClient, ServiceUnavailable
from mlops_assets.metrics.families import counters, gauge, gauges
from mlops_assets.sensors.notification import NAME, Cursor
from serving.log_segments import sealed


def of_dagster(instance: dg.DagsterInstance) -> list[Metric]:
    """Runs, sensors and daemons."""
    now = time.time()
    runs = {
        status.value.lower(): instance.get_runs_count(dg.RunsFilter(statuses=[status]))
        for status in dg.DagsterRunStatus
    }
    ages = [run.age_seconds for run in unfinished(instance, now=now)]
    given_up = Counter(run.job for run in failed(instance, now=now))
    ticks = [sensor for sensor in sensors(instance, now=now) if sensor.seconds_since_tick is not None]
    ticked = {sensor.name: now - (sensor.seconds_since_tick or 0) for sensor in ticks}
    failing = {sensor.name: float(sensor.error is not None) for sensor in ticks}
    beats = {name: now - silent for name, silent in daemons(instance, now=now).items() if silent is not None}
    return [
        *gauges("mlops_runs", "Runs by status, as far as they are kept.", "status", runs),
        *gauge("mlops_oldest_unfinished_run_seconds", "Age of the oldest run that is not over.", max(ages, default=0)),
        *gauges("mlops_runs_given_up", "Jobs or windows whose last run failed for good.", "job", given_up),
        *gauges("mlops_sensor_last_tick_timestamp_seconds", "When a sensor's last tick ended.", "sensor", ticked),
        *gauges("mlops_sensor_failing", "1 where a sensor's last tick failed.", "sensor", failing),
        *gauges("mlops_daemon_heartbeat_timestamp_seconds", "Last heartbeat of Dagster's daemons.", "daemon", beats),
        *_of_notifications(instance),
    ]


def of_ledger(ledger: Ledger) -> list[Metric]:
    """What production is to be, and what keeps it from changing."""
    outcomes = Counter({"done": 0, "void": 0})
    history = ledger.history()
    outcomes.update(outcome for _, outcome in history if outcome in outcomes)
    production, waits = ledger.production(), ledger.unfinished()
    decided_at = _time(production.at) if production else None
    return [
        *gauge(
            "mlops_ledger_epoch",
            "Epoch of production by the ledger, 0 before the first.",
            production.epoch if production else 0,
        ),
        *gauge("mlops_production_timestamp_seconds", "When production was decided.", decided_at),
        *counters("mlops_promotions", "Promotions and roll backs.", "outcome", outcomes),
        *gauge("mlops_promotions_on_hold", "1 where someone has put promotions on hold.", float(bool(ledger.hold()))),
        *gauge(
            "mlops_unfinished_promotion_seconds",
            "Age of the oldest promotion without an outcome, 0 while none.",
            time.time() - _time(waits[0].at) if waits else 0,
        ),
    ]


def of_approvals(approvals: Approvals) -> list[Metric]:
    """The request that waits for a person."""
    pending = approvals.pending()
    return [
        *gauge("mlops_approvals_waiting", "Requests for approval that nobody answered.", float(pending is not None)),
        *gauge(
            "mlops_approval_expires_timestamp_seconds",
            "When the request that waits is void.",
            pending.expires_at.timestamp() if pending else None,
        ),
    ]


def of_releases(releases: ReleaseStore) -> list[Metric]:
    """What the service is to serve."""
    pointer = releases.pointer()
    return gauge(
        "mlops_pointer_epoch", "Released epoch by the pointer, 0 before the first.", pointer.epoch if pointer else 0
    )


def of_service(service: ServiceClient) -> list[Metric]:
    """What the service says that it serves."""
    try:
        served = service.served()
    except ServiceUnavailable:
        served = None
    epochs = {str(worker.pid): worker.epoch or 0 for worker in served.workers} if served else {}
    return [
        *gauge("mlops_service_reachable", "1 where the service says what it serves.", float(served is not None)),
        *gauge(
            "mlops_service_expected_workers",
            "Workers that the service should have.",
            served.expected_workers if served else None,
        ),
        *gauges("mlops_service_epoch", "Epoch that a worker serves, 0 while none.", "pid", epochs),
        *gauge(
            "mlops_service_refuses",
            "1 where the service refuses the release.",
            float(served.refused is not None) if served else None,
        ),
    ]


def of_log(log: GatheredLog) -> list[Metric]:
    """How far gathering is behind the service."""
    segments = sealed(log.log)
    ages = [time.time() - path.stat().st_mtime for path in segments[:1]]
    return [
        *gauge("mlops_log_segments_waiting", "Sealed segments that are not gathered yet.", len(segments)),
        *gauge(
            "mlops_log_oldest_waiting_seconds",
            "Age of the oldest of these segments, 0 while none.",
            max(ages, default=0),
        ),
        *gauge("mlops_log_broken_segments", "Segments that had to be set aside.", len(log.broken())),
    ]


def of_landing(instance: dg.DagsterInstance, landing: Landing, requeue: Requeue) -> list[Metric]:
    """What has landed and is not taken up."""
    found = waiting(instance, landing, requeue)
    return [
        *gauge("mlops_windows_waiting", "Windows that landed whole and are not taken up yet.", len(found)),
        *gauge(
            "mlops_oldest_waiting_window_seconds",
            "Age of the oldest of these windows, 0 while none.",
            max(found.values(), default=0),
        ),
    ]


def _of_notifications(instance: dg.DagsterInstance) -> list[Metric]:
    cursor = Cursor.model_validate_json(cursor_of(instance, NAME) or "{}")
    tries = {name: told.tries for name, told in cursor.receivers.items()}
    return gauges("mlops_notification_tries", "Times in a row that a receiver was not reached.", "receiver", tries)


def _time(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()

"""The loop's metrics over HTTP, of a small loop whose Dagster keeps its state on the disk, and a real service."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import dagster as dg
import httpx
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.loop_state import SENSORS, loop_state
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.programs import ROOT
from mlops_assets.cli.stack import free_port
from mlops_assets.cli.state import leave_mark
from mlops_assets.domain.condition import stuck
from mlops_assets.metrics.collector import LoopCollector
from mlops_assets.sensors.notification import Cursor, Told
from serving.log_segments import sealed_name, stem_of
from tests.end_to_end.service_process import environment
from tests.integration.conftest import Loop, new_loop
from tests.unit.serving.bundles import eventually

pytestmark = pytest.mark.integration

Series = dict[str, float]


@pytest.fixture
def disk_loop(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop whose Dagster keeps its state as `mlops up` has it."""
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back at the end
    with new_loop(tmp_path, empty_mlflow) as loop:
        leave_mark(loop.settings)
        (loop.settings.state / "dagster").mkdir()
        shutil.copyfile(ROOT / "dagster.yaml", loop.settings.state / "dagster" / "dagster.yaml")
        dagster_databases.make(loop.settings)
        with dagster_instance(loop.settings) as instance:
            loop.instance = instance
            yield loop


def test_what_the_loop_did_and_how_it_stands_is_exposed(loop: Loop) -> None:
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    loop.land("2024-02")  # as the one before
    loop.ingest("2024-02")
    loop.train("2024-02")
    loop.land("2024-03", rows=100)  # too few
    loop.ingest("2024-03")
    loop.ledger.set_hold(is_on=True, actor="a test", reason="to see it")
    loop.approvals.ask(
        model_version=2, evidence_sha256="2" * 64, expected_epoch=1, comparison="0.8 over 0.7", expires_hours=1
    )
    now = time.time()
    with exporter(loop) as url, service(loop):
        eventually(lambda: served_epochs(scraped(url)) == [1], seconds=60)
        series = scraped(url)
    assert {name: series.get(name) for name in EXPECTED} == EXPECTED
    near = {
        "mlops_approval_expires_timestamp_seconds": now + 3600,
        "mlops_production_timestamp_seconds": now,
        "mlops_newest_window_landed_timestamp_seconds": now,
        "mlops_production_newest_window_landed_timestamp_seconds": now,
        "mlops_drift_report_timestamp_seconds": now,
    }
    assert {name: series[name] for name in near} == pytest.approx(near, abs=600)
    assert 0.4 < series['mlops_compared_auc{model="production"}'] <= 1


EXPECTED: Series = {
    'mlops_windows_taken_total{outcome="fit"}': 2,
    'mlops_windows_taken_total{outcome="quarantined"}': 1,
    'mlops_window_rows_total{outcome="clean"}': 1700,
    'mlops_windows{state="fit"}': 2,
    'mlops_windows{state="quarantined"}': 1,
    'mlops_drift_decisions_total{decision="first"}': 1,
    'mlops_drift_decisions_total{decision="no drift"}': 1,
    'mlops_drift_decisions_total{decision="trained"}': 0,
    "mlops_drift_share": 0,
    "mlops_drift_share_threshold": 0.3,
    'mlops_gate_verdicts_total{verdict="passed"}': 1,
    'mlops_gate_verdicts_total{verdict="refused"}': 1,
    'mlops_gate_verdicts_total{verdict="undecided"}': 0,
    'mlops_gate_verdicts_total{verdict="not comparable"}': 0,
    'mlops_gate_failed_checks_total{check="candidate_beats_production"}': 1,
    'mlops_gate_failed_checks_total{check="known_cases_hold"}': 0,
    "mlops_production_windows_behind": 1,
    "mlops_ledger_epoch": 1,
    "mlops_pointer_epoch": 1,
    'mlops_promotions_total{outcome="done"}': 1,
    "mlops_promotions_on_hold": 1,
    "mlops_unfinished_promotion_seconds": 0,
    "mlops_approvals_waiting": 1,
    'mlops_runs{status="success"}': 5,
    "mlops_service_reachable": 1,
    "mlops_service_expected_workers": 1,
    "mlops_service_refuses": 0,
    "mlops_log_segments_waiting": 0,
    "mlops_log_oldest_waiting_seconds": 0,
    "mlops_log_broken_segments": 0,
    "mlops_windows_waiting": 3,
    **{
        f'mlops_source_up{{source="{source}"}}': 1
        for source in (
            "event log", "dagster", "ledger", "approvals", "releases", "service", "prediction log", "landing"
        )
    },
}  # fmt: skip


def test_drift_and_what_waits_in_the_log_are_measured(loop: Loop) -> None:
    """Prevents a gauge that says 0 whatever happens."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    loop.land("2024-02", shift=3)
    loop.ingest("2024-02")
    log = loop.settings.prediction_log
    (log / "broken").mkdir(parents=True)
    (log / "broken" / "torn").write_bytes(b"{")
    began = datetime.now(UTC) - timedelta(hours=2)
    for number in (1, 2):
        segment = log / sealed_name(stem_of(began=began, writer="a" * 8, number=number), sha256(b"").hexdigest())
        segment.touch()
        os.utime(segment, (time.time() - 1000 / number,) * 2)
    series = read(LoopCollector(loop.settings, loop.instance))
    assert series["mlops_drift_share"] == pytest.approx(loop.reported("drift_report", "2024-02")["drift_share"])
    assert series["mlops_drift_share"] > 0.3
    assert series["mlops_log_segments_waiting"] == 2
    assert series["mlops_log_oldest_waiting_seconds"] == pytest.approx(1000, abs=60)
    assert series["mlops_log_broken_segments"] == 1


def test_how_dagster_does_is_exposed(disk_loop: Loop) -> None:
    instance, now = disk_loop.instance, time.time()
    disk_loop.land("2024-01")
    ticked(instance, "window_sensor", at=now - 40, cursor=f'{{"2024-01": "{fingerprint(disk_loop)}"}}')
    ticked(instance, "drift_sensor", at=now - 50, error="no route to host")
    told = Cursor(receivers={"json 1": Told(positions={}, tries=3)}).model_dump_json()
    ticked(instance, "notification_sensor", at=now - 1, cursor=told)
    instance.add_daemon_heartbeat(DaemonHeartbeat(now - 30, "SENSOR", None, None))
    instance.create_run_for_job(disk_loop.definitions.resolve_job_def("drift_job"), status=dg.DagsterRunStatus.FAILURE)
    instance.create_run_for_job(disk_loop.definitions.resolve_job_def("window_job"), status=dg.DagsterRunStatus.STARTED)
    series = read(LoopCollector(disk_loop.settings, instance))
    expected = {
        'mlops_runs{status="failure"}': 1,
        'mlops_runs{status="started"}': 1,
        'mlops_runs_given_up{job="drift_job"}': 1,
        'mlops_sensor_failing{sensor="window_sensor"}': 0,
        'mlops_sensor_failing{sensor="drift_sensor"}': 1,
        'mlops_sensor_last_tick_timestamp_seconds{sensor="window_sensor"}': now - 40,
        'mlops_daemon_heartbeat_timestamp_seconds{daemon="SENSOR"}': now - 30,
        'mlops_notification_tries{receiver="json 1"}': 3,
        "mlops_windows_waiting": 0,
    }
    assert {name: series.get(name) for name in expected} == pytest.approx(expected, abs=1e-3)
    assert series["mlops_oldest_unfinished_run_seconds"] > 0


def test_a_place_that_cannot_be_read_leaves_the_others(loop: Loop) -> None:
    """A metric that stays at its last value would look healthy."""
    loop.settings.landing.rmdir()
    loop.settings.landing.write_text("no folder")
    (loop.settings.releases).mkdir()
    (loop.settings.releases / "production.json").write_text("no pointer")
    series = read(LoopCollector(loop.settings, loop.instance))
    assert series['mlops_source_up{source="releases"}'] == 0
    assert series['mlops_source_up{source="ledger"}'] == 1
    assert "mlops_pointer_epoch" not in series
    assert series["mlops_ledger_epoch"] == 0


def test_what_came_since_the_last_scrape_is_counted_once(loop: Loop) -> None:
    collector = LoopCollector(loop.settings, loop.instance)

    def taken() -> float:
        for place in collector._places.values():
            place.read_at = None
        families = {family.name: family for family in collector.collect()}
        return sum(sample.value for sample in families["mlops_windows_taken"].samples)

    assert taken() == 0
    loop.land("2024-01")
    loop.ingest("2024-01")
    assert (taken(), taken()) == (1, 1)
    loop.ingest("2024-01")
    assert taken() == 2


def test_the_command_serves_until_it_is_told_to_stop(disk_loop: Loop) -> None:
    """As the first process of a container it would else not heed SIGTERM."""
    settings, port = disk_loop.settings, free_port()
    environ = {**os.environ, "MLOPS_HOME": str(settings.state), "MLOPS_DATASET": str(settings.dataset)}
    command = [str(Path(sys.executable).with_name("mlops")), "metrics", "--port", str(port)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"The loop's metrics: http://127.0.0.1:{port}/metrics\n"
        assert scraped(f"http://127.0.0.1:{port}/metrics")["mlops_ledger_epoch"] == 0
        second = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert "cannot be listened on" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 130


def test_a_stuck_loop_is_seen_in_dagsters_own_records(disk_loop: Loop) -> None:
    """A daemon that is silent, a sensor that fails or never ticked, runs that failed for good."""
    loop, now = disk_loop, time.time()
    daemons = loop.instance.get_required_daemon_types()
    for daemon in daemons:
        loop.instance.add_daemon_heartbeat(DaemonHeartbeat(now - 10, daemon, None, None))
    for sensor in SENSORS:
        ticked(loop.instance, sensor, at=now - 10)
    assert conditions(loop) == set()

    loop.instance.add_daemon_heartbeat(DaemonHeartbeat(now - 400, daemons[0], None, None))
    ticked(loop.instance, "window_sensor", at=now - 5, error="the source is down\nTraceback")
    ticked(loop.instance, "drift_sensor", at=now - 400)
    loop.instance.create_run_for_job(loop.definitions.resolve_job_def("drift_job"), status=dg.DagsterRunStatus.FAILURE)
    assert conditions(loop) == {f"daemon {daemons[0]}", "sensor window_sensor", "failed drift_job"}


def test_the_sensors_that_must_tick_are_those_of_the_loop(loop: Loop) -> None:
    """One that was added and is not watched would be missed by nobody."""
    repository = loop.definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {*SENSORS, "notification_sensor"}


def conditions(loop: Loop) -> set[str]:
    """What keeps the loop from going on, by its keys."""
    requeue = Requeue(loop.settings.requeued)
    return {found.key for found in stuck(loop_state(loop.instance, loop.ledger, loop.landing, requeue))}


def ticked(
    instance: dg.DagsterInstance, sensor: str, *, at: float, cursor: str | None = None, error: str | None = None
) -> None:
    """A sensor's state and its last tick, as Dagster's daemon keeps them."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mlops_assets"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, sensor)
    data = SensorInstigatorData(last_tick_timestamp=at, cursor=cursor)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    known = instance.get_instigator_state(origin.get_id(), state.selector_id) is not None
    (instance.update_instigator_state if known else instance.add_instigator_state)(state)
    fault = SerializableErrorInfo(error, [], None) if error else None
    status = TickStatus.FAILURE if error else TickStatus.SKIPPED
    tick = TickData(
        origin.get_id(), sensor, InstigatorType.SENSOR, status, at, selector_id=state.selector_id, error=fault
    )
    instance.create_tick(tick)


@contextmanager
def exporter(loop: Loop) -> Iterator[str]:
    """The metrics served; their address."""
    registry, port = CollectorRegistry(), free_port()
    registry.register(LoopCollector(loop.settings, loop.instance))
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def service(loop: Loop) -> Iterator[None]:
    """The prediction service on the loop's releases."""
    served = environment(loop.settings.releases, loop.settings.state / "serving", loop.settings.service_port)
    process = subprocess.Popen([sys.executable, "-m", "serving"], env=served, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def read(collector: LoopCollector) -> Series:
    """The same without a server."""
    registry = CollectorRegistry()
    registry.register(collector)
    return parsed(generate_latest(registry).decode())


def scraped(url: str) -> Series:
    """Every series by name and labels."""
    return parsed(httpx.get(url, timeout=30).raise_for_status().text)


def parsed(text: str) -> Series:
    """As Prometheus reads them."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def fingerprint(loop: Loop) -> str:
    """Of the window that landed."""
    (landed,) = loop.landing.landed(now=time.time())
    return landed.fingerprint


def served_epochs(series: Series) -> list[float]:
    """What the service's workers serve."""
    return [value for name, value in series.items() if name.startswith("mlops_service_epoch{")]

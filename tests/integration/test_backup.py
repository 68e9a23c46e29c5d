"""A loop that is backed up while it is written to, lost, restored elsewhere, and goes on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import psycopg
import pytest
from rich.console import Console
from sqlalchemy import make_url

from mlops_assets.adapters.backup_archive import verify
from mlops_assets.adapters.backup_databases import move_locations
from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.service_client import service_of
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.backup import backup
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import dagster_instance, window_histories
from mlops_assets.cli.recovery import recover
from mlops_assets.cli.restore import restore
from mlops_assets.cli.stack import free_port, service_process
from mlops_assets.cli.state import leave_mark
from mlops_assets.cli.status import promoted_versions
from mlops_assets.config import Settings
from mlops_assets.definitions import build_definitions
from serving.log_segments import OPEN
from serving.segment import Segment, seal_abandoned
from tests.integration.conftest import CONTRACT, Loop
from tests.integration.servers import PostgresServer
from tests.unit.mlops_assets.log_segments import answer, label, lines_of
from tests.unit.serving.bundles import eventually

pytestmark = pytest.mark.integration


@contextmanager
def kept_loop(settings: Settings) -> Iterator[Loop]:
    """The graph on Dagster's own databases, which stay."""
    dagster_databases.make(settings)
    with dagster_instance(settings) as instance:
        yield Loop(settings, instance, build_definitions(settings))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening an instance sets it."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A contract, which a machine may lose with the rest."""
    path = tmp_path / "contracts" / "small.toml"
    path.parent.mkdir()
    path.write_text(CONTRACT)
    return path


def embedded(home: Path, contract: Path, empty_mlflow: Path) -> Settings:
    """Everything in one folder, with nothing in it yet but MLflow's tables."""
    settings = Settings(home=home, dataset=contract, watch_seconds=0, service_port=free_port())
    settings.landing.mkdir(parents=True)
    shutil.copyfile(empty_mlflow, settings.state / "mlflow.db")
    move_locations(settings.mlflow_uri, empty_mlflow.parent, settings.state)
    leave_mark(settings)
    return settings


def fill(loop: Loop) -> None:
    """Two windows that promote."""
    learn(loop, "2024-01", flipped=False)
    learn(loop, "2024-02", flipped=True)
    assert [promotion.model_version for promotion, _ in loop.ledger.history()] == [2, 1]


def learn(loop: Loop, window: str, *, flipped: bool) -> None:
    """Lands a window, and trains on it where its drift asks for it."""
    loop.land(window, shift=3 if flipped else 0, flipped=flipped)
    assert loop.ingest(window).success
    if loop.reported("drift_report", window)["decision"] in ("first", "trained"):
        assert loop.train(window).success


def told(loop: Loop) -> dict[str, Any]:
    """Everything that a loop can be asked about."""
    versions = loop.registry.versions()
    return {
        "windows": [asdict(one) for one in window_histories(loop.instance, promoted_versions(loop.ledger))],
        "ledger": loop.ledger.history(),
        "hold": loop.ledger.hold(),
        "versions": versions,
        "evidence": {one.version: loop.registry.evidence(one.version) for one in versions},
        "pointer": loop.releases.pointer(),
        "stored": {name: loop.windows.current(name) for name in loop.windows.windows()},
        "landed": sorted(loop.landing.landed(now=0), key=lambda found: found.window),
        "events": len(loop.instance.get_records_for_run(loop.instance.get_runs()[0].run_id).records),
    }


def goes_on(loop: Loop) -> None:
    """Its service answers with the release, and the next window that drifts is promoted."""
    settings, production = loop.settings, loop.ledger.production()
    assert production is not None
    with service_process(settings):
        eventually(lambda: service_of(settings, timeout_seconds=2).served().ready, seconds=20)
        served = service_of(settings, timeout_seconds=2).served()
        assert (served.model_version, served.epoch) == (production.model_version, production.epoch)
    learn(loop, "2024-03", flipped=False)
    newest, outcome = loop.ledger.history()[0]
    assert (newest.epoch, outcome) == (production.epoch + 1, "done")
    assert loop.served_version() == newest.model_version


class Traffic:
    """A service's log that is written, sealed and gathered all the time."""

    def __init__(self, settings: Settings) -> None:
        self.log, self.gathered = settings.prediction_log, settings.gathered_log
        self.answered = 0
        self._stop = Event()
        self._thread = Thread(target=self._write)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        eventually(lambda: self.answered > 200, seconds=20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        segments = 0
        while not self._stop.is_set():
            segments += 1
            segment = Segment(self.log, f"20240305T{segments:012d}Z-0123456789abcdef-{segments}")
            for _ in range(20):
                segment.append(lines_of([answer(f"row {self.answered}"), label(f"row {self.answered}", True)]))
                self.answered += 1
            segment.seal()
            if segments % 4 == 0:
                GatheredLog(self.log, self.gathered).gather(now=datetime.now(UTC))


def rows_of(settings: Settings) -> list[str]:
    """The ids of all answers on record, after a service's start and a gathering."""
    seal_abandoned(settings.prediction_log)
    assert not list(settings.prediction_log.glob(f"*{OPEN}"))
    GatheredLog(settings.prediction_log, settings.gathered_log).gather(now=datetime.now(UTC))
    files = f"{settings.gathered_log}/*/predictions.parquet"
    with engine() as connection:
        return list(connection.sql(f"SELECT id FROM read_parquet('{files}')").df()["id"])  # noqa: S608


def test_a_lost_loop_is_restored_elsewhere_and_goes_on(tmp_path: Path, contract: Path, empty_mlflow: Path) -> None:
    lost, file = embedded(tmp_path / "home", contract, empty_mlflow), tmp_path / "b.tar"
    with kept_loop(lost) as loop:
        fill(loop)
        with Traffic(lost) as traffic:
            answered = traffic.answered
            backup(lost, file, Console(), force=False)
        before = told(loop)
    shutil.rmtree(lost.state)
    shutil.rmtree(contract.parent)

    found = Settings(home=tmp_path / "elsewhere" / "home", watch_seconds=0, service_port=free_port())
    restore(found, file, Console())
    found = found.model_copy(update={"dataset": found.state / "contract" / "small.toml"})
    assert (found.state / "started-with.json").read_text().count(str(found.dataset)) == 1
    with kept_loop(found) as loop:
        assert recover(found) == []
        assert told(loop) == before
        # The ledger decides, and nothing has to be put right.
        assert Promoter(loop.ledger, loop.registry, loop.releases).put_right() == []
        rows = rows_of(found)
        assert len(set(rows)) == len(rows)
        assert {f"row {number}" for number in range(answered)} <= set(rows)
        goes_on(loop)


@pytest.fixture
def server(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """PostgreSQL as the environment names it, with its own programs on the PATH, and three databases to be."""
    monkeypatch.setenv("PATH", f"{postgres.programs}{os.pathsep}{os.environ['PATH']}")
    url = make_url(postgres.url)
    monkeypatch.setenv("PGHOST", str(url.query["host"]))
    monkeypatch.setenv("PGUSER", str(url.username))
    yield postgres
    _drop(postgres, "backup_ledger", "backup_dagster", "backup_mlflow")


def _drop(postgres: PostgresServer, *names: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _create(postgres: PostgresServer, *names: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")


@contextmanager
def mlflow_server(artifacts: Path, port: int) -> Iterator[None]:
    """An MLflow server on PostgreSQL that hands artifacts on, as compose runs it."""
    command = [str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "postgresql:///backup_mlflow", "--serve-artifacts"]
    command += ["--artifacts-destination", str(artifacts)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "1"}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{port}/health"), seconds=90)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


@pytest.mark.timeout(600)
def test_a_loop_on_servers_is_restored_into_empty_databases(
    tmp_path: Path, contract: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ledger, Dagster and MLflow each have a database; the backup runs where all volumes are mounted."""
    port, file = free_port(), tmp_path / "b.tar"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    names = ("backup_ledger", "backup_dagster", "backup_mlflow")
    _drop(server, *names)
    _create(server, *names)

    def settings(home: str, dataset: Path) -> Settings:
        return Settings(
            home=tmp_path / home,
            dataset=dataset,
            ledger_url="postgresql:///backup_ledger",
            dagster_database_url="postgresql:///backup_dagster",
            watch_seconds=0,
            service_port=free_port(),
        )

    lost = settings("home", contract)
    lost.landing.mkdir(parents=True)
    leave_mark(lost)
    with mlflow_server(lost.state / "mlartifacts", port), kept_loop(lost) as loop:
        loop.registry.prepare()
        fill(loop)
        with pytest.raises(UserError, match="set MLFLOW_BACKEND_STORE_URI to its database"):
            backup(lost, file, Console(), force=False)
        monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql:///backup_mlflow")
        lost = settings("home", contract)
        backup(lost, file, Console(), force=False)
        before = told(loop)
    assert verify(file).databases.keys() == {"dagster", "ledger", "mlflow"}
    shutil.rmtree(lost.state)

    found = settings("elsewhere", contract)
    with pytest.raises(UserError, match=r"the database backup_dagster \(dagster\) is not empty"):
        restore(found, file, Console())
    _drop(server, *names)
    _create(server, "backup_dagster")  # the others are made
    restore(found, file, Console())
    with mlflow_server(found.state / "mlartifacts", port), kept_loop(found) as loop:
        assert recover(found) == []
        assert told(loop) == before
        assert Promoter(loop.ledger, loop.registry, loop.releases).put_right() == []
        goes_on(loop)

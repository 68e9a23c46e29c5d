from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from supervisor.options import ServerOptions

from mlops_assets.cli.programs import environment, programs, supervisor_config
from mlops_assets.cli.up import print_addresses
from mlops_assets.config import Settings

SERVER = "http://mlflow.example:5000"


def settings_at(home: Path) -> Settings:
    """Settings on a state folder that is there, as supervisord demands."""
    settings = Settings(home=home)
    (settings.state / "logs").mkdir(parents=True)
    return settings


@pytest.fixture(autouse=True)
def _no_server_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("empty", [True, False])
def test_mlflow_runs_on_the_loops_own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, empty: bool) -> None:
    """An empty variable names no server."""
    if empty:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    settings = Settings(home=tmp_path)
    assert [program.name for program in programs(settings)] == ["service", "code", "webserver", "reports", "mlflow"]
    assert settings.mlflow_url in addresses(settings)


def test_a_server_of_the_users_is_not_started_a_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a server as its store never gets ready, and the start fails after two minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    settings = Settings(home=tmp_path)
    assert [program.name for program in programs(settings)] == ["service", "code", "webserver", "reports"]
    assert environment(settings)["MLFLOW_TRACKING_URI"] == SERVER


def test_mlflows_address_is_the_users_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on the loop's own port then."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    settings = Settings(home=tmp_path, mlflow_port=5999)
    assert SERVER in addresses(settings)
    assert "5999" not in addresses(settings)


@pytest.mark.parametrize("name", ["plain", "with space", "100%", "%(here)s", "50%% off"])
def test_the_supervisor_reads_back_what_was_meant(tmp_path: Path, name: str) -> None:
    """It expands %(...)s in values; a folder may be named like that."""
    settings = settings_at(tmp_path / name)
    command = ("python", "-c", "print('%d %(x)s')", str(settings.state))
    file = settings.state / "supervisord.conf"
    file.write_text(supervisor_config(settings, {"service": command}))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    (group,) = options.process_group_configs
    (program,) = group.process_configs
    logs = settings.state / "logs"
    assert program.directory == str(settings.state)
    assert program.stdout_logfile == str(logs / "service.log")
    assert program.command == " ".join(f'"{word}"' for word in command)
    assert options.pidfile == str(settings.state / "supervisord.pid")
    assert options.logfile == str(logs / "supervisord.log")
    assert options.childlogdir == str(logs)


def addresses(settings: Settings) -> str:
    """What `mlops up` prints of them."""
    console = Console(file=StringIO(), width=300)
    with console.capture() as captured:
        print_addresses(settings, console)
    return captured.get()

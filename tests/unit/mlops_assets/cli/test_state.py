from pathlib import Path

import pytest

from mlops_assets.cli.state import STARTED_WITH, leave_mark, settings_as_started
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import FLIGHTS
from tests.unit.mlops_assets.cli.test_check import CONTRACT


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A loop that was started with options, by a user who has only MLOPS_HOME in the environment."""
    for name in ("MLOPS_DATASET", "MLOPS_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    settings = Settings(dataset=contract, source=str(tmp_path / "data"), service_port=18123)
    leave_mark(settings)
    return settings


def test_commands_after_a_start_mean_its_contract_source_and_ports(started: Settings) -> None:
    """Else `mlops status` asks another loop's service, and `window add` lands where nobody looks."""
    settings = settings_as_started()
    assert (settings.dataset, settings.source) == (started.dataset, started.source)
    assert settings.service_url == "http://127.0.0.1:18123"


def test_what_the_user_names_comes_first(started: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option or by environment."""
    monkeypatch.setenv("MLOPS_SOURCE", "/elsewhere")
    monkeypatch.setenv("MLOPS_SERVICE_PORT", "18124")
    settings = settings_as_started(dataset=FLIGHTS)
    assert (settings.dataset, settings.source, settings.service_port) == (FLIGHTS, "/elsewhere", 18124)
    assert settings_as_started().dataset == started.dataset


def test_a_location_with_a_password_is_not_kept(started: Settings) -> None:
    """A state folder is copied, and shown to others."""
    leave_mark(started.model_copy(update={"source": "postgresql://me:s3cret@host/x"}))
    assert "s3cret" not in (started.state / STARTED_WITH).read_text()
    assert settings_as_started().source is None


def test_without_a_start_settings_are_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first command on a new folder."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("MLOPS_DATASET", raising=False)
    assert settings_as_started().dataset == FLIGHTS

from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_assets.cli.programs import environment
from mlops_assets.config import Settings


def test_a_relative_source_is_told_to_the_programs_as_the_user_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They work in the state folder, which has a folder of no windows under that name, or none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_SOURCE", "data")
    settings = Settings()
    assert settings.landing_location == environment(settings)["MLOPS_SOURCE"] == str(tmp_path / "data")


def test_a_source_is_shown_without_its_password() -> None:
    """In the terminal, where others may look on."""
    assert Settings(source="s3://KEY:hun/ter2@bucket").shown_location == "s3://KEY:***@bucket"


def test_an_empty_source_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the programs are given it where the user names none."""
    monkeypatch.setenv("MLOPS_SOURCE", "")
    settings = Settings(home=tmp_path)
    assert settings.source is None
    assert settings.landing_location == str(tmp_path / "landing")


def test_the_service_looks_up_where_the_graph_writes_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two settings of one place would differ one day; a user of its own, who can only read, must stay possible."""
    monkeypatch.delenv("SERVING_FEATURES", raising=False)
    monkeypatch.setenv("MLOPS_FEATURES_URL", "")
    assert environment(Settings(home=tmp_path))["SERVING_FEATURES"] == ""
    monkeypatch.setenv("MLOPS_FEATURES_URL", "postgresql://graph@host/db")
    assert environment(Settings(home=tmp_path))["SERVING_FEATURES"] == "postgresql://graph@host/db"
    monkeypatch.setenv("SERVING_FEATURES", "postgresql://reader@host/db")
    assert environment(Settings(home=tmp_path))["SERVING_FEATURES"] == "postgresql://reader@host/db"


def test_a_feature_database_is_not_shown_with_its_password() -> None:
    """Neither in what a setting's error says, nor where the settings are printed."""
    with pytest.raises(ValidationError, match="is a URL such as") as refused:
        Settings(features_url="mysql://u:hunter2@host/db")
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(Settings(features_url="postgresql://u:hunter2@host/db"))


@pytest.mark.parametrize(
    "setting", ["ledger_url", "dagster_database_url", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_TRACKING_URI"]
)
@pytest.mark.parametrize("url", ["postgresql://u:hunter2@host/db", "postgresql://u@host/db?password=hunter2"])
def test_a_database_is_named_without_its_password(setting: str, url: str) -> None:
    """Dagster's pages show what a resource is configured with."""
    with pytest.raises(ValidationError, match="PGPASSWORD or PGPASSFILE") as refused:
        Settings.model_validate({setting: url})
    assert "hunter2" not in str(refused.value)


def test_servers_are_found_at_their_ports_unless_they_are_elsewhere() -> None:
    """In one folder's loop the port says all; in containers each program has a host of its own."""
    assert Settings(service_port=8123).service_url == "http://127.0.0.1:8123"
    assert Settings(service_url="http://service:8000").service_url == "http://service:8000"

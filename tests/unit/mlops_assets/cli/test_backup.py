import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.adapters.backup_archive import verify
from mlops_assets.adapters.backup_files import StateFiles
from mlops_assets.cli.backup import backup
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.main import app
from mlops_assets.config import Settings
from tests.unit.mlops_assets.cli.small_state import files_of, promote, small_settings, small_state, write


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a small loop."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI", "MLOPS_DATASET", "MLOPS_HOME"):
        monkeypatch.delenv(name, raising=False)
    return small_state(small_settings(tmp_path))


def test_it_says_what_it_holds(settings: Settings, tmp_path: Path) -> None:
    backup(settings, tmp_path / "b.tar", Console(), force=False)
    manifest = verify(tmp_path / "b.tar")
    assert manifest.members.keys() == {
        "databases/ledger",
        "databases/mlflow",
        "state/dagster/schedules/schedules.db",
        "state/dagster/history/runs.db",
        "state/dagster/history/runs/index.db",
        "state/dataset",
        "state/started-with.json",
        "state/windows/2024-01/current.json",
        "state/windows/2024-01/0123/clean.parquet",
        "state/releases/1/model.onnx",
        "state/landing/2024-01.parquet",
        "contract/small.toml",
    }
    assert manifest.dataset == "small"
    assert {name: copy.kind for name, copy in manifest.databases.items()} == {
        "dagster": "sqlite",
        "ledger": "sqlite",
        "mlflow": "sqlite",
    }
    assert {"dagster", "mlflow"} == manifest.versions.keys()
    assert list(tmp_path.glob(".*")) == [], "nothing is left beside it"


def test_the_command_prints_where_it_is(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(settings.state))
    ran = CliRunner().invoke(app, ["backup", str(tmp_path / "b.tar")])
    assert ran.exit_code == 0, ran.output
    assert "b.tar: 12 files" in ran.output.replace("\n", "")


def test_a_file_that_is_there_is_replaced_only_when_told_to(settings: Settings, tmp_path: Path) -> None:
    file = write(tmp_path / "b.tar", b"of last week")
    with pytest.raises(UserError, match="is there already"):
        backup(settings, file, Console(), force=False)
    assert file.read_bytes() == b"of last week"
    backup(settings, file, Console(), force=True)
    verify(file)


@pytest.mark.parametrize(
    ("place", "said"), [("home/b.tar", "is in the state folder"), ("link/b.tar", "is in the state folder"),
                        ("unmounted/b.tar", "unmounted is not there"), ("contracts", "is there already")]
)  # fmt: skip
def test_a_place_that_would_be_lost_with_the_loop_is_refused(
    settings: Settings, tmp_path: Path, place: str, said: str
) -> None:
    (tmp_path / "link").symlink_to(settings.state)
    with pytest.raises(UserError, match=said):
        backup(settings, tmp_path / place, Console(), force=True)


def test_there_is_nothing_to_back_up_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no loop"):
        backup(small_settings(tmp_path), tmp_path / "b.tar", Console(), force=False)
    assert not (tmp_path / "b.tar").exists()


def test_a_server_s_registry_is_not_left_out_silently(settings: Settings, tmp_path: Path) -> None:
    served = settings.model_copy(update={"tracking_uri": "http://mlflow:5000"})
    with pytest.raises(UserError, match="set MLFLOW_BACKEND_STORE_URI"):
        backup(served, tmp_path / "b.tar", Console(), force=False)


@pytest.mark.parametrize("location", ["s3://bucket/1", "file:///elsewhere/1", "mlflow-artifacts:/1"])
def test_artifacts_that_are_elsewhere_are_told(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], location: str
) -> None:
    """A server hands artifacts on out of a folder that is in the state folder where a volume is mounted there."""
    with closing(sqlite3.connect(settings.state / "mlflow.db")) as connection:
        connection.execute("INSERT INTO runs VALUES (?)", (f"{location}/a/artifacts",))
        connection.commit()
    backup(settings, tmp_path / "b.tar", Console(), force=False)
    assert f"not in it: MLflow's artifacts in {location};" in capsys.readouterr().out
    if location.startswith("mlflow-artifacts"):
        (settings.state / "mlartifacts").mkdir()
        backup(settings, tmp_path / "b.tar", Console(), force=True)
        assert "not in it" not in capsys.readouterr().out


def test_a_backup_that_fails_leaves_nothing_and_keeps_the_one_before(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    file = write(tmp_path / "backups" / "b.tar", b"of last week")
    (settings.state / "mlflow.db").write_bytes(b"no database at all, but longer than sixteen bytes")
    with pytest.raises(UserError, match=r"mlflow\.db cannot be read: file is not a database"):
        backup(settings, file, Console(), force=True)
    assert files_of(tmp_path / "backups") == {"b.tar": b"of last week"}


def test_a_contract_in_the_state_folder_is_in_it_once(settings: Settings, tmp_path: Path) -> None:
    inside = shutil.copyfile(settings.dataset, settings.state / "small.toml")
    backup(settings.model_copy(update={"dataset": inside}), tmp_path / "b.tar", Console(), force=False)
    assert [name for name in verify(tmp_path / "b.tar").members if name.endswith("toml")] == ["state/small.toml"]


def test_what_lands_between_databases_and_files_is_no_fault(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on all the while: its window, release and pointer are newer than the ledger that was copied."""
    add_log: Callable[..., None] = StateFiles.add_log

    def meanwhile(*arguments: object) -> None:
        promote(settings, 2)
        write(settings.releases / "2" / "model.onnx", b"newer")
        add_log(*arguments)

    monkeypatch.setattr(StateFiles, "add_log", meanwhile)
    backup(settings, tmp_path / "b.tar", Console(), force=False)
    assert "state/releases/2/model.onnx" in verify(tmp_path / "b.tar").members
    assert "state/releases/production.json" not in verify(tmp_path / "b.tar").members

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.adapters.backup_archive import verify
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.cli import restore as restore_module
from mlops_assets.cli.backup import backup
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.main import app
from mlops_assets.cli.restore import restore
from mlops_assets.cli.stack import only_stack
from mlops_assets.cli.state import demand_own_state, settings_as_started
from mlops_assets.config import Settings
from mlops_assets.domain.backup import INTERRUPTED, Member
from tests.unit.mlops_assets.cli.small_state import (
    files_of,
    promote,
    small_settings,
    small_state,
    write,
    write_pointer,
)

MEMBERS = 12


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A loop that was backed up."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI", "MLOPS_DATASET", "MLOPS_HOME"):
        monkeypatch.delenv(name, raising=False)
    settings = small_state(small_settings(tmp_path))
    backup(settings, tmp_path / "b.tar", Console(), force=False)
    return settings


@pytest.fixture
def file(lost: Settings) -> Path:
    """Its backup."""
    return lost.state.with_name("b.tar")


@pytest.fixture
def found(tmp_path: Path) -> Settings:
    """An empty place for it."""
    return Settings(home=tmp_path / "elsewhere")


def artifact_uri(settings: Settings) -> str:
    """Where MLflow's one run has its artifacts."""
    with closing(sqlite3.connect(settings.state / "mlflow.db")) as connection:
        uri: str = connection.execute("SELECT artifact_uri FROM runs").fetchone()[0]
        return uri


def test_what_was_backed_up_is_there_again(lost: Settings, found: Settings, file: Path) -> None:
    restore(found, file, Console())
    before, after = files_of(lost.state), files_of(found.state)
    for gone in ("supervisord.pid", "releases/.2.ab.tmp/model.onnx", "prediction_log/.lock"):
        before.pop(gone, None)
    after.pop("contract/small.toml")
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert not changed - {"mlflow.db", "releases/production.json", "ledger.db"}
    assert Ledger(found.ledger_url).history() == Ledger(lost.ledger_url).history()
    assert artifact_uri(found) == (found.state / "mlartifacts" / "1" / "a" / "artifacts").as_uri()
    demand_own_state(settings_as_started(home=found.home))


def test_the_ledger_decides_what_is_production(lost: Settings, found: Settings, file: Path) -> None:
    """The pointer was moved after the ledger was copied."""
    write_pointer(lost, 7, 9)
    backup(lost, file, Console(), force=True)
    restore(found, file, Console())
    pointer = ReleaseStore(found.releases).pointer()
    assert pointer is not None
    assert (pointer.model_version, pointer.epoch, pointer.promoted_by) == (1, 1, "someone")


def test_a_contract_that_is_on_this_machine_no_more_is_the_backup_s(
    lost: Settings, found: Settings, file: Path
) -> None:
    restore(found, file, Console())
    assert settings_as_started(home=found.home).dataset == lost.dataset
    shutil.rmtree(found.state)
    shutil.rmtree(lost.dataset.parent)
    restore(found, file, Console())
    started = settings_as_started(home=found.home)
    assert started.dataset == found.state / "contract" / "small.toml"
    demand_own_state(started)


def test_a_source_in_the_state_folder_moves_with_it(lost: Settings, found: Settings, file: Path) -> None:
    started = lost.state / "started-with.json"
    started.write_text(json.dumps({"dataset": str(lost.dataset), "source": str(lost.state / "in")}))
    backup(lost, file, Console(), force=True)
    restore(found, file, Console())
    assert settings_as_started(home=found.home).source == str(found.state / "in")


def test_what_is_not_empty_is_named_and_left_as_it_is(lost: Settings, found: Settings, file: Path) -> None:
    for name in ("landing/2013-01.csv", "windows/2024-01/current.json", "releases/production.json", "ledger.db"):
        there = write(found.state / name, b"mine")
        with pytest.raises(UserError, match=rf"{name}.*(is there|is not empty)"):
            restore(found, file, Console())
        assert files_of(found.state) == {name: b"mine"}
        there.unlink()
    with pytest.raises(UserError, match="is not empty"):
        restore(lost, file, Console())
    restore(found, file, Console())


def test_a_database_elsewhere_is_not_overwritten_either(lost: Settings, found: Settings, file: Path) -> None:
    other = found.model_copy(update={"ledger_url": lost.ledger_url})
    before = files_of(lost.state)
    with pytest.raises(UserError, match=r"ledger\.db \(ledger\) is not empty, and a restore overwrites nothing"):
        restore(other, file, Console())
    assert files_of(lost.state) == before
    assert files_of(other.state) == {}


def test_it_restores_nothing_where_a_loop_runs(found: Settings, file: Path) -> None:
    with only_stack(found), pytest.raises(UserError, match="the loop runs already"):
        restore(found, file, Console())


def test_an_archive_that_is_not_whole_changes_nothing(found: Settings, file: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"b\.tar cannot be restored: it"):
            restore(found, file, Console())
        assert not found.state.exists()
    with pytest.raises(UserError, match=r"nothing\.tar"):
        restore(found, file.with_name("nothing.tar"), Console())


def test_another_form_of_database_is_refused(found: Settings, file: Path) -> None:
    served = found.model_copy(update={"ledger_url": "postgresql://u@127.0.0.1:1/ledger"})
    with pytest.raises(UserError, match="ledger database is sqlite and the settings name postgresql"):
        restore(served, file, Console())
    assert not served.state.exists()


@pytest.mark.parametrize("done", range(0, MEMBERS + 1, 2))
def test_an_interrupted_restore_is_seen_and_can_be_begun_again(
    lost: Settings, found: Settings, file: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """The disk is full after some files; somebody makes room."""
    room = iter(range(done))

    class Full(restore_module._Restoring):
        def put(self, name: str, content: IO[bytes]) -> None:
            if next(room, None) is None:
                raise OSError(28, "No space left on device")
            super().put(name, content)

        def finish(self) -> None:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(restore_module, "_Restoring", Full)
        with pytest.raises(UserError, match="No space left on device"):
            restore(found, file, Console())
    assert (found.state / INTERRUPTED).exists()
    with pytest.raises(UserError, match="run `mlops restore` with the same file again"):
        demand_own_state(Settings(home=found.home, dataset=lost.dataset))
    write(found.state / "windows" / ".half.0123.tmp", b"half")

    promote(lost, 2)
    backup(lost, file.with_name("other.tar"), Console(), force=False)
    with pytest.raises(UserError, match="the restore of another archive was interrupted"):
        restore(found, file.with_name("other.tar"), Console())
    restore(found, file, Console())
    assert not [name for name in files_of(found.state) if name.endswith(".tmp") or name == INTERRUPTED]
    assert len(Ledger(found.ledger_url).history()) == 1
    assert (found.state / "landing" / "2024-01.parquet").read_bytes() == b"landed"
    demand_own_state(settings_as_started(home=found.home))


def test_an_archive_that_is_changed_after_it_was_verified_is_noticed(
    found: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verified(path: Path) -> object:
        manifest = verify(path)
        member = manifest.members["state/dataset"]
        manifest.members["state/dataset"] = Member(**{**member.model_dump(), "sha256": "0" * 64})
        return manifest

    monkeypatch.setattr(restore_module, "verify", verified)
    with pytest.raises(UserError, match="was changed since it was verified"):
        restore(found, file, Console())
    assert not (found.state / "dataset").exists()
    assert (found.state / INTERRUPTED).exists()


def test_a_service_may_go_on_answering_meanwhile(lost: Settings, found: Settings, file: Path) -> None:
    """It serves what it has loaded; what it wrote stays, and a segment that was sealed since is not there twice."""
    stem = "20240305T000000000000Z-0123456789abcdef-1"
    write(lost.state / "serving" / "log" / f"{stem}.open", b"begun\n")
    write(lost.state / "serving" / "log" / f"{stem[:-1]}2.open", b"lost\n")
    backup(lost, file, Console(), force=True)
    sealed = write(found.state / "serving" / "log" / f"{stem}.{'a' * 64}.jsonl", b"begun\nsealed\n")
    restore(found, file, Console())
    assert files_of(sealed.parent) == {sealed.name: b"begun\nsealed\n", f"{stem[:-1]}2.open": b"lost\n"}


def test_the_command_says_what_the_folder_is_now(found: Settings, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(found.state))
    ran = CliRunner().invoke(app, ["restore", str(file)])
    assert ran.exit_code == 0, ran.output
    assert "is the loop of the dataset small as it was at" in ran.output.replace("\n", "")

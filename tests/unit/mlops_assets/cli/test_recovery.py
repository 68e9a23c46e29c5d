from pathlib import Path

import pytest

from mlops_assets.adapters.landing.landed_window import SourceInvalid
from mlops_assets.adapters.ledger import Ledger, Request
from mlops_assets.adapters.model_registry import ModelRegistry
from mlops_assets.cli import recovery
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.stack import free_port
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import DatasetInvalid

REQUEST = Request(
    model_version=3,
    expected_epoch=None,
    actor="gate",
    reason="better",
    manifest_sha256="0" * 64,
    evidence_sha256="0" * 64,
    dagster_run_id="run",
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A loop whose MLflow server is down."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Settings(home=tmp_path)


def test_a_server_that_is_down_is_one_line_and_not_the_end(settings: Settings) -> None:
    """The service and the lineage need no MLflow; a traceback before they start helps no one."""
    (line,) = recovery.prepare(settings)
    assert line.startswith("MLflow could not be prepared: MlflowException: ")
    assert str(settings.tracking_uri).removeprefix("http://127.0.0.1:") in line
    assert "\n" not in line


def test_a_database_that_cannot_be_made_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own database is not going to come up later."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(ModelRegistry, "prepare", fail)
    with pytest.raises(RuntimeError, match="down"):
        recovery.prepare(Settings(home=tmp_path))


def test_a_mistake_in_the_contract_is_not_taken_for_a_server_that_is_down(settings: Settings, tmp_path: Path) -> None:
    """The user mends it, and reads of it as always."""
    contract = tmp_path / "broken.toml"
    contract.write_text("name = ")
    with pytest.raises(DatasetInvalid):
        recovery.prepare(settings.model_copy(update={"dataset": contract}))


def test_a_promotion_that_cannot_be_concluded_now_stays_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the recovery goes on without it."""
    ledger = Ledger(settings.ledger_url)
    ledger.intend(REQUEST)
    monkeypatch.setattr(recovery, "fail_runs", lambda _, __: ["failed the orphaned run"])
    line, *rest = recovery.recover(settings)
    assert line.startswith("an open promotion could not be concluded: MlflowException: ")
    assert "\n" not in line
    assert rest == ["failed the orphaned run"]
    assert [promotion.model_version for promotion in ledger.unfinished()] == [3]


def test_an_error_of_several_lines_is_told_in_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's error may hold a page."""
    monkeypatch.setattr(ModelRegistry, "prepare", fail)
    (line,) = recovery.prepare(settings)
    assert "RuntimeError: down;" in line
    assert "page" not in line


def fail(_: object) -> None:
    """Stands in for a call to MLflow."""
    raise RuntimeError("down\n<html>a page</html>")


def test_a_state_folder_belongs_to_one_dataset(settings: Settings, tmp_path: Path) -> None:
    """Windows and production of another dataset would be taken for this one's."""
    recovery.prepare(settings)
    other = tmp_path / "other.toml"
    text = settings.dataset.read_text().replace('name = "flights"', 'name = "trains"')
    other.write_text(text.replace('known_cases = "flights_known_cases.toml"', ""))
    with pytest.raises(UserError, match=r"holds the loop of the dataset flights, and .*other\.toml is named trains"):
        recovery.prepare(settings.model_copy(update={"dataset": other}))
    recovery.prepare(settings)


@pytest.mark.parametrize(
    ("source", "said"), [("foo://x", "foo:// is no place"), ("sqlite:///landing.db", "needs `tables` and `window_co")]
)
def test_a_source_that_cannot_be_one_ends_the_start(settings: Settings, source: str, said: str) -> None:
    """The code location could not be loaded, and the start would wait for it without a word."""
    with pytest.raises(SourceInvalid, match=said):
        recovery.prepare(settings.model_copy(update={"source": source}))
    assert not (settings.state / "dataset").exists()


def test_a_state_folder_of_an_earlier_version_is_named(settings: Settings) -> None:
    """Its windows would be found damaged one by one, while the loop runs."""
    window = settings.windows / "2013-01"
    window.mkdir(parents=True)
    (window / "current.json").write_text("{}")
    with pytest.raises(UserError, match="was made by an earlier version"):
        recovery.prepare(settings)


def test_a_start_removes_what_a_killed_run_left_half_made(settings: Settings) -> None:
    """Copies of remote windows and unfinished versions fill the disk, and nothing else ever removes them."""
    half = settings.windows / "2013-01" / ".abc.tmp"
    for folder in (half, settings.spool / "2013-01-x"):
        folder.mkdir(parents=True)
        (folder / "clean.parquet").write_bytes(b"half")
    kept = settings.windows / "2013-01" / "abc"
    kept.mkdir()
    spilled = settings.windows / ".spill-x"
    spilled.mkdir()
    record = settings.windows / "2013-01" / ".current.json.x.tmp"
    record.write_text("{")
    (settings.releases / ".3.x.tmp").mkdir(parents=True)
    (settings.releases / ".production.json.x.tmp").write_text("{")
    (settings.releases / "production.json").write_text("{}")
    recovery.prepare(settings)
    assert [path.name for path in settings.releases.iterdir()] == ["production.json"]
    assert not half.exists()
    assert not settings.spool.exists()
    assert not spilled.exists()
    assert not record.exists()
    assert kept.exists()

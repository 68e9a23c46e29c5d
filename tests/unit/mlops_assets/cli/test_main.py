from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlops_assets.cli.errors import UserError
from mlops_assets.cli.main import app, main
from mlops_assets.cli.state import MARK
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.small_windows import land, small_frame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working directory, with a contract and a window; the state is another dataset's."""
    (tmp_path / "dataset.toml").write_text(CONTRACT)
    land(tmp_path / "2013-01.parquet", small_frame(60))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / MARK).write_text("other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_HOME", "home")
    monkeypatch.setenv("MLOPS_DATASET", "dataset.toml")
    monkeypatch.delenv("MLOPS_SOURCE", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(app, arguments)


def test_a_window_is_added_where_the_loop_looks(folder: Path) -> None:
    """It was started on this folder by an option, which no other command knows of."""
    (folder / "data").mkdir()
    added = run("window", "add", "2013-01.parquet", "--source", "data")
    assert added.exit_code == 0, added.output
    assert added.output == f"landed {folder / 'data' / '2013-01.parquet'}\n"
    assert [path.name for path in (folder / "data").iterdir()] == ["2013-01.parquet"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["window", "add", "2013-01.parquet", "--source", "unmounted"], "unmounted, which is not there"),
        (["window", "add", "2013-01.parquet", "--source", "s3://k@bucket"], "put it there with that place's own tools"),
        (["window", "add", "2013-01.parquet"], "holds the loop of the dataset other"),
        (["window", "remove", "2013-01"], "holds the loop of the dataset other"),
        (["status"], "holds the loop of the dataset other"),
    ],
)
def test_a_window_goes_nowhere_else(folder: Path, arguments: list[str], said: str) -> None:
    """Neither into a mount point without its disk, nor into another dataset's state."""
    refused = run(*arguments)
    assert isinstance(refused.exception, UserError)
    assert said in str(refused.exception)
    assert sorted(path.name for path in folder.iterdir()) == ["2013-01.parquet", "dataset.toml", "home"]
    assert [path.name for path in (folder / "home").iterdir()] == [MARK]


def test_a_setting_that_is_wrong_is_told_without_its_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The terminal may be a job's public log."""
    monkeypatch.setenv("MLOPS_FEATURES_URL", "mysql://u:hunter2@host/db")
    monkeypatch.setattr("sys.argv", ["mlops", "status"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "MLOPS_FEATURES_URL is 'mysql://u:***@host/db': Value error, is a URL such as" in said
    assert (folder / "home").is_dir()

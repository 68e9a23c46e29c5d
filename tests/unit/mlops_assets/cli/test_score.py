from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.main import app
from mlops_assets.cli.state import MARK
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.windows import WindowUnfit
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.small_release import release_small
from tests.unit.mlops_assets.small_windows import land, small_frame

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working directory with a file of 60 rows, and the state of a loop that has promoted nothing."""
    (tmp_path / "dataset.toml").write_text(CONTRACT)
    land(tmp_path / "rows.parquet", small_frame(60))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / MARK).write_text("small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_HOME", "home")
    monkeypatch.setenv("MLOPS_DATASET", "dataset.toml")
    monkeypatch.delenv("MLOPS_SOURCE", raising=False)
    return tmp_path


@pytest.fixture
def released(folder: Path) -> Path:
    """The same with a release."""
    release_small(ReleaseStore(folder / "home" / "releases"), read_dataset(folder / "dataset.toml"))
    return folder


def run(*arguments: str) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(app, ["score", *arguments])


def refusal(*arguments: str) -> str:
    """What a command that fails says."""
    result = run(*arguments)
    assert isinstance(result.exception, (UserError, WindowUnfit)), result.output
    return str(result.exception)


def test_a_file_is_scored_by_production(released: Path) -> None:
    """Prevents that a user must know where releases lie to use one."""
    done = run("rows.parquet", "-o", "scores.parquet")
    assert done.exit_code == 0, done.output
    assert "60 of 60 rows scored by version 1, mean probability 0." in done.output
    assert done.output.rstrip().endswith(": scores.parquet")
    assert pd.read_parquet(released / "scores.parquet")["probability"].between(0, 1).all()


def test_refused_rows_are_counted_and_fail_the_command_where_asked(released: Path) -> None:
    """Prevents that a nightly run passes on rows without a probability, where nobody wants such."""
    frame = small_frame(60)
    frame.loc[:4, "amount"] = 5000
    land(released / "rows.parquet", frame)
    done = run("rows.parquet", "-o", "scores.csv")
    assert done.exit_code == 0, done.output
    assert "55 of 60 rows scored" in done.output
    assert "5 rows were refused: their probability is null, and reason says why:" in done.output
    assert "  amount: out of range  5" in done.output
    strict = run("rows.parquet", "-o", "scores.csv", "--force", "--strict")
    assert strict.exit_code == 1
    assert len(pd.read_csv(released / "scores.csv")) == 60


def test_before_the_first_promotion_it_says_what_to_wait_for(folder: Path) -> None:
    """Prevents a traceback where the loop has only just begun."""
    assert "there is no release in" in refusal("rows.parquet", "-o", "out.parquet")
    assert not (folder / "out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("away.parquet", "-o", "out.parquet"), "away.parquet is not there"),
        (("home", "-o", "out.parquet"), "home is a folder, not a file"),
        (("dataset.toml", "-o", "out.parquet"), "dataset.toml is neither Parquet nor CSV by its name"),
        (("text.parquet", "-o", "out.parquet"), "text.parquet cannot be read as Parquet"),
        (("rows.parquet", "-o", "out.txt"), "out.txt must end with .parquet or .csv"),
        (("rows.parquet", "-o", "away/out.csv"), "the folder away is not there"),
        (("rows.parquet", "-o", "rows.parquet", "--force"), "rows.parquet is the file that is read"),
        (("rows.parquet", "-o", "there.csv"), "there.csv is there already: name another output, or replace it with"),
    ],
)
def test_what_cannot_be_read_or_written_is_said(released: Path, arguments: tuple[str, ...], said: str) -> None:
    """Prevents that a slip of the hand costs a file, or ends in a traceback."""
    (released / "text.parquet").write_text("no Parquet\n")
    (released / "there.csv").write_text("of before\n")
    assert said in refusal(*arguments)
    assert (released / "there.csv").read_text() == "of before\n"
    assert len(pd.read_parquet(released / "rows.parquet")) == 60


def test_a_release_that_was_tampered_with_scores_nothing(released: Path) -> None:
    """Prevents that a file is scored by bytes that no gate has seen."""
    model = released / "home" / "releases" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"!")
    assert "the model cannot be used: model.onnx" in refusal("rows.parquet", "-o", "out.parquet")


def test_an_output_that_cannot_be_written_is_said(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a traceback where the disk is full, and a leftover that keeps it so."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_batch", full)
    assert "out.parquet cannot be written: [Errno 28] No space left" in refusal("rows.parquet", "-o", "out.parquet")
    assert not list(released.glob(".*"))

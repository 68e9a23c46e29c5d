import json
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.adapters.drift_measurement import PREDICTION
from mlops_assets.adapters.release_store import Lineage, ReleaseStore, write_bundle
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.drift import compare, show
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.main import app
from mlops_assets.cli.state import MARK
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.candidate import export_onnx, train
from serving.release import Pointer
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.landed_windows import landed_window
from tests.unit.mlops_assets.small_windows import as_drawn, land, small_frame

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three months in use, of which the last is shifted and has rows in quarantine, and one that is broken."""
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    settings = Settings(home=tmp_path / "home", dataset=contract)
    moved = small_frame(600, shift=2, seed=3)
    moved.loc[:4, "amount"] = 5000.5
    moved["age"] = None
    take(settings, "2013-01", small_frame(600, seed=1))
    take(settings, "2013-02", small_frame(600, seed=2))
    take(settings, "2013-03", moved.astype({"age": float}))
    take(settings, "2013-04", small_frame(60).drop(columns="age"))
    (settings.state / MARK).write_text("small")
    return settings


def take(settings: Settings, window: str, frame: pd.DataFrame) -> None:
    """Stores a window."""
    landed = landed_window(land(settings.landing / f"{window}.parquet", frame), window=window)
    WindowStore(settings.windows, read_dataset(settings.dataset)).take(landed)


def shown(settings: Settings, reference: str, current: str) -> str:
    """What is printed, with runs of blanks as one."""
    output = StringIO()
    dataset = read_dataset(settings.dataset)
    show(compare(settings, reference, current), dataset, Console(file=output, width=120, markup=False))
    return " ".join(output.getvalue().split())


def release_model(settings: Settings) -> None:
    """A production model, as a promotion leaves it."""
    dataset = read_dataset(settings.dataset)
    bundle = settings.releases / "1"
    bundle.mkdir(parents=True)
    learned = {"2013-01": "a"}
    digest = write_bundle(
        bundle,
        model=export_onnx(train(dataset, as_drawn(small_frame(600)))),
        cases=[],
        dataset=dataset,
        lineage=Lineage(
            model_name="small",
            model_version=1,
            training_windows=learned,
            validation_window=("2013-01", "a"),
            dagster_run_id="run",
            mlflow_run_id="run",
        ),
        metrics={"auc": 0.7},
        importance={},
        card="",
    )
    pointer = Pointer(epoch=1, model_version=1, manifest_sha256=digest, promoted_at="2013-02-01T00:00:00Z")
    ReleaseStore(settings.releases).point_to(pointer)


def test_windows_of_one_distribution_are_said_not_to_have_drifted(settings: Settings) -> None:
    """With what chance does to windows of this size, and the page to look at."""
    told = shown(settings, "2013-01", "2013-02")
    assert "quality 2013-01 2013-02" in told
    assert "0 of 2 columns drifted: drift_share 0.0000 does not exceed the threshold 0.3000" in told
    assert "by chance alone it would in 1.0% at the most, by 1,000 resamples of 2013-01 at the size of 2013-02 " in told
    assert "(600 rows of 200 split keys)" in told
    page = settings.reports / "drift-2013-01.2013-02.html"
    assert f"Evidently's page: {page}" in told
    assert "amount" in page.read_text()


def test_a_window_that_moved_is_shown_with_its_quality(settings: Settings) -> None:
    """Rows set aside, values that went missing, columns by the size of their drift, and the target."""
    told = shown(settings, "2013-01", "2013-03")
    assert "rows 600 600 clean 600 595 quarantined 0 5 labelled 600 595 amount: out of range 0 5" in told
    assert "2 of 2 columns drifted: drift_share 1.0000 exceeds the threshold 0.3000" in told
    assert "1 of them cannot be judged, and exceed it by themselves" in told
    assert "by chance alone" not in told, "no threshold can keep a rate of what happens without it"
    assert told.index("age unusable") < told.index("amount drifted") < told.index("late ")
    assert "age unusable drifted - - 17.7% → 100.0% all null in the current window" in told
    assert "the target" in told


def test_the_direction_counts(settings: Settings) -> None:
    """The distance is in standard deviations of the first one that is named."""
    there, back = (compare(settings, *pair).measured for pair in (("2013-01", "2013-03"), ("2013-03", "2013-01")))
    assert there.columns[0].score != back.columns[0].score
    assert compare(settings, "2013-01", "2013-01").measured.columns[0].score == pytest.approx(0, abs=1e-9)


def test_production_scores_both_where_there_is_one(settings: Settings) -> None:
    """Drift of the scores tells whether the features' drift reaches the answers."""
    assert compare(settings, "2013-01", "2013-03").measured.prediction is None
    release_model(settings)
    prediction = compare(settings, "2013-01", "2013-03").measured.prediction
    assert prediction is not None
    assert prediction.column == PREDICTION
    assert prediction.verdict == "drifted"
    assert "prediction drifted" in shown(settings, "2013-01", "2013-03")


def test_a_model_of_another_contract_scores_nothing(settings: Settings) -> None:
    """It would ask for columns that the windows lack; everything else is measured all the same."""
    release_model(settings)
    settings.dataset.write_text(CONTRACT.replace("features.age", "features.years"))
    measured = compare(settings, "2013-01", "2013-02").measured
    assert measured.prediction is None
    assert [(column.column, column.verdict) for column in measured.columns] == [
        ("amount", "stable"),
        ("years", "unusable"),
    ]


@pytest.mark.parametrize(
    ("reference", "current", "said"),
    [
        ("2013-01", "2013-09", "no window 2013-09 is in use; there are: 2013-01, 2013-02, 2013-03, 2013-04"),
        ("2013-04", "2013-01", "the window 2013-04 is in quarantine: columns are missing: age"),
    ],
)
def test_a_window_that_is_not_in_use_is_an_error_that_says_why(
    settings: Settings, reference: str, current: str, said: str
) -> None:
    """A typing error is seen at once, and nothing is written."""
    with pytest.raises(UserError) as refused:
        compare(settings, reference, current)
    assert said in str(refused.value)
    assert not list(settings.reports.glob("*"))


@pytest.mark.parametrize(("key", "said"), [("case_id", r"row id \(number\)"), ("customer", r"split key \(number\)")])
def test_a_window_without_the_contracts_keys_can_be_taken_up_anew(settings: Settings, key: str, said: str) -> None:
    """Rows are drawn by one and resampled by the other."""
    settings.dataset.write_text(CONTRACT.replace(f'"{key}"', '"number"'))
    with pytest.raises(UserError, match=f"without this {said}: `mlops quarantine requeue 2013-01` takes it up"):
        compare(settings, "2013-01", "2013-02")


def test_too_few_rows_are_said_to_be_too_few(settings: Settings) -> None:
    """Neither drift nor no drift, and no table of columns that nobody judged."""
    take(settings, "2013-05", small_frame(50, seed=5))
    told = shown(settings, "2013-01", "2013-05")
    assert "not enough data: 50 rows in the current window, the contract asks for 100" in told
    assert "drift_share" not in told


def test_a_state_without_a_loop_is_an_error(settings: Settings) -> None:
    """As where MLOPS_HOME was forgotten."""
    (settings.state / MARK).unlink()
    with pytest.raises(UserError, match="was made by an earlier version"):
        compare(settings, "2013-01", "2013-02")


def test_the_command_prints_json_for_programs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the tables show."""
    monkeypatch.setenv("MLOPS_HOME", str(settings.home))
    monkeypatch.setenv("MLOPS_DATASET", str(settings.dataset))
    printed = CliRunner().invoke(app, ["drift", "2013-01", "2013-03", "--json"])
    assert printed.exit_code == 0, printed.output
    told = json.loads(printed.output[printed.output.index("{") :])
    assert told["reference"]["window"] == "2013-01"
    assert told["drift"]["share"] == 1
    assert told["drift"]["calibration"]["current"] == {"rows": 590, "keys": 190}
    assert told["drift"]["columns"][1]["nulls"][1] == 1
    assert Path(told["page"]).exists()
    plain = CliRunner().invoke(app, ["drift", "2013-01", "2013-03"])
    assert "drift_share 1.0000 exceeds" in plain.output

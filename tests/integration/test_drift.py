"""`drift_report` in the graph: what stands on its page, what is kept for the next one, and what its check says."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.definitions import build_definitions
from tests.integration.conftest import CONTRACT, Loop, new_loop

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Loop]:
    """A first model of 2024-01, and three windows measured against it: moved, silent in a feature, without labels."""
    with new_loop(tmp_path_factory.mktemp("drift"), empty_mlflow) as loop:
        loop.land("2024-01")
        assert loop.ingest("2024-01").success
        assert loop.train("2024-01").success
        loop.land("2024-02", shift=3)
        silent = loop.land("2024-03")
        pd.read_parquet(silent).assign(visits=pd.array([None] * 800, dtype="Int64")).to_parquet(silent)
        loop.land("2024-04", labelled=False)
        for window in ("2024-02", "2024-03", "2024-04"):
            assert loop.ingest(window).success
        yield loop


def columns_of(loop: Loop, window: str) -> dict[str, dict[str, object]]:
    """The table of columns on a report's page, in its order."""
    records: list[dg.TableRecord] = loop.reported("drift_report", window)["columns"].records
    return {str(record.data["column"]): dict(record.data) for record in records}


def judged(loop: Loop, window: str) -> tuple[bool, str | None]:
    """The verdict of `no_feature_went_silent` on a window, and what it says."""
    runs = loop.instance.get_runs(dg.RunsFilter(job_name="window_job", tags={"dagster/partition": window}))
    entries = loop.instance.all_logs(runs[0].run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.asset_check_evaluation_data for entry in entries if entry.dagster_event]
    (found,) = [one for one in evaluations if one.check_name == "no_feature_went_silent"]
    assert found.severity == dg.AssetCheckSeverity.WARN, "it must never stop the loop"
    return found.passed, found.description


def test_the_page_shows_what_moved_and_how_much_it_matters(measured: Loop) -> None:
    """A column that the model does not need may move as far as it likes."""
    said, columns = measured.reported("drift_report", "2024-02"), columns_of(measured, "2024-02")
    assert said["decision"] == "trained"
    assert next(iter(columns)) == "price", "what matters most comes first"
    assert columns["price"]["verdict"] == "drifted"
    assert float(str(columns["price"]["importance"])) > 0.1
    assert float(str(columns["price"]["impact"])) > float(str(columns["visits"]["impact"]))
    assert columns["visits"]["verdict"] == columns["shop"]["verdict"] == "stable"
    assert said["drift_share"] == pytest.approx(1 / 3)
    assert said["prediction_drift"] > 0.1
    assert said["target_drift"] < 0.1
    assert said["distributions"].startswith("![Distributions](data:image/png;base64,")
    assert said["calibration"]["current"] == {"rows": 800, "keys": 400}
    assert said["reference"] == measured.releases.production().learned  # type: ignore[union-attr]
    page = measured.settings.reports / "drift-2024-02.html"
    assert said["report"].endswith(f":{measured.settings.reports_port}/{page.name}")
    assert "price" in page.read_text()
    assert judged(measured, "2024-02") == (True, None)


def test_a_feature_that_went_silent_is_told_and_the_others_are_judged(measured: Loop) -> None:
    """One all-null column kills Evidently's whole report, and must not pass for one that is unchanged."""
    columns = columns_of(measured, "2024-03")
    assert (columns["visits"]["verdict"], columns["visits"]["reason"]) == ("unusable", "all null in the current window")
    assert columns["price"]["verdict"] == columns["shop"]["verdict"] == "stable"
    assert measured.reported("drift_report", "2024-03")["drift_share"] == pytest.approx(1 / 3)
    assert judged(measured, "2024-03") == (False, "visits: all null in the current window")


def test_a_feature_that_went_silent_is_told_where_it_is_left_out_too(tmp_path: Path, empty_mlflow: Path) -> None:
    """There the check is the only one to say it."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        loop.settings.dataset.write_text(
            CONTRACT.replace("sample_rows = 1000", 'sample_rows = 1000\nunusable = "left_out"')
        )
        loop.definitions = build_definitions(loop.settings)
        loop.land("2024-01")
        assert loop.ingest("2024-01").success
        assert loop.train("2024-01").success
        silent = loop.land("2024-02", labelled=False)
        pd.read_parquet(silent).assign(visits=pd.array([None] * 800, dtype="Int64")).to_parquet(silent)
        assert loop.ingest("2024-02").success
        assert columns_of(loop, "2024-02")["visits"]["counts"] == "left out"
        assert loop.reported("drift_report", "2024-02")["drift_share"] == 0
        assert judged(loop, "2024-02") == (False, "visits: all null in the current window"), "the target is no feature"


def test_without_labels_everything_but_the_target_is_measured(measured: Loop) -> None:
    """They come weeks later; the drift of the features is known at once."""
    said = measured.reported("drift_report", "2024-04")
    assert said["target_drift"] == "all null in the current window"
    assert isinstance(said["prediction_drift"], float)
    assert said["drift_share"] == 0
    assert said["decision"] == "waits for labels"
    assert "distributions" not in said, "a picture of nothing"


def test_a_calibration_is_kept_with_the_release_and_the_next_report_reads_it(measured: Loop) -> None:
    """It takes a second of each report's time otherwise."""
    kept = {path: path.stat().st_mtime_ns for path in measured.releases.calibrations(1).iterdir()}
    assert kept
    assert measured.run("drift_job", "2024-02").success
    assert {path: path.stat().st_mtime_ns for path in measured.releases.calibrations(1).iterdir()} == kept


def test_the_same_windows_give_the_same_report(measured: Loop) -> None:
    """To the last digit, the decision with it: nothing is drawn by chance."""
    before = measured.reported("drift_report", "2024-03")
    assert measured.run("drift_job", "2024-03").success
    assert measured.reported("drift_report", "2024-03") == before


def test_too_little_data_is_neither_drift_nor_no_drift(tmp_path: Path, empty_mlflow: Path) -> None:
    """A window of a few rows has drifted by chance alone."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        loop.land("2024-01")
        assert loop.ingest("2024-01").success
        assert loop.train("2024-01").success
        loop.settings.dataset.write_text(CONTRACT.replace("sample_rows = 1000", "sample_rows = 1000\nmin_rows = 500"))
        loop.definitions = build_definitions(loop.settings)
        loop.land("2024-02", shift=3, rows=400)
        assert loop.ingest("2024-02").success
        said = loop.reported("drift_report", "2024-02")
        assert (said["decision"], said["trains"]) == ("not enough data", "")
        assert "drift_share" not in said
        assert "400 rows in the current window, the contract asks for 500" in said["not_enough_data"]
        assert judged(loop, "2024-02") == (False, f"not enough data: {said['not_enough_data']}")
        assert "asks for 500" in (loop.settings.reports / "drift-2024-02.html").read_text()

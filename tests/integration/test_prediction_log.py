"""From the service's segments to a window that the graph takes up: the loop closes on live traffic."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import pytest

from serving.log_segments import LabelRecord, PredictionRecord
from tests.integration.conftest import Loop, failure_message
from tests.integration.test_sensors import requested, tick
from tests.unit.mlops_assets.log_segments import answer, label, seal

pytestmark = pytest.mark.integration
DAY = datetime(2024, 3, 5, tzinfo=UTC)


def traffic(rows: int, *, shift: float = 0) -> tuple[list[PredictionRecord], list[LabelRecord]]:
    """Rows of the loop's contract that were answered on `DAY`, and what came true of them a day later."""
    random = np.random.default_rng(5)
    answers, labels = [], []
    for row, price in enumerate(random.normal(shift, 1, rows)):
        at = DAY + timedelta(seconds=row)
        answers.append(
            answer(
                f"visit-{row}",
                at=f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
                features={"price": float(price), "visits": row % 9, "shop": "north"},
                context={"customer": f"customer-{row % (rows // 2)}"},
            )
        )
        came = random.random() < 1 / (1 + np.exp(-2 * (price - shift)))
        labels.append(label(f"visit-{row}", bool(came), at=f"{at + timedelta(days=1):%Y-%m-%dT%H:%M:%S.%fZ}"))
    return answers, labels


def run(loop: Loop, job: str, **config: str | bool) -> dg.ExecuteInProcessResult:
    """Runs one of the log's jobs."""
    given = {"ops": {"prediction_window": {"config": config}}} if config else None
    return loop.definitions.resolve_job_def(job).execute_in_process(
        instance=loop.instance, run_config=given, raise_on_error=False
    )


def reported(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    """The metadata that a run gave an asset; empty where it made none."""
    made = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in made[0].metadata.items()} if made else {}


def test_answered_traffic_becomes_a_window_that_passes_its_checks_and_trains(loop: Loop) -> None:
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    answers, labels = traffic(800, shift=3)
    seal(loop.settings.prediction_log, answers[:500], number=1, began=DAY)
    seal(loop.settings.prediction_log, answers[500:], number=2, began=DAY + timedelta(hours=1))
    assert requested(tick(loop, "prediction_log_sensor")) == [None], "a run, of no window"

    gathered = run(loop, "prediction_log_job")
    assert reported(gathered, "prediction_log")["rows"] == 800
    assert [check.passed for check in gathered.get_asset_check_evaluations()] == [True]
    assert isinstance(tick(loop, "prediction_log_sensor"), dg.SkipReason)

    period = {"since": "2024-03-05", "until": "2024-03-06"}
    made = reported(run(loop, "prediction_window_job", **period), "prediction_window")
    assert (made["window"], made["written"], made["labelled"]) == ("2024-03-05", 800, 0)
    assert "2024-03-05" in {landed.window for landed in loop.landing.landed(now=0)}
    ingested = loop.ingest("2024-03-05")
    checks = {check.check_name: check.passed for check in ingested.get_asset_check_evaluations()}
    assert [name for name, passed in checks.items() if not passed] == ["labels_have_come"]
    assert loop.reported("drift_report", "2024-03-05")["decision"] == "waits for labels"

    seal(loop.settings.prediction_log, labels, number=3, began=DAY + timedelta(days=1))
    refused = run(loop, "prediction_window_job", **period)
    assert "has landed already" in failure_message(refused)
    again = reported(run(loop, "prediction_window_job", **period, replace=True), "prediction_window")
    assert again["labelled"] == 800
    ingested = loop.ingest("2024-03-05")
    assert all(check.passed for check in ingested.get_asset_check_evaluations())
    assert loop.reported("drift_report", "2024-03-05")["decision"] == "trained"
    assert loop.train("2024-03-05").success


def test_a_broken_segment_shows_red_until_someone_moved_it_away(loop: Loop) -> None:
    answers, _ = traffic(10)
    seal(loop.settings.prediction_log, answers, number=1, began=DAY)
    torn = seal(loop.settings.prediction_log, content=b'{"kind": "predic', number=2, began=DAY)
    for _ in range(2):
        gathered = run(loop, "prediction_log_job")
        assert gathered.success
        (check,) = gathered.get_asset_check_evaluations()
        assert not check.passed
        assert "1 segments are set aside in" in (check.description or "")
        assert "line 1 is no record" in (check.description or "")
        assert list(reported(gathered, "prediction_log")["broken_segments"]) == [torn.name]  # type: ignore[call-overload]
    (loop.settings.prediction_log / "broken" / torn.name).rename(loop.settings.state / torn.name)
    assert all(check.passed for check in run(loop, "prediction_log_job").get_asset_check_evaluations())


def test_a_quiet_day_makes_no_window_and_no_failure(loop: Loop) -> None:
    quiet = run(loop, "prediction_window_job")
    assert quiet.success
    assert reported(quiet, "prediction_window") == {}
    assert list(loop.settings.landing.iterdir()) == []
    assert requested(tick(loop, "window_sensor")) == []


def test_a_gathering_that_is_under_way_is_waited_for(loop: Loop) -> None:
    """Prevents a queue of runs that find nothing."""
    seal(loop.settings.prediction_log, number=1)
    job = loop.definitions.resolve_job_def("prediction_log_job")
    loop.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    waiting = tick(loop, "prediction_log_sensor")
    assert isinstance(waiting, dg.SkipReason)
    assert waiting.skip_message == "1 sealed segments wait for the gathering that is under way"

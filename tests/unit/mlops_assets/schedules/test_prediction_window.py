from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import Settings
from mlops_assets.schedules.prediction_window import prediction_window_schedule


@pytest.mark.parametrize(
    ("length", "cron", "since", "until"),
    [
        ("day", "0 1 * * *", "2024-03-05", "2024-03-06"),
        ("week", "0 1 * * 1", "2024-02-26", "2024-03-04"),
        ("month", "0 1 1 * *", "2024-02-01", "2024-03-01"),
    ],
)
def test_the_last_whole_period_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: str, cron: str, since: str, until: str
) -> None:
    """Prevents a window of a day that is not over, and one of each time that a tick is evaluated."""
    monkeypatch.setenv("MLOPS_LOG_PERIOD", length)
    schedule = prediction_window_schedule(Settings(home=tmp_path))
    asked = []
    for minute in (0, 5):
        at = datetime(2024, 3, 6, 1, minute, tzinfo=UTC)
        request = schedule(dg.build_schedule_context(scheduled_execution_time=at))
        assert isinstance(request, dg.RunRequest)
        asked.append(request)
    assert schedule.cron_schedule == cron
    assert asked[0].run_key == asked[1].run_key
    assert asked[0].run_config["ops"]["prediction_window"]["config"] == {
        "since": f"{since}T00:00:00+00:00",
        "until": f"{until}T00:00:00+00:00",
    }


def test_it_is_off_until_someone_turns_it_on(tmp_path: Path) -> None:
    """Prevents windows that nobody asked for, beside those that a user lands."""
    assert prediction_window_schedule(Settings(home=tmp_path)).default_status == dg.DefaultScheduleStatus.STOPPED

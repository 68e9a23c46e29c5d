"""The sensors against a real instance: nothing is lost, nothing is taken twice, and they say why they wait."""

import json
import os
from typing import Any

import dagster as dg
import pytest

from tests.integration.conftest import Loop

pytestmark = pytest.mark.integration


def tick(loop: Loop, sensor: str, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """One evaluation of a sensor."""
    definition = loop.definitions.resolve_sensor_def(sensor)
    context = dg.build_sensor_context(instance=loop.instance, cursor=cursor, definitions=loop.definitions)
    result: Any = definition(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requested(result: dg.SensorResult | dg.SkipReason) -> list[str | None]:
    """Windows that a tick asks runs for."""
    return [r.partition_key for r in result.run_requests or []] if isinstance(result, dg.SensorResult) else []


def test_windows_are_taken_up_oldest_first_and_one_at_a_time(loop: Loop) -> None:
    loop.land("2024-02")
    loop.land("2024-01")
    first = tick(loop, "window_sensor")

    assert requested(first) == ["2024-01"]
    assert isinstance(first, dg.SensorResult)
    assert requested(tick(loop, "window_sensor", first.cursor)) == ["2024-02"]


def test_a_window_waits_until_the_report_before_it_is_answered(loop: Loop) -> None:
    """Else twelve windows dropped together would all be measured against the same production."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.land("2024-02")
    taken = json.dumps({"2024-01": _fingerprint(loop, "2024-01")})
    waiting = tick(loop, "window_sensor", taken)

    assert isinstance(waiting, dg.SkipReason)
    assert "the drift report of 2024-01 is not answered yet" in str(waiting.skip_message)


def test_a_window_that_changed_is_taken_up_again(loop: Loop) -> None:
    path = loop.land("2024-01")
    first = tick(loop, "window_sensor")
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(loop, "window_sensor", first.cursor), dg.SkipReason)
    os.utime(path, (1, 1))
    again = tick(loop, "window_sensor", first.cursor)
    assert isinstance(again, dg.SensorResult)
    assert requested(again) == ["2024-01"]
    assert again.run_requests
    assert first.run_requests
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_file_being_written_waits_and_the_tick_says_so(loop: Loop) -> None:
    path = loop.land("2024-01")
    path.write_bytes(path.read_bytes()[:500])
    (loop.settings.landing / "notes.txt").write_text("hello")
    waiting = tick(loop, "window_sensor")

    assert isinstance(waiting, dg.SkipReason)
    assert "waiting: 2024-01.parquet (not complete yet)" in str(waiting.skip_message)
    assert "ignored, for no window is named like this: notes.txt" in str(waiting.skip_message)


def test_two_reports_at_once_both_get_their_training(loop: Loop) -> None:
    """An asset sensor sees only the latest event, and would lose one of them."""
    for window in ("2024-01", "2024-02"):
        loop.land(window)
        loop.ingest(window)
    result = tick(loop, "drift_sensor")

    assert requested(result) == ["2024-01", "2024-02"]
    assert isinstance(result, dg.SensorResult)
    assert result.run_requests is not None
    assert result.run_requests[0].tags["mlops/decision"] == "first"
    assert isinstance(tick(loop, "drift_sensor", result.cursor), dg.SkipReason)


def test_without_drift_the_tick_skips_with_the_numbers(loop: Loop) -> None:
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    first = tick(loop, "drift_sensor")
    assert isinstance(first, dg.SensorResult)
    loop.land("2024-02")
    loop.ingest("2024-02")
    result = tick(loop, "drift_sensor", first.cursor)

    assert requested(result) == []
    assert isinstance(result, dg.SensorResult)
    assert "drift_share 0.0000 does not exceed the threshold 0.3000" in str(result.skip_reason)


def test_the_service_sensor_says_that_the_service_is_down(loop: Loop) -> None:
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    result = tick(loop, "service_sensor")

    assert isinstance(result, dg.SensorResult)
    observation, check = result.asset_events
    assert isinstance(observation, dg.AssetObservation)
    assert isinstance(check, dg.AssetCheckEvaluation)
    assert not check.passed
    assert "does not answer" in str(check.description)


def _fingerprint(loop: Loop, window: str) -> str:
    stat = (loop.settings.landing / f"{window}.parquet").stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"

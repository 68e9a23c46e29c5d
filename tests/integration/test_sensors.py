"""The sensors against a real instance: nothing is lost, nothing is taken twice, and they say why they wait."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.landing.requeue import Requeue
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
    assert "waiting: 2024-01 (it may still be written to)" in str(waiting.skip_message)
    assert "ignored, for no window is named like this: notes.txt" in str(waiting.skip_message)


def test_a_source_that_is_down_fails_the_tick_and_loses_nothing(loop: Loop) -> None:
    """A tick that skipped would look as if nothing had landed."""
    loop.land("2024-01")
    folder, away = loop.settings.landing, loop.settings.state / "away"
    folder.rename(away)
    folder.write_text("no folder")
    with pytest.raises(SourceDown, match="cannot be read"):
        tick(loop, "window_sensor")
    folder.unlink()
    away.rename(folder)
    assert requested(tick(loop, "window_sensor")) == ["2024-01"]


def test_a_window_whose_run_failed_is_taken_up_again_later(loop: Loop) -> None:
    """A run_key is once for ever: a source that was down for longer than a run's retries would lose the window."""
    loop.land("2024-01")
    first = tick(loop, "window_sensor")
    assert isinstance(first, dg.SensorResult)
    assert first.run_requests
    failed = _failed_run(loop, first.run_requests[0])
    assert isinstance(tick(loop, "window_sensor", first.cursor), dg.SkipReason), "not at once: that would spin"
    with clock_ahead(seconds=61):
        again = tick(loop, "window_sensor", first.cursor)
    assert requested(again) == ["2024-01"]
    assert isinstance(again, dg.SensorResult)
    assert again.run_requests
    assert again.run_requests[0].run_key != first.run_requests[0].run_key

    for _ in range(3):
        _failed_run(loop, first.run_requests[0])
    with clock_ahead(seconds=1e6):
        assert isinstance(tick(loop, "window_sensor", first.cursor), dg.SkipReason), f"a poison window ends: {failed}"


def test_a_requeued_window_is_taken_up_again_once(loop: Loop) -> None:
    loop.land("2024-01")
    first = tick(loop, "window_sensor")
    assert isinstance(first, dg.SensorResult)
    Requeue(loop.settings.requeued).ask("2024-01")
    again = tick(loop, "window_sensor", first.cursor)
    assert requested(again) == ["2024-01"]
    assert isinstance(again, dg.SensorResult)
    assert isinstance(tick(loop, "window_sensor", again.cursor), dg.SkipReason)


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


def test_a_report_without_a_decision_is_an_error_and_no_training(loop: Loop) -> None:
    """Read as "no production model yet" it would train whatever it is."""
    loop.instance.add_dynamic_partitions("window", ["2024-01"])
    loop.instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", partition="2024-01"))
    with pytest.raises(ValueError, match="the drift report of 2024-01 says no decision"):
        tick(loop, "drift_sensor")


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


def _failed_run(loop: Loop, request: dg.RunRequest) -> str:
    """A run of what a sensor asked for, that ended now."""
    run = dg.DagsterRun("window_job", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED)
    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    loop.instance.add_run(run.with_tags(tags))
    loop.instance.report_run_failed(run)
    return run.run_id


@contextmanager
def clock_ahead(*, seconds: float) -> Iterator[None]:
    """What the sensor takes for now."""
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlops_assets.sensors.windows.time.time", lambda: real() + seconds)
        yield


def _fingerprint(loop: Loop, window: str) -> str:
    (landed,) = [found for found in loop.landing.landed(now=time.time()) if found.window == window]
    return landed.fingerprint


def test_a_window_waits_while_the_training_before_it_is_about_to_be_tried_again(loop: Loop) -> None:
    """Else two trainings ran side by side, and the second to end found production moved."""
    loop.land("2024-02")
    tags = {"dagster/will_retry": "true", "dagster/partition": "2024-01"}
    crashed = dg.DagsterRun("training_job", run_id=str(uuid4()), status=dg.DagsterRunStatus.FAILURE, tags=tags)
    loop.instance.add_run(crashed)
    waiting = tick(loop, "window_sensor")

    assert isinstance(waiting, dg.SkipReason)
    assert "training_job of 2024-01 is about to be tried again" in str(waiting.skip_message)
    loop.instance.add_run_tags(crashed.run_id, {"dagster/auto_retry_run_id": "launched"})
    assert requested(tick(loop, "window_sensor")) == ["2024-02"]


def test_the_service_gets_a_moment_to_follow_a_release_before_it_is_called_wrong(loop: Loop) -> None:
    """The sensor sees a new release sooner than the service can load it."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    with _service_that_says({"ready": False}, loop.settings.service_port):
        assert isinstance(tick(loop, "service_sensor"), dg.SkipReason)
        a_minute_ago = time.time() - 60
        os.utime(loop.settings.releases / "production.json", (a_minute_ago, a_minute_ago))
        result = tick(loop, "service_sensor")

    assert isinstance(result, dg.SensorResult)
    _, check = result.asset_events
    assert isinstance(check, dg.AssetCheckEvaluation)
    assert "serves epoch none, released is epoch 1" in str(check.description)


@contextmanager
def _service_that_says(model: dict[str, Any], port: int) -> Iterator[None]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(model).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", port), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

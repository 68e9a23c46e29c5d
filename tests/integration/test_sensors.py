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
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData

from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.cli.history import window_history
from mlops_assets.sensors.drift import unanswered_report
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


def test_what_comes_back_after_something_else_is_taken_up_again(loop: Loop) -> None:
    """A month restored from a backup, a table's rows deleted again: what Dagster ran once it runs once for ever."""
    path = loop.land("2024-01")
    keys: list[str | None] = []
    cursor: str | None = None
    for modified in (1000, 2000, 1000, 2000, 1000):
        os.utime(path, (modified, modified))
        taken = tick(loop, "window_sensor", cursor)
        assert isinstance(taken, dg.SensorResult)
        assert requested(taken) == ["2024-01"]
        (request,) = taken.run_requests or []
        (once_more,) = _requests(tick(loop, "window_sensor", cursor))
        assert once_more.run_key == request.run_key, "before its run is there it is the same, else two were started"
        loop.instance.add_run(_run_of(request, dg.DagsterRunStatus.SUCCESS))
        cursor = taken.cursor
        keys.append(request.run_key)
    assert len(set(keys)) == len(keys)


def test_a_window_that_always_fails_keeps_no_other_waiting(loop: Loop) -> None:
    """Also where someone starts runs of it by hand, which do not say what they are a try of."""
    loop.land("2024-01")
    loop.land("2024-02")
    first = tick(loop, "window_sensor")
    assert isinstance(first, dg.SensorResult)
    again, known = first, set()
    while requested(again) == ["2024-01"]:
        (request,) = _requests(again)
        assert request.run_key not in known, "Dagster would pass over it for ever"
        known.add(request.run_key)
        _failed_run(loop, request)
        if len(known) == 2:
            _failed_run(loop, dg.RunRequest(partition_key="2024-01"))
        with clock_ahead(seconds=1e6):
            next_one = tick(loop, "window_sensor", first.cursor)
        assert isinstance(next_one, dg.SensorResult)
        again = next_one
    assert requested(again) == ["2024-02"]


def test_a_failed_window_whose_first_run_was_deleted_is_tried_again_soon(loop: Loop) -> None:
    """What is left is a retry of a run that nobody can count any more."""
    loop.land("2024-01")
    first = tick(loop, "window_sensor")
    assert isinstance(first, dg.SensorResult)
    (request,) = _requests(first)
    root = _failed_run(loop, request)
    _failed_run(loop, request, retries=root)
    loop.instance.delete_run(root)
    with clock_ahead(seconds=61):
        assert requested(tick(loop, "window_sensor", first.cursor)) == ["2024-01"]


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
    first = tick(loop, "drift_sensor")
    assert requested(first) == ["2024-01"]
    assert isinstance(first, dg.SensorResult)
    assert first.run_requests is not None
    assert first.run_requests[0].tags["mlops/decision"] == "first"
    second = tick(loop, "drift_sensor", first.cursor)
    assert requested(second) == ["2024-02"]
    assert isinstance(second, dg.SensorResult)
    assert isinstance(tick(loop, "drift_sensor", second.cursor), dg.SkipReason)


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


def test_a_report_that_was_made_by_hand_trains_nothing_and_stops_nothing(
    loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    """Read as "no production model yet" it would train whatever it is; as an error, no later report were ever read."""
    loop.instance.add_dynamic_partitions("window", ["2024-01", "2024-02"])
    loop.instance.report_runless_asset_event(dg.AssetMaterialization("data_window", partition="2024-01"))
    loop.instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", partition="2024-01"))
    loop.land("2024-02")
    assert requested(tick(loop, "window_sensor")) == ["2024-02"]
    assert window_history(loop.instance, "2024-01", promoted=[]).decision == "says nothing"
    passed = tick(loop, "drift_sensor")

    assert isinstance(passed, dg.SensorResult)
    assert requested(passed) == []
    what_to_do = "the drift report of 2024-01 says no decision: materialize drift_report of it anew"
    assert what_to_do in str(passed.skip_reason)
    assert f"WARNING - 2024-01: says nothing: {what_to_do}" in capfd.readouterr().err
    _reported(loop.instance, "2024-01", trains="2024-01")
    assert requested(tick(loop, "drift_sensor", passed.cursor)) == ["2024-01"]


def test_a_candidate_that_was_made_by_hand_was_not_tried(loop: Loop) -> None:
    """It holds no evidence; an error would fail every later run on the window."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.instance.report_runless_asset_event(dg.AssetMaterialization("candidate_model", partition="2024-01"))
    assert window_history(loop.instance, "2024-01", promoted=[]).candidate_version is None
    assert loop.ingest("2024-01").success
    assert loop.reported("drift_report", "2024-01")["decision"] == "first"


def test_a_training_of_a_window_that_dagster_forgot_makes_it_known_again(loop: Loop) -> None:
    """A key that was deleted in Dagster's page; asking for a run of it would fail this tick and every later one."""
    loop.instance.add_dynamic_partitions("window", ["2024-01"])
    _reported(loop.instance, "2024-01", trains="2024-02")
    asked = tick(loop, "drift_sensor")

    assert requested(asked) == ["2024-02"]
    assert isinstance(asked, dg.SensorResult)
    assert [list(request.partition_keys) for request in asked.dynamic_partitions_requests or []] == [["2024-02"]]


def test_a_report_that_the_drift_sensor_has_passed_keeps_no_window_waiting() -> None:
    """A training that ended without a candidate, and whose run was deleted, has left no other trace."""
    with dg.DagsterInstance.local_temp() as instance:
        _reported(instance, "2024-01", trains="2024-01")
        _drift_sensor_stands_at(instance, None)
        assert unanswered_report(instance) == "2024-01"
        (report,) = instance.fetch_materializations(dg.AssetKey("drift_report"), limit=1).records
        _drift_sensor_stands_at(instance, str(report.storage_id))
        assert unanswered_report(instance) is None

        _reported(instance, "2024-02", trains="2024-02")
        instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", partition="2024-01"))
        assert unanswered_report(instance) == "2024-02", "also where one that says nothing came after it"


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


def _run_of(request: dg.RunRequest, status: dg.DagsterRunStatus, *, retries: str | None = None) -> dg.DagsterRun:
    """A run of what a sensor asked for."""
    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    return dg.DagsterRun(
        "window_job", run_id=str(uuid4()), status=status, tags=tags, parent_run_id=retries, root_run_id=retries
    )


def _failed_run(loop: Loop, request: dg.RunRequest, *, retries: str | None = None) -> str:
    """A run of what a sensor asked for, that ended now."""
    run = _run_of(request, dg.DagsterRunStatus.STARTED, retries=retries)
    loop.instance.add_run(run)
    loop.instance.report_run_failed(run)
    return run.run_id


def _requests(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    """What a tick asks for."""
    assert isinstance(result, dg.SensorResult)
    return list(result.run_requests or [])


def _reported(instance: dg.DagsterInstance, window: str, *, trains: str) -> None:
    """A drift report that asks for a training."""
    said = {"decision": "trained", "reason": "it drifted", "trains": trains}
    instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", partition=window, metadata=said))


def _drift_sensor_stands_at(instance: dg.DagsterInstance, cursor: str | None) -> None:
    """The sensor's state as Dagster's daemon keeps it."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("loop"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "drift_sensor")
    state = InstigatorState(
        origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData(cursor=cursor)
    )
    if instance.get_instigator_state(origin.get_id(), state.selector_id) is None:
        instance.add_instigator_state(state)
    else:
        instance.update_instigator_state(state)


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
    assert "0 of 1 workers serve epoch 1, which is released" in str(check.description)


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

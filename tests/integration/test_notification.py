"""The loop tells real receivers what happens: each event once, whoever is down meanwhile."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from mlops_assets.adapters.ledger import Request
from mlops_assets.adapters.notifier import ReceiverInvalid
from mlops_assets.config import Settings
from mlops_assets.definitions import build_definitions
from mlops_assets.sensors.notification import Cursor
from tests.end_to_end.service_process import environment
from tests.integration.conftest import Loop
from tests.integration.test_sensors import tick
from tests.receivers import Webhook, mail_server, webhook
from tests.unit.serving.bundles import eventually

pytestmark = pytest.mark.integration


def tell(loop: Loop, cursor: str | None = None) -> str:
    """One tick; the cursor after it."""
    result = tick(loop, "notification_sensor", cursor)
    assert isinstance(result, dg.SensorResult)
    assert result.cursor is not None
    return result.cursor


def told_to(loop: Loop, *hooks: Webhook, alarms: Webhook | None = None) -> None:
    """Has the loop tell these."""
    notify = " ".join(f"json://127.0.0.1:{hook.port}/{number}" for number, hook in enumerate(hooks))
    others = f"json://127.0.0.1:{alarms.port}/" if alarms else ""
    kept = loop.settings.model_dump(exclude={"notify", "notify_alarms"})
    tracking = {"MLFLOW_TRACKING_URI": kept.pop("tracking_uri")}
    loop.settings = Settings(**kept, **tracking, notify=SecretStr(notify), notify_alarms=SecretStr(others))
    loop.definitions = build_definitions(loop.settings)


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, *, ahead: float) -> Iterator[None]:
    """The time as it will be; monotonic clocks stay."""
    now = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now() + ahead)
        yield


def test_what_happens_is_told_once_and_nothing_of_before(loop: Loop) -> None:
    """A backlog on the first day would bury what matters; an event told twice would be taken for two."""
    with webhook() as hook, mail_server() as mail:
        told_to(loop, hook)
        url = f"mailto://loop.example:{mail.port}/?smtp=127.0.0.1&from=loop@loop.example&to=ml@loop.example"
        both = f"{loop.settings.notify.get_secret_value()}, {url}"
        loop.definitions = build_definitions(loop.settings.model_copy(update={"notify": SecretStr(both)}))
        loop.land("2024-01")
        loop.ingest("2024-01")
        loop.train("2024-01")
        cursor = tell(loop)
        assert hook.titles == [], "what happened before anybody was to be told"

        loop.land("2024-02", rows=100)  # too few
        loop.ingest("2024-02")
        loop.land("2024-03", shift=3)
        loop.ingest("2024-03")
        loop.train("2024-03")
        cursor = tell(loop, tell(loop, cursor))
        assert [title.partition(": ")[2] for title in hook.titles] == [
            "window 2024-02 is in quarantine",
            "window 2024-03 drifted",
            *_what_became_of(loop, "2024-03"),
        ]
        assert [title.split()[0] for title in hook.titles] == ["[warning]", "[info]", "[info]"]
        assert [message["subject"] for message in mail.taken] == hook.titles
        assert "100 clean rows, the contract asks for 200" in str(hook.taken[0]["message"])
        assert "drift_share 0." in str(hook.taken[1]["message"])
        assert "hunter2" not in cursor
        assert f"127.0.0.1:{hook.port}" not in cursor, "Dagster's page shows the cursor"


def test_a_refused_candidate_is_information(loop: Loop) -> None:
    with webhook() as hook, webhook() as pager:
        told_to(loop, hook, alarms=pager)
        loop.land("2024-01")
        loop.ingest("2024-01")
        loop.train("2024-01")
        cursor = tell(loop)
        loop.land("2024-02")  # as the one before: nothing to gain
        loop.ingest("2024-02")
        loop.train("2024-02")
        tell(loop, cursor)
    (title,) = hook.titles
    assert title.startswith("[info] small: candidate 2 of window 2024-02 is refused")
    assert pager.asked == 0


def test_a_candidate_that_cannot_be_compared_is_told_as_refused(loop: Loop) -> None:
    """It leaves no candidate behind, only red checks."""
    with webhook() as hook:
        told_to(loop, hook)
        cursor = tell(loop)
        loop.land("2024-01", labelled=False)
        loop.land_labels("2024-01").write_text(
            "visit,bought\n" + "".join(f"2024-01-{row},true\n" for row in range(800))
        )
        loop.ingest("2024-01")
        loop.train("2024-01")
        tell(loop, cursor)
    assert hook.titles == ["[info] small: the candidate of window 2024-01 could not be judged"]


def test_a_receiver_that_is_down_is_told_later_and_keeps_nobody_waiting(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as up, webhook() as down:
        told_to(loop, down, up)
        cursor = tell(loop)
        down.status = 500
        loop.land("2024-01", rows=100)
        loop.ingest("2024-01")
        result = tick(loop, "notification_sensor", cursor)
        assert isinstance(result, dg.SensorResult)
        assert result.skip_reason is not None
        assert "json 1 is not reached" in str(result.skip_reason.skip_message)
        assert (up.titles, down.asked) == (["[warning] small: window 2024-01 is in quarantine"], 1)

        down.status = 200
        cursor = tell(loop, result.cursor)
        assert down.asked == 1, "not at once: a receiver that is down is not hammered"
        with clock(monkeypatch, ahead=25):
            cursor = tell(loop, cursor)
        assert down.titles == up.titles
        assert up.asked == 1
        assert Cursor.model_validate_json(cursor).receivers["json 1"].tries == 0


def test_promotions_and_roll_backs_and_requests_are_told(loop: Loop) -> None:
    with webhook() as hook:
        told_to(loop, hook)
        cursor = tell(loop)
        request = Request(
            model_version=1,
            expected_epoch=None,
            actor="dagster:production_model",
            reason="first model",
            manifest_sha256="0" * 64,
            evidence_sha256="1" * 64,
            dagster_run_id="run",
        )
        promotion = loop.ledger.intend(request)
        cursor = tell(loop, cursor)
        assert hook.titles == [], "it may still be given up"
        loop.ledger.conclude(promotion.epoch, "done")
        cursor = tell(loop, cursor)
        loop.approvals.ask(
            model_version=2, evidence_sha256="2" * 64, expected_epoch=1, comparison="0.8 over 0.7", expires_hours=1
        )
        tell(loop, tell(loop, cursor))
        newcomer = Cursor.model_validate_json(tell(loop))
    assert hook.titles == ["[info] small: promoted version 1"] + 2 * ["[warning] small: version 2 waits for approval"]
    assert newcomer.receivers["json 1"].positions["approval"] == 1, "who comes later is told of the request that waits"


def test_a_service_that_stays_behind_is_told_when_it_begins_and_when_it_ends(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each tick, and not for the seconds that a swap takes."""
    with webhook() as hook, webhook() as pager:
        told_to(loop, hook, alarms=pager)
        loop.land("2024-01")
        loop.ingest("2024-01")
        loop.train("2024-01")
        cursor = tell(loop)
        assert hook.titles == []
        with clock(monkeypatch, ahead=31):
            cursor = tell(loop, tell(loop, cursor))
        begun = "small: the service does not serve epoch 1, which is released"
        assert hook.titles == pager.titles == [f"[alarm] {begun}"]
        assert "does not answer" in str(hook.taken[0]["message"])

        served = environment(loop.settings.releases, loop.settings.state / "serving", loop.settings.service_port)
        service = subprocess.Popen([sys.executable, "-m", "serving"], env=served, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: Cursor.model_validate_json(tell(loop, cursor)).since == {}, seconds=30)
        finally:
            service.terminate()
            service.wait()
    assert (
        hook.titles
        == pager.titles
        == [f"[alarm] {begun}", "[over] small: over: the service does not serve epoch 1, which is released"]
    )


def test_a_loop_that_is_stuck_is_told(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as hook:
        told_to(loop, hook)
        loop.land("2024-01")
        with clock(monkeypatch, ahead=1000):
            cursor = tell(loop)
        with clock(monkeypatch, ahead=1031):
            tell(loop, cursor)
    assert hook.titles == ["[alarm] small: window 2024-01 is not taken up"]


def test_without_receivers_the_sensor_is_switched_off(loop: Loop) -> None:
    assert loop.definitions.resolve_sensor_def("notification_sensor").default_status == dg.DefaultSensorStatus.STOPPED
    told_to(loop, Webhook(port=1))
    assert loop.definitions.resolve_sensor_def("notification_sensor").default_status == dg.DefaultSensorStatus.RUNNING


def test_a_receiver_that_is_none_fails_the_tick(loop: Loop) -> None:
    told_to(loop, Webhook(port=1))
    wrong = loop.settings.model_copy(update={"notify": SecretStr("slack://hunter2")})
    loop.definitions = build_definitions(wrong)
    with pytest.raises(ReceiverInvalid, match="MLOPS_NOTIFY: receiver 1"):
        tick(loop, "notification_sensor")


@pytest.mark.parametrize("program", ["mlops_assets.cli", "mlops_assets.code_server"])
def test_a_receiver_that_is_none_is_known_at_the_start(tmp_path: Path, program: str) -> None:
    """Else it is known when the first alarm reaches nobody."""
    mlops = str(Path(sys.executable).with_name("mlops"))
    command = [mlops, "up"] if program == "mlops_assets.cli" else [sys.executable, "-m", program]
    environ = {**os.environ, "MLOPS_HOME": str(tmp_path), "MLOPS_NOTIFY": "json://127.0.0.1 slack://hunter2"}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("mlops: MLOPS_NOTIFY: receiver 2 (slack://...) is of no kind that Apprise knows")
    assert "hunter2" not in result.stdout + result.stderr


def _what_became_of(loop: Loop, window: str) -> list[str]:
    production = loop.ledger.production()
    assert production is not None
    promoted = production.model_version == 2
    return ["promoted version 2"] if promoted else [f"candidate 2 of window {window} is refused"]

"""Real receivers are told, and no secret of theirs is shown to anybody."""

import logging
from email.message import Message

import pytest
from pydantic import SecretStr

from mlops_assets.adapters.notifier import NotSent, Receiver, ReceiverInvalid, receivers
from mlops_assets.config import Settings
from tests.receivers import mail_server, webhook

SLACK = "T00000000/B00000000/abcdefghijklmnopqrstuvwx"


def settings(notify: str = "", alarms: str = "") -> Settings:
    """Settings that name receivers."""
    return Settings(notify=SecretStr(notify), notify_alarms=SecretStr(alarms))


def test_a_webhook_is_told() -> None:
    with webhook() as hook:
        (receiver,) = receivers(settings(f"json://127.0.0.1:{hook.port}/secret-path"))
        receiver.send("a title", "line 1\n<b> & *c*", "alarm")
    (taken,) = hook.taken
    assert (taken["title"], taken["message"], taken["type"]) == ("a title", "line 1\n<b> & *c*", "failure")
    assert hook.paths == ["/secret-path"]


def test_a_mail_is_sent() -> None:
    with mail_server() as mail:
        url = f"mailto://loop.example:{mail.port}/?smtp=127.0.0.1&from=loop@loop.example&to=ml@loop.example"
        (receiver,) = receivers(settings(url))
        receiver.send("a title", "line 1\n<b> & line 2", "info")
    (message,) = mail.taken
    assert (message["subject"], message["from"], mail.recipients) == (
        "a title",
        "loop@loop.example",
        ["ml@loop.example"],
    )
    assert "line 1\n<b> & line 2" in _text(message)


def test_slack_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its host is the one thing of it that is not real here."""
    from apprise.plugins.slack import NotifySlack

    with webhook() as hook:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{hook.port}/services")
        for url in (f"slack://{SLACK}", f"https://hooks.slack.com/services/{SLACK}"):
            (receiver,) = receivers(settings(url))
            receiver.send("a title", "line 1\n<b>", "warning")
    assert hook.paths == [f"/services/{SLACK}"] * 2
    (shown,) = hook.taken[0]["attachments"]
    assert (shown["title"], shown["text"]) == ("a title", "line 1\n&lt;b&gt;")


def test_receivers_are_named_by_kind_and_number() -> None:
    """A URL may hold a comma, and blanks and commas part them."""
    both = receivers(settings(f"json://a/x, json://b/y\n slack://{SLACK}/#ml,#ops  ", alarms="json://c"))
    assert [receiver.name for receiver in both] == ["json 1", "json 2", "slack 1", "json 1 (alarms)"]
    assert [receiver.alarms_only for receiver in both] == [False, False, False, True]
    assert both[2].url == f"slack://{SLACK}/#ml,#ops"
    assert receivers(settings()) == []


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ("json://a hunter2", "MLOPS_NOTIFY: receiver 2 is no URL"),
        ("pigeon://user:hunter2@loft", r"receiver 1 \(pigeon://...\) is of no kind that Apprise knows"),
        (
            "slack://hunter2",
            r"receiver 1 \(slack://...\) is of no kind that Apprise knows, or lacks what that kind needs",
        ),
        ("mailto://user:hunter2@", r"receiver 1 \(mailto://...\)"),
    ],
)
def test_what_is_no_receiver_is_said_without_its_secrets(
    notify: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ReceiverInvalid, match=said) as raised:
        receivers(settings(notify))
    assert "hunter2" not in str(raised.value) + caplog.text


def test_why_a_receiver_is_not_reached_is_said_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook() as hook:
        hook.status = 500
        (receiver,) = receivers(settings(f"json://user:hunter2@127.0.0.1:{hook.port}/hunter2?-token=hunter2"))
        with pytest.raises(NotSent, match="500") as refused:
            receiver.send("a title", "text", "info")
    with pytest.raises(NotSent) as gone:
        receiver.send("a title", "text", "info")
    assert "hunter2" not in f"{refused.value} {gone.value} {caplog.text} {receiver!r}"


def test_settings_show_no_receiver() -> None:
    assert "hunter2" not in repr(settings("json://hunter2", alarms="json://hunter2"))
    assert "hunter2" not in repr(Receiver("json 1", "json://hunter2", alarms_only=False))


def _text(message: Message) -> str:
    part = next(part for part in message.walk() if part.get_content_type() == "text/plain")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()

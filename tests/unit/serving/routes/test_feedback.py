"""Prevents labels that are answered and not recorded, or that cannot be joined to their rows."""

from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from serving.app import create_app
from serving.door import Door
from serving.log_segments import LabelRecord
from serving.settings import Settings


def _labels(settings: Settings) -> list[tuple[str, bool]]:
    lines = [line for path in settings.log.iterdir() for line in path.read_bytes().splitlines()]
    return [(label.id, label.label) for label in (msgspec.json.decode(line, type=LabelRecord) for line in lines)]


def test_labels_are_on_record_before_the_answer(client: TestClient[Door], settings: Settings) -> None:
    """Prevents that a label is lost with the process, and that 5 and "5" are two rows."""
    assert client.post("/feedback", json={"id": 5.0, "label": True}).json() == {"recorded": 1}
    assert client.post("/feedback", json=[{"id": "a", "label": False}, {"id": "a", "label": True}]).json() == {
        "recorded": 2
    }
    assert _labels(settings) == [("5", True), ("a", False), ("a", True)]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"id": "", "label": true}',
        '{"id": "a", "label": 1}',
        '{"id": "a", "label": null}',
        '[{"id": 1}]',
        '{"id": "a", "label": true, "late": true}',
        '{"id": "none", "label": true}',
        '{"id": "\\ud800", "label": true}',
        "[" * 100_000,
    ],
)
def test_what_is_no_label_is_refused_and_not_recorded(client: TestClient[Door], settings: Settings, body: str) -> None:
    """Prevents that a client's mistake becomes a label."""
    response = client.post("/feedback", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["type"] == "urn:problem-type:labels-invalid"
    assert _labels(settings) == [] if settings.log.exists() else True


def test_another_content_type_is_refused(client: TestClient[Door]) -> None:
    """Prevents that a page of another origin writes labels."""
    body = '{"id": "a", "label": true}'
    assert client.post("/feedback", content=body, headers={"content-type": "text/plain"}).status_code == 415


def test_a_label_that_cannot_be_recorded_is_not_answered(settings: Settings, tmp_path: Path) -> None:
    """Prevents that a full disk loses labels silently."""
    (tmp_path / "file").write_text("in the way")
    full = settings.model_copy(update={"state": tmp_path / "file"})
    with TestClient(create_app(full)) as client:
        assert client.post("/feedback", json={"id": "a", "label": True}).status_code == 503

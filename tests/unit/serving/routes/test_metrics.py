"""Prevents that a client can grow the metrics without end, and that two apps count into one registry."""

import os
import re
from pathlib import Path
from uuid import uuid4

import pytest
from litestar.testing import TestClient

from serving.app import create_app
from serving.door import Door
from serving.release import POINTER
from serving.settings import Settings
from tests.unit.serving.bundles import ROW, eventually, promote, write_bundle


def _series(client: TestClient[Door]) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_unknown_paths_share_one_series(client: TestClient[Door]) -> None:
    """Prevents that a scanner fills Prometheus with a series a path."""
    client.get("/nowhere")
    client.get("/schema/nowhere")
    client.get("/schema/assets/nowhere")
    client.get("/metrics")
    before = _series(client).keys()
    for _ in range(50):
        for folder in ("", "/schema", "/schema/assets", "/model", "/predict"):
            client.get(f"{folder}/{uuid4()}")
    after = _series(client)
    assert after.keys() == before
    assert after['serving_requests_total{route="unmatched",status="404"}'] == 202


def test_answers_rows_and_the_served_release_are_counted(client: TestClient[Door]) -> None:
    """Prevents dashboards that show nothing, or count refused bodies as predictions."""
    client.post("/predict", json=[ROW] * 3)
    client.post("/predict", json={})
    series = _series(client)
    assert series['serving_requests_total{route="/predict",status="200"}'] == 1
    assert series['serving_requests_total{route="/predict",status="400"}'] == 1
    assert series["serving_rows_total"] == 3
    assert series["serving_prediction_seconds_count"] == 1
    pid = os.getpid()
    assert series[f'serving_model_version{{pid="{pid}"}}'] == 1
    assert series[f'serving_epoch{{pid="{pid}"}}'] == 1
    assert (series["serving_swaps_total"], series["serving_refused_releases_total"]) == (1, 0)


def test_each_worker_says_what_is_released_and_how_its_log_does(client: TestClient[Door], releases: Path) -> None:
    """Prevents a service that stays at an old release, or loses its disk, while all of its requests are answered."""
    pid = os.getpid()
    before = _series(client)
    assert (before["serving_pointer_epoch"], before["serving_expected_workers"]) == (1, 1)
    assert before["serving_pointer_timestamp_seconds"] == pytest.approx((releases / POINTER).stat().st_mtime)
    names = ("serving_refuses", "serving_log_failing", "serving_log_unsynced_seconds", "serving_log_unsealed_seconds")
    assert [before[f'{name}{{pid="{pid}"}}'] for name in names] == [0, 0, 0, 0]

    write_bundle(releases, 2, model=b"no model")
    promote(releases, 2, epoch=2)
    client.post("/predict", json=ROW)
    eventually(lambda: _series(client)[f'serving_refuses{{pid="{pid}"}}'] == 1)
    after = _series(client)
    assert (after["serving_pointer_epoch"], after[f'serving_epoch{{pid="{pid}"}}']) == (2, 1)
    assert after[f'serving_log_unsealed_seconds{{pid="{pid}"}}'] > 0

    (releases / POINTER).write_text("no pointer")
    assert "serving_pointer_epoch" not in _series(client)


def test_labels_say_nothing_of_what_was_asked(client: TestClient[Door]) -> None:
    """Prevents that a row, an id or a key stands in a label, and so in everybody's dashboards (S15)."""
    client.post("/predict", json=ROW, headers={"Authorization": "Bearer secret"})
    client.post("/predict", json={"secret": 1})
    client.get("/secret?secret=1")
    names = {name for series in _series(client) for name, _ in re.findall(r'(\w+)="([^"]*)"', series)}
    assert names == {"route", "status", "pid", "le"}
    assert "secret" not in client.get("/metrics").text


def test_two_apps_count_apart(client: TestClient[Door], settings: Settings, tmp_path: Path) -> None:
    """Prevents a global registry."""
    client.post("/predict", json=ROW)
    with TestClient(create_app(settings.model_copy(update={"releases": tmp_path / "other"}))) as other:
        assert _series(other)["serving_rows_total"] == 0

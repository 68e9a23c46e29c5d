"""Prevents wrong statuses, leaking errors, and an answer whose model and row type are of different releases."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

import msgspec
import numpy as np
import pytest
from httpx import Response
from hypothesis import HealthCheck, given, settings, strategies
from litestar.testing import TestClient
from litestar.types import HTTPReceiveMessage, HTTPScope, Message

from serving.app import create_app
from serving.door import Door
from serving.log_segments import PROBE, BatchRecord, PredictionRecord
from serving.release import Case, Row
from serving.settings import Settings
from tests.unit.serving.bundles import (
    CARRIERS,
    FEATURES,
    ROW,
    eventually,
    onnx_model,
    probability,
    promote,
    publish,
    write_bundle,
)
from tests.unit.serving.feature_tables import write_table

HOURS = strategies.integers(0, 23)
DELAYS = strategies.none() | strategies.floats(-1e4, 1e4, width=32)
ROWS = strategies.fixed_dictionaries(
    {"hour": HOURS}, optional={"dep delay": DELAYS, "carrier": strategies.sampled_from([*CARRIERS, None])}
)


def _is_problem(response: Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize("rows", [ROW, [ROW] * 1000])
def test_a_probe_is_answered_as_all_and_told_apart_on_record(
    client: TestClient[Door], settings: Settings, rows: Row | list[Row]
) -> None:
    """Prevents that who watches the service becomes its traffic, or is given other answers than its clients."""
    asked, probed = client.post("/predict", json=rows), client.post("/probe", json=rows)
    assert probed.status_code == 200
    assert not asked.json()["request_id"].startswith(PROBE)
    assert probed.json()["request_id"].startswith(PROBE)
    values = [[one["probability"] for one in answer.json()["predictions"]] for answer in (asked, probed)]
    assert values[0] == values[1]
    assert {record.request_id for record in _recorded(settings)} == {
        answer.json()["request_id"] for answer in (asked, probed)
    }


@pytest.mark.parametrize("rows", [ROW, [ROW], [ROW] * 3, [ROW] * 1000])
def test_rows_are_answered_in_one_shape_that_names_the_model(client: TestClient[Door], rows: Row | list[Row]) -> None:
    """Prevents that one row, a list and a batch in a thread are answered differently."""
    response = client.post("/predict", json=rows)
    assert response.status_code == 200
    assert response.headers["x-model-version"] == "1"
    answer = response.json()
    assert answer.keys() == {"request_id", "model_version", "epoch", "predictions"}
    assert (answer["model_version"], answer["epoch"]) == (1, 1)
    assert len(answer["predictions"]) == (len(rows) if isinstance(rows, list) else 1)
    assert answer["predictions"][-1]["probability"] == pytest.approx(probability(ROW, 1), abs=1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=strategies.lists(ROWS, min_size=1, max_size=200))
def test_any_valid_rows_are_answered_by_the_formula(client: TestClient[Door], rows: list[Row]) -> None:
    """Prevents swapped columns, misplaced categories and lost nulls on the way to the model."""
    response = client.post("/predict", json=rows)
    assert response.status_code == 200
    answers = [prediction["probability"] for prediction in response.json()["predictions"]]
    np.testing.assert_allclose(answers, [probability(row, 1) for row in rows], atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"hour": 1, "carrier": "\xff"}', b"[" * 200_000, b'{"a":' * 200_000, b"[{}]", b"[]"],
    ids=lambda body: body[:10],
)
def test_a_bad_body_is_a_problem_of_the_client(client: TestClient[Door], body: bytes) -> None:
    """Prevents that a client's fault counts as the service's."""
    response = client.post("/predict", content=body, headers={"content-type": "application/json"})
    _is_problem(response, 400)
    assert response.headers["x-model-version"] == "1"


def test_a_bad_value_is_named_by_its_path(client: TestClient[Door]) -> None:
    """Prevents that the fault in row 9,000 must be searched for."""
    problem = _is_problem(client.post("/predict", json=[ROW, {**ROW, "carrier": "ZZ"}]), 400)
    assert "`$[1].carrier`" in problem["detail"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_not_declared_as_json_is_refused(client: TestClient[Door], content_type: str | None) -> None:
    """Prevents that a web page of another origin can post without a preflight."""
    headers = {"content-type": content_type} if content_type else {}
    _is_problem(client.post("/predict", content=json.dumps(ROW).encode(), headers=headers), 415)


def test_a_charset_beside_the_content_type_is_accepted(client: TestClient[Door]) -> None:
    """Prevents that clients which name the charset are shut out."""
    headers = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/predict", content=json.dumps(ROW).encode(), headers=headers).status_code == 200


def test_without_a_model_the_client_is_told_to_come_again(empty_client: TestClient[Door]) -> None:
    """Prevents a 500 before the first promotion."""
    response = empty_client.post("/predict", json=ROW)
    _is_problem(response, 503)
    assert response.headers["retry-after"] == "1"


def test_an_answer_that_is_not_finite_is_a_problem_and_never_null(releases: Path, settings: Settings) -> None:
    """Prevents that NaN leaves as null with a 200."""
    cases = [Case(ROW, probability(ROW, 1))]
    write_bundle(releases, 1, model=onnx_model(1, nulls=False), cases=cases)
    promote(releases, 1, epoch=1)
    with TestClient(create_app(settings)) as client:
        problem = _is_problem(client.post("/predict", json=[ROW, {"hour": 1}]), 500)
    assert problem["type"] == "urn:problem-type:prediction-failed"


def test_litestars_own_errors_are_problems_too(client: TestClient[Door]) -> None:
    """Prevents two error formats."""
    _is_problem(client.get("/predict"), 405)
    _is_problem(client.get("/nowhere"), 404)
    _is_problem(client.post("/predict", content=b" " * 11_000_000, headers={"content-type": "application/json"}), 413)


def test_an_unexpected_error_shows_nothing_of_the_inside(
    client: TestClient[Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a traceback or a message of ours gets out."""

    def failing(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("serving.predictor.Predictor.predict", failing)
    response = client.post("/predict", json=ROW)
    _is_problem(response, 500)
    assert "secret" not in response.text


def test_a_body_that_arrives_across_a_swap_is_answered_by_the_new_model(releases: Path, settings: Settings) -> None:
    """The first half of the body arrives under version 1, the second under version 2."""
    publish(releases, 1)
    app = create_app(settings)
    sent: list[Message] = []
    body = json.dumps(ROW).encode()
    halves = [body[:10], body[10:]]

    async def receive() -> HTTPReceiveMessage:
        if len(halves) == 1:
            publish(releases, 2)
            await _served(app, 2)
        return {"type": "http.request", "body": halves.pop(0), "more_body": bool(halves)}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        async with app.litestar.lifespan():
            await app(_scope("POST", "/predict"), receive, send)

    asyncio.run(ask())
    answer = json.loads(sent[1]["body"])  # type: ignore[typeddict-item]
    assert answer["model_version"] == 2
    assert answer["predictions"][0]["probability"] == pytest.approx(probability(ROW, 2), abs=1e-6)


@pytest.fixture
def by_tail(releases: Path, settings: Settings) -> Iterator[TestClient[Door]]:
    """A service whose rows may have an id, a plane and a day, and which knows the features of two planes."""
    write_bundle(releases, 1, row_id="flight", context=("tail", "day"), entity_key="tail")
    promote(releases, 1, epoch=1)
    kinds = {feature.name: feature.type for feature in FEATURES}
    table: dict[str, Any] = {"dataset": "flights", "entity_key": "tail", "features": kinds}
    write_table(releases, {"7": {**ROW, "carrier": None}, "N1": ROW}, as_of=time() - 100, **table)
    with TestClient(create_app(settings)) as client:
        yield client


def _recorded(settings: Settings) -> list[PredictionRecord]:
    lines = [line for path in (settings.log).iterdir() for line in path.read_bytes().splitlines()]
    records = [msgspec.json.decode(line, type=PredictionRecord | BatchRecord) for line in lines]
    return [one for record in records for one in (record.records() if isinstance(record, BatchRecord) else [record])]


def test_every_answered_row_is_on_record_with_what_came_beside_it(
    by_tail: TestClient[Door], settings: Settings
) -> None:
    """Prevents rows that cannot be found again, or not be split honestly when they are learned from."""
    answer = by_tail.post("/predict", json=[{**ROW, "flight": 5, "day": "2013-01-02"}, ROW]).json()
    by_tail.post("/predict", json={"hour": 99})
    first, second = _recorded(settings)
    assert [first.id, second.id] == [row["id"] for row in answer["predictions"]] == ["5", f"{answer['request_id']}.1"]
    assert (first.context, second.context) == ({"day": "2013-01-02"}, {})
    assert first.features == second.features == ROW
    assert [first.probability, second.probability] == [row["probability"] for row in answer["predictions"]]
    assert (first.model_version, first.epoch, first.request_id) == (1, 1, answer["request_id"])


def test_a_large_request_is_on_record_row_for_row(by_tail: TestClient[Door], settings: Settings) -> None:
    """Prevents that the parts of a large request change places, on the way to the client or to the log."""
    rows = [{**ROW, "dep delay": float(number), "flight": number, "day": "a\n\r\u2028b"} for number in range(3000)]
    body = json.dumps(rows, indent=2)  # with ends of lines, and characters that JSON may escape
    answer = by_tail.post("/predict", content=body, headers={"content-type": "application/json"}).json()["predictions"]
    assert [row["id"] for row in answer] == [str(number) for number in range(3000)]
    expected = [probability({**ROW, "dep delay": float(number)}, 1) for number in range(3000)]
    np.testing.assert_allclose([row["probability"] for row in answer], expected, atol=1e-5)
    recorded = {record.id: record for record in _recorded(settings)}
    assert [recorded[row["id"]].probability for row in answer] == [row["probability"] for row in answer]
    for row in rows:
        record = recorded[str(row["flight"])]
        assert record.features == {name: row[name] for name in ("dep delay", "hour", "carrier")}
        assert record.context == {"day": "a\n\r\u2028b"}


def test_hashes_may_stand_for_the_features(releases: Path, settings: Settings) -> None:
    """Prevents that personal data is written where it must not be."""
    publish(releases, 1)
    with TestClient(create_app(settings.model_copy(update={"log_features": "hash"}))) as client:
        client.post("/predict", json=[ROW, ROW, {**ROW, "hour": 8}])
    first, same, other = _recorded(settings)
    assert first.features is None
    assert first.features_sha256 == same.features_sha256 != other.features_sha256
    assert "B6" not in "".join(path.read_text() for path in settings.log.iterdir())


def test_an_entity_is_answered_from_its_features(by_tail: TestClient[Door], settings: Settings) -> None:
    """Prevents that a client must know the features of what it asks about, or that it cannot see which were used."""
    answer = by_tail.post("/predict", json={"tail": "N1", "flight": "a"}).json()
    (found,) = answer["predictions"]
    assert found["probability"] == pytest.approx(probability(ROW, 1), abs=1e-6)
    assert (found["id"], found["features"], found["window"]) == ("a", ROW, "2023-11")
    assert 100 <= found["age_seconds"] < 200
    (record,) = _recorded(settings)
    assert (record.features, record.context) == (ROW, {"tail": "N1"})


@pytest.mark.parametrize("key", [7, "7", 7.0])
def test_a_key_is_the_same_however_it_is_written(by_tail: TestClient[Door], key: object) -> None:
    """Prevents that a number in JSON is another entity than the text in the data."""
    assert by_tail.post("/predict", json={"tail": key}).json()["predictions"][0]["features"]["carrier"] is None


def test_features_that_are_sent_are_the_ones_that_count(by_tail: TestClient[Door]) -> None:
    """Prevents that a lookup overrules the client."""
    answer = by_tail.post("/predict", json={**ROW, "hour": 20, "tail": "N1"}).json()
    expected = probability({**ROW, "hour": 20}, 1)
    assert answer["predictions"][0]["probability"] == pytest.approx(expected, abs=1e-6)


def test_an_entity_that_is_unknown_stale_or_not_to_be_had_is_said_and_not_guessed(
    by_tail: TestClient[Door], releases: Path
) -> None:
    """Prevents an answer from nulls."""
    assert _is_problem(by_tail.post("/predict", json={"tail": "N2"}), 404)["type"].endswith("entity-unknown")
    kinds = {feature.name: feature.type for feature in FEATURES}
    table: dict[str, Any] = {"dataset": "flights", "entity_key": "tail", "features": kinds}
    write_table(releases, {"N1": ROW}, as_of=time() - 31 * 86_400, **table)
    eventually(lambda: by_tail.post("/predict", json={"tail": "N1"}).status_code == 409)
    assert "31.0 days old" in _is_problem(by_tail.post("/predict", json={"tail": "N1"}), 409)["detail"]
    write_table(releases, {"N1": ROW}, as_of=time(), **{**table, "dataset": "others"})
    eventually(lambda: by_tail.post("/predict", json={"tail": "N1"}).status_code == 503)
    _is_problem(by_tail.post("/predict", json={"tail": "N1", "unknown": 1}), 400)


def test_the_document_says_what_an_entity_is_answered(by_tail: TestClient[Door]) -> None:
    """Prevents that a client learns of the lookup by chance."""
    document = by_tail.get("/schema/openapi.json").json()
    assert {"404", "409"} <= document["paths"]["/predict"]["post"]["responses"].keys()
    assert list(document["components"]["schemas"]["Entity"]["required"]) == ["tail"]
    assert {"flight", "tail", "day"} <= document["components"]["schemas"]["Row"]["properties"].keys()


async def _served(app: Door, version: int) -> None:
    async def receive() -> HTTPReceiveMessage:
        return {"type": "http.request", "body": b"", "more_body": False}

    answer: dict[str, Any] = {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            answer.update(json.loads(message["body"]))

    async with asyncio.timeout(10):
        while answer.get("model_version") != version:
            await asyncio.sleep(0.01)
            await app(_scope("GET", "/model"), receive, send)


def _scope(method: str, path: str) -> HTTPScope:
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }
    checked: HTTPScope = scope
    return checked

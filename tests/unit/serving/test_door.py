"""Prevents that a route is open which nobody opened, and that a request takes more than it may.

Slow clients are in tests/end_to_end: only a real connection is slow.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from litestar.testing import TestClient
from litestar.types import HTTPReceiveMessage, Message

from serving.app import create_app
from serving.door import FAILED_KEYS_PER_SECOND, OPEN_PATHS, Door, scopes_of
from serving.keys import Scope, create, revoke
from serving.settings import Settings
from tests.unit.serving.bundles import ROW, eventually, publish


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of keys."""
    return tmp_path / "keys.json"


@pytest.fixture
def door(releases: Path, settings: Settings, keys: Path) -> Door:
    """A service that asks for keys, and serves version 1."""
    publish(releases, 1)
    create(keys, "unused", ["admin"], days=None)
    return create_app(settings.model_copy(update={"keys": keys}))


@pytest.fixture
def guarded(door: Door) -> Iterator[TestClient[Door]]:
    """A client of it."""
    with TestClient(door) as client:
        yield client


def _bearer(keys: Path, *scopes: Scope, days: float | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {create(keys, '-'.join(scopes), scopes, days=days)}"}


def _routes(door: Door) -> list[tuple[str, str]]:
    paths = [(path, method) for route in door.litestar.routes for path in [route.path] for method in ("GET", "POST")]
    return [*paths, *((path, "POST") for path in door.direct)]


def test_every_route_asks_for_a_key_but_live_and_ready(door: Door, guarded: TestClient[Door]) -> None:
    """Prevents that a new route is open because someone forgot it (S2)."""
    routes = _routes(door)
    assert len(routes) > 20
    for path, method in routes:
        response = guarded.request(method, path)
        if path in OPEN_PATHS:
            assert response.status_code in (200, 404, 405), path
        else:
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/nowhere",
        "/metrics/",
        "//metrics",
        "/%6detrics",
        "/x/health/live",
        "/health/live/x",
        "/health/live/",
        "/admin/health-report",
        "/health/live%2f..%2f..%2fmodel",
        "/health/../model",
        "/schema/assets/x",
    ],
)
def test_no_way_of_writing_a_path_opens_it(guarded: TestClient[Door], path: str) -> None:
    """Prevents that a key is matched on another path than the route (S2)."""
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "FOO"):
        assert guarded.request(method, f"http://127.0.0.1{path}").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/predict", "predict"),
        ("POST", "/probe", "predict"),
        ("POST", "/invocations", "predict"),
        ("POST", "/feedback", "predict"),
        ("POST", "/v2/models/flights/infer", "predict"),
        ("POST", "/v2/models/flights/versions/3/infer", "predict"),
        ("GET", "/model", "read"),
        ("GET", "/metrics", "read"),
        ("HEAD", "/schema", "read"),
        ("POST", "/model", "admin"),
        ("POST", "/predict/", "admin"),
        ("DELETE", "/predict", "admin"),
        ("PATCH", "/nowhere", "admin"),
    ],
)
def test_a_request_needs_its_scope(method: str, path: str, scope: Scope) -> None:
    """Prevents that what is not known is let in with any key."""
    assert scopes_of(method, path) == (scope,)


@pytest.mark.parametrize("path", ["/ping", "/version", "/v2", "/v2/models/flights", "/v2/models/flights/ready"])
def test_who_predicts_may_look_whether_the_model_is_ready(path: str) -> None:
    """Prevents that clients of the protocols need a second key for their first question."""
    assert scopes_of("GET", path) == ("predict", "read")


def test_a_key_does_what_its_scope_says_and_no_more(guarded: TestClient[Door], keys: Path) -> None:
    """Prevents that a dashboard's key predicts (S3, S15)."""
    predict, read, admin = _bearer(keys, "predict"), _bearer(keys, "read"), _bearer(keys, "admin", "read")
    eventually(lambda: guarded.get("/model", headers=admin).status_code == 200)  # the last one that was made
    asked = [
        (key, guarded.post("/predict", json=ROW, headers=key).status_code, guarded.get("/metrics", headers=key))
        for key in (predict, read, admin)
    ]
    assert [(status, metrics.status_code) for _, status, metrics in asked] == [(200, 403), (403, 200), (200, 200)]
    assert "needs the scope read" in asked[0][2].json()["detail"]


def test_keys_come_and_go_without_a_restart(guarded: TestClient[Door], keys: Path) -> None:
    """Prevents that a leaked key lives until the next deploy (S3)."""
    key = _bearer(keys, "read")
    eventually(lambda: guarded.get("/model", headers=key).status_code == 200, seconds=5)
    revoke(keys, "read")
    eventually(lambda: guarded.get("/model", headers=key).status_code == 401, seconds=5)


def test_keys_that_cannot_be_read_let_none_in(guarded: TestClient[Door], keys: Path) -> None:
    """Prevents that a torn or lost file of keys opens the service."""
    key = _bearer(keys, "read")
    eventually(lambda: guarded.get("/model", headers=key).status_code == 200)
    content = keys.read_bytes()
    keys.unlink()
    eventually(lambda: guarded.get("/model", headers=key).status_code == 401)
    keys.write_bytes(content)
    keys.chmod(0o600)
    eventually(lambda: guarded.get("/model", headers=key).status_code == 200)


def test_an_expired_key_is_refused(guarded: TestClient[Door], keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents keys for ever (S3)."""
    key = _bearer(keys, "read", days=1)
    eventually(lambda: guarded.get("/model", headers=key).status_code == 200)
    monkeypatch.setattr("serving.keys.datetime", _Tomorrow)
    assert guarded.get("/model", headers=key).status_code == 401


class _Tomorrow(datetime):
    """The clock a day from now."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(days=1)


FORGED = [
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.AAAA",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.eyJzY29wZSI6ImFkbWluIn0.AAAA",
    "mlops_",
    "null",
    "undefined",
    "*",
    "' OR 1=1 --",
    "../keys.json",
    "%00",
    "\u00e9".encode().decode("latin-1"),
    "a" * 5000,
]


@pytest.mark.parametrize("token", FORGED, ids=range(len(FORGED)))
def test_forged_tokens_are_refused(guarded: TestClient[Door], token: str) -> None:
    """Prevents that something is parsed which was never issued (S4: there are no JWTs)."""
    for scheme in ("Bearer", "Basic", "bearer ", ""):
        headers = {b"Authorization": f"{scheme} {token}".encode("latin-1")}
        assert guarded.get("/model", headers=headers).status_code == 401


def test_a_key_is_in_no_answer_log_or_metric(
    guarded: TestClient[Door], keys: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Prevents that keys leak where more people read (S3)."""
    key = _bearer(keys, "admin")
    secret = key["Authorization"].split()[1]
    eventually(lambda: guarded.get("/model", headers=key).status_code == 200)
    texts = [
        guarded.post("/predict", json={"x": 1}, headers=key).text,
        guarded.post("/predict", json=ROW, headers=key).text,
        guarded.get(f"/{secret}", headers={**key, "Host": "other"}).text,
        guarded.get("/metrics", headers=key).text,
        guarded.get("/schema/openapi.json", headers=key).text,
        guarded.get("/model", headers={"Authorization": f"Basic {secret}"}).text,
        caplog.text,
        *(path.read_text() for path in settings.state.rglob("*") if path.is_file()),
        keys.read_text(),
    ]
    assert not [text for text in texts if secret in text]


def test_wrong_keys_are_slowed_down_whoever_they_say_they_speak_for(
    clock: list[float], guarded: TestClient[Door]
) -> None:
    """Prevents that keys are tried out, with a made-up origin for each try (S5)."""
    statuses = [
        guarded.get("/model", headers={"Authorization": f"Bearer {n}", "X-Forwarded-For": f"10.0.0.{n}"}).status_code
        for n in range(30)
    ]
    assert statuses == [401] * 10 + [429] * 20
    clock[0] += 1 / FAILED_KEYS_PER_SECOND
    assert guarded.get("/model", headers={"Authorization": "Bearer 30"}).status_code == 401
    assert guarded.get("/model", headers={"Authorization": "Bearer 31"}).status_code == 429
    assert guarded.get("/model").status_code == 401


def test_a_caller_asks_no_more_often_than_it_may(
    clock: list[float], releases: Path, settings: Settings, keys: Path
) -> None:
    """Prevents that one key takes the service from the others (S5)."""
    del clock
    publish(releases, 1)
    busy, calm = _bearer(keys, "predict"), _bearer(keys, "admin")
    limited = settings.model_copy(update={"keys": keys, "requests_per_second": 5.0})
    with TestClient(create_app(limited)) as client:
        answers = [client.post("/predict", json=ROW, headers=busy) for _ in range(20)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 15
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert client.post("/predict", json=ROW, headers=calm).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("localhost:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost@evil.example", 400),
        ("localhost:80:80", 400),
        ("", 400),
    ],
)
def test_only_its_own_names_are_answered(releases: Path, settings: Settings, host: str, status: int) -> None:
    """Prevents that a page of another site reads answers by a name of its own (S9)."""
    publish(releases, 1)
    named = settings.model_copy(update={"allowed_hosts": Settings().allowed_hosts})
    with TestClient(create_app(named)) as client:
        response = client.get("/model", headers={"Host": host, "X-Forwarded-Host": "localhost"})
        assert response.status_code == status
        assert client.get("/health/live", headers={"Host": host}).status_code == 200
        assert not [name for name in response.headers if name.startswith("access-control")]


@contextmanager
def _with(settings: Settings, **changes: object) -> Iterator[TestClient[Door]]:
    with TestClient(create_app(settings.model_copy(update=changes))) as client:
        yield client


def test_a_body_that_says_it_is_too_large_is_not_read(releases: Path, settings: Settings) -> None:
    """Prevents that memory is filled by whoever asks (S6)."""
    publish(releases, 1)
    with _with(settings, max_body_bytes=2000) as client:
        read = []

        def chunks() -> Iterator[bytes]:
            for _ in range(100):
                read.append(1)
                yield b" " * 100

        assert client.post("/predict", content=b" " * 2001).status_code == 413
        assert client.post("/predict", content=chunks()).status_code == 413
        assert client.post("/invocations", content=b" " * 2001).status_code == 413
        body = json.dumps(ROW).encode() + b" " * 1900
        headers = {"content-type": "application/json"}
        assert client.post("/predict", content=body[:2000], headers=headers).status_code == 200


def test_what_announces_that_it_is_too_large_is_not_read_at_all(door: Door) -> None:
    """Prevents that a gigabyte is taken in before it is refused."""
    statuses: list[int] = []

    async def receive() -> HTTPReceiveMessage:
        raise AssertionError("it was read")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"host", b"x"), (b"content-length", b"99999999999")]
    scope: Any = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "client": None}
    door.access.keys = None
    asyncio.run(door(scope, receive, send))
    assert statuses == [413]


def test_only_so_much_is_kept_of_bodies_that_have_not_arrived(releases: Path, settings: Settings) -> None:
    """Prevents that clients who never end fill the memory, and that a few who announce much shut the others out."""
    publish(releases, 1)
    door = create_app(settings.model_copy(update={"max_body_bytes": 1000}))
    statuses: list[int] = []

    async def ask(parts: list[int], declared: int) -> None:
        """Sends the parts, and then nothing for a while."""

        async def receive() -> HTTPReceiveMessage:
            if not parts:
                await asyncio.sleep(0.2)
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b" " * parts.pop(0), "more_body": True}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        headers = [(b"host", b"x"), (b"content-length", b"%d" % declared)]
        scope: Any = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "client": None}
        await door(scope, receive, send)

    async def flood() -> None:
        idle = [asyncio.create_task(ask([1], 1000)) for _ in range(100)]
        await asyncio.sleep(0.05)
        assert statuses == []
        await asyncio.gather(*idle, *(ask([500, 499], 1000) for _ in range(40)))

    asyncio.run(flood())
    assert set(statuses) == {503}
    assert 20 <= len(statuses) <= 30  # 16 times 1,000 bytes fit
    assert (door.active, door.buffered) == (0, 0)


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_of_other_sites_write_nothing(client: TestClient[Door], site: str, status: int) -> None:
    """Prevents that a page a user looks at sends rows to the service of this machine, to be learned from (S7)."""
    assert client.post("/predict", json=ROW, headers={"Sec-Fetch-Site": site}).status_code == status


def test_compressed_bodies_are_refused(client: TestClient[Door]) -> None:
    """Prevents that a small body becomes a large one (S6)."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/predict", content=b"\x1f\x8b", headers=headers).status_code == 415


def test_a_full_service_says_so_and_stays_alive(releases: Path, settings: Settings) -> None:
    """Prevents that a flood is taken on until nothing is answered (S6)."""
    publish(releases, 1)
    door = create_app(settings)
    with TestClient(door) as client:
        door.active = settings.max_requests
        full = client.post("/predict", json=ROW)
        assert (full.status_code, full.headers["retry-after"]) == (503, "1")
        assert full.json()["type"] == "urn:problem-type:full"
        assert client.get("/health/ready").status_code == 200
        door.active = 0
        assert client.post("/predict", json=ROW).status_code == 200
        assert (door.active, door.buffered) == (0, 0)


def test_refusals_and_faults_give_their_room_back(
    releases: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a service fills up with requests that are gone."""
    publish(releases, 1)
    door = create_app(settings)

    def failing(*_: object) -> None:
        raise RuntimeError("secret")

    with TestClient(door) as client:
        client.post("/predict", content=b"{")
        client.post("/nowhere", content=b"{}")
        client.get("/predict")
        client.post("/predict", content=b"x" * (9 * 1024 * 1024))
        monkeypatch.setattr("serving.predictor.Predictor.predict", failing)
        assert client.post("/predict", json=ROW).status_code == 500
    assert (door.active, door.buffered) == (0, 0)

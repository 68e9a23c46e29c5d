"""What every request passes before Litestar sees it: name, key, rate, room, size.

One rule for all routes, so none can be forgotten.
Which keys there are belongs to `serving.keys`; what a body must hold belongs to the routes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from serving import errors
from serving.access import Access
from serving.keys import Key
from serving.keys import Scope as KeyScope
from serving.metrics import Metrics
from serving.rate import Rates
from serving.settings import Settings

OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""What is asked by those who hold no key and know no name: load balancers and orchestrators."""
PREDICT_PATHS = frozenset({"/predict", "/probe", "/invocations", "/feedback"})
PROTOCOL_PATHS = frozenset({"/ping", "/version", "/v2"})
BODY = "serving.body"
"""The scope's key of the body, which has arrived whole."""
MOST_BUFFERED = 16
"""Of the largest body: how much of bodies that have not arrived whole is kept."""
FAILED_KEYS_PER_SECOND = 1.0
"""How often one address may present a wrong key; ten at once are forgiven."""


@dataclass(slots=True)
class Door:
    """The service as an ASGI app, around Litestar's."""

    litestar: Litestar
    direct: Mapping[str, ASGIApp]
    """What answers by itself, by path: Litestar's way to a route costs as much as the prediction at its end."""
    is_full: Callable[[int], bool]
    """Whether a body of so many bytes would be refused when it has arrived."""
    settings: Settings
    access: Access
    metrics: Metrics
    active: int = 0
    """Requests under way."""
    buffered: int = 0
    """Bytes of bodies that have arrived in part."""
    _failed: Rates = field(default_factory=lambda: Rates(FAILED_KEYS_PER_SECOND, burst=10))
    _rates: Rates | None = None

    def __post_init__(self) -> None:
        if (rate := self.settings.requests_per_second) is not None:
            share = rate / self.settings.workers
            self._rates = Rates(share, burst=max(share, 1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it with what is the matter."""
        if scope["type"] != ScopeType.HTTP:
            await self.litestar(scope, receive, send)
            return

        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self.metrics.count_answer(scope.get("path_template"), message["status"])
            await send(message)

        path = scope["path"]
        if path in OPEN_PATHS:
            await self.litestar(scope, receive, counted)
            return
        if self.active >= self.settings.max_requests:
            await errors.send(errors.full(), path, counted)
            return
        self.active += 1
        try:
            headers = dict(scope["headers"])
            self._demand_name(headers)
            self._demand_key(scope, headers)
            body: bytes | None = None
            if scope["method"] in ("POST", "PUT", "PATCH"):
                _demand_own_page(headers)
                body = await self._body(headers, receive)
                if body is None:
                    return
                cast("dict[str, Any]", scope)[BODY] = body
            if (direct := self.direct.get(path)) is not None:
                scope["path_template"] = path
                # It answers 200 or raises; to pass `counted` costs a small answer a twentieth of its time.
                await direct(scope, receive, send)
                self.metrics.count_answer(path, 200)
            else:
                await self.litestar(scope, receive if body is None else _replayed(body, receive), counted)
        except errors.ServiceProblem as problem:
            await errors.send(problem, path, counted)
        except Exception as error:
            if started:  # too late for another answer; the connection is closed
                raise
            await errors.send(errors.unexpected(error), path, counted)
        finally:
            self.active -= 1

    def refusal(self, size: int, path: str) -> errors.ServiceProblem | None:
        """What is to be answered to a request before its body arrives; None where it may come in."""
        if size > self.settings.max_body_bytes or not self.is_full(size):
            return None  # a body that is never taken is told so
        self.metrics.count_answer(path if path in self.direct else None, 503)
        return errors.full()

    def _demand_name(self, headers: Mapping[bytes, bytes]) -> None:
        """A page of another site that is given this address by its name server must not read answers."""
        allowed = self.settings.allowed_hosts
        host = headers.get(b"host", b"").decode("latin-1")
        if allowed == ("*",) or host in allowed:
            return
        name, _, port = host.rpartition(":")
        if not (port.isdigit() and name in allowed):
            raise errors.misnamed(host)

    def _demand_key(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> None:
        peer = scope["client"][0] if scope["client"] else ""
        keys = self.access.keys
        key: Key | None = None
        if keys is not None:
            scheme, _, presented = headers.get(b"authorization", b"").partition(b" ")
            key = keys.find(presented.strip()) if scheme.lower() == b"bearer" else None
            if key is None:
                if scheme and not self._failed.take(peer):
                    raise errors.too_many(self._failed.seconds_until(peer))
                raise errors.unauthorized()
            needed = scopes_of(scope["method"], scope["path"])
            if not any(map(key.allows, needed)):
                raise errors.forbidden(needed)
        if self._rates is not None and not self._rates.take(caller := key.name if key else peer):
            raise errors.too_many(self._rates.seconds_until(caller))

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None where the client is gone. How long it may take: `serving.server`."""
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise errors.compressed(headers[b"content-encoding"].decode("latin-1"))
        limit = self.settings.max_body_bytes
        declared = int(headers.get(b"content-length", 0))
        if declared > limit:
            raise errors.too_large(limit)
        if self.is_full(declared):  # to take in what will be refused would cost those who are answered
            raise errors.full()
        chunks: list[bytes] = []
        arrived = 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                chunks.append(message["body"])
                arrived += len(message["body"])
                self.buffered += len(message["body"])
                if arrived > limit:
                    raise errors.too_large(limit)
                if not message["more_body"]:
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
                # What has arrived counts, and not what a client says that it will send.
                if self.buffered > MOST_BUFFERED * limit:
                    raise errors.full()
        finally:
            self.buffered -= arrived


def _demand_own_page(headers: Mapping[bytes, bytes]) -> None:
    """A browser says whose page asks; without keys, another site's could write into the record."""
    if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise errors.foreign_page()


def body_of(scope: Scope) -> bytes:
    """The body of a request, which has arrived whole."""
    return cast("dict[str, bytes]", scope)[BODY]


def scopes_of(method: str, path: str) -> tuple[KeyScope, ...]:
    """What a key must allow for a request, one of these; what is not known here is for `admin` alone."""
    if method == "POST" and (path in PREDICT_PATHS or (path.startswith("/v2/models/") and path.endswith("/infer"))):
        return ("predict",)
    if method not in ("GET", "HEAD", "OPTIONS"):
        return ("admin",)
    # Clients of the protocols look whether the model is ready before they ask it.
    return ("predict", "read") if path in PROTOCOL_PATHS or path.startswith("/v2/") else ("read",)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that has arrived already."""
    given = False

    async def replayed() -> HTTPReceiveMessage:
        nonlocal given
        if given:
            return await receive()  # type: ignore[return-value]
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed

"""Runs the app with uvicorn: in one process, or in several that share the port.

Here belongs what uvicorn does not bring: an end to connections whose client neither sends nor takes.
"""

import asyncio
import os
import tempfile
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.metrics import SHARED
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.door import Door  # which is the workers' to import

GRACE_SECONDS = 10
"""For requests under way at SIGTERM; without a limit one slow client keeps the process alive."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may wait for its next request; more than the 60 s after which load balancers drop theirs."""
_REST = b"\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
    b"content-length: %d\r\n\r\n%b"
)
TIMEOUT = b"HTTP/1.1 408 Request Timeout" + _REST
BAD_REQUEST = b"HTTP/1.1 400 Bad Request" + _REST
NO_HTTP = b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"%b"}'
SLOW = (
    b'{"type":"urn:problem-type:too-slow","title":"The request took too long to arrive","status":408,'
    b'"detail":"send the whole request sooner"}'
)


class JoinedWrites:
    """A transport that writes an answer's head together with its body.

    uvicorn writes each by itself, and uvloop makes a system call of each: together the dearest part of a small answer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Keeps a head until what follows it; writes all else, unless the connection was given up meanwhile."""
        if self._transport.is_closing():
            return
        is_head = data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n")
        # After `100 Continue` the client goes on sending: nothing follows it that it could be joined with.
        if is_head and not self._head and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def flush(self) -> None:
        """Writes a head that nothing follows, as of an answer to HEAD."""
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""

    def close(self) -> None:
        """Closes after what was kept."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever a transport has
        return getattr(self._transport, name)


class DeadlineProtocol(HttpToolsProtocol):
    """A connection that is closed when a request takes too long to arrive, or an answer to be taken.

    One timer for each connection, and three assignments for each request.
    """

    app: "Door"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts from the first moment: a connection that sends nothing is slow too."""
        self._joined = JoinedWrites(transport)
        super().connection_made(cast(asyncio.Transport, self._joined))
        self.read_seconds: float = self.app.settings.read_seconds
        self._unsent_since: float | None = None
        self._refused = False
        self._reading_since: float | None = monotonic()
        self._timer = self.loop.call_later(self.read_seconds / 4, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timer."""
        self._timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Counts from the first byte of a request."""
        self._reading_since = monotonic()
        self._refused = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuses a body for which there is no room before anything is made for its request.

        Under five times the load that can be answered, what is refused costs what would be answered: through the app
        a refusal took 112 us of processor time, and takes 50 us here (`benchmarks/overload`).
        """
        app = self.app
        if app.is_full(app.settings.max_body_bytes) and self._may_be_refused():
            size = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
            path = self.url.decode("latin-1")
            if (problem := app.refusal(size, path)) is not None:
                self._refused = True
                body = msgspec.json.encode(problem.content(path))
                self.transport.write(FULL % (len(body), body))
                return
        super().on_headers_complete()

    def _may_be_refused(self) -> bool:
        """Whether an answer now would be the next one on this connection, and its body could be dropped."""
        is_waited_for = self.cycle is None or self.cycle.response_complete
        is_plain = self.parser.get_method() == b"POST" and not self.expect_100_continue
        return bool(is_waited_for and is_plain and self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        """Drops what was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived."""
        self._reading_since = None
        if self._refused:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            return
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The bytes are no HTTP."""
        body = NO_HTTP % msg.encode()
        self.transport.write(BAD_REQUEST % (len(body), body))
        self.transport.close()

    def on_response_complete(self) -> None:
        """Leaves nothing unwritten."""
        self._joined.flush()
        super().on_response_complete()

    def _look(self) -> None:
        transport = self.transport
        if transport.is_closing() and not transport.get_write_buffer_size():
            return
        # A client that sent the next request before it was answered waits for us.
        since = None if self.pipeline else self._reading_since
        if since is not None and monotonic() - since >= self.read_seconds:
            # A request has one answer: one whose body was refused while it arrives has had it.
            has_answer = self._refused or (
                self.scope is not None and "path" in self.scope and self.cycle.response_started
            )
            if not has_answer:
                transport.write(TIMEOUT % (len(SLOW), SLOW))
            transport.close()
        if not transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = monotonic()
        elif monotonic() - self._unsent_since >= self.read_seconds:
            transport.abort()
            return
        self._timer = self.loop.call_later(self.read_seconds / 4, self._look)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    if settings.workers == 1:
        _run(settings)
        return
    with tempfile.TemporaryDirectory(prefix="serving-metrics-") as folder:
        os.environ[SHARED] = folder  # before the workers import what counts
        _run(settings)


def _run(settings: Settings) -> None:
    uvicorn.run(
        "serving.app:app_from_environment",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=DeadlineProtocol,
        ws="none",
        proxy_headers=False,  # what a client says of whom it speaks for is not believed
        access_log=False,
        log_config=None,
        log_level=settings.log_level,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=30,  # a worker that loads a large model does not answer meanwhile
    )

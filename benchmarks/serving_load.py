"""The load: requests as fast as a side answers, or at a fixed rate, over connections that are kept alive.

Plain sockets and requests made beforehand, for the client shares the machine with what it measures: `python -m
benchmarks.serving_load` prints what it reaches against `serving_rivals.ceiling`. Here belongs nothing of what is asked.
"""

import gc
import itertools
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import select

from mlops_assets.cli.programs import ROOT
from mlops_assets.cli.stack import free_port
from mlops_assets.config import LOOPBACK

PATIENCE_SECONDS = 60
"""For one answer, and for one request to be taken."""
OPEN_CONNECTIONS = 64
"""At the fixed rate: enough that a request waits for the side, and not for a connection."""
CHUNK = 1 << 18


class LoadFailed(Exception):
    """An answer was not a 200, or did not come."""


def request_of(port: int, path: str, body: bytes, headers: Sequence[str] = ()) -> bytes:
    """A POST of JSON as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {LOOPBACK}:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(port: int, request: bytes) -> bytes:
    """The body of the answer to one request.

    Raises:
        LoadFailed: it is not a 200.
        OSError: nothing listens there.
    """
    with _connections(port, 1) as (connection,):
        connection.sendall(request)
        return _answer(connection)


def closed_loop(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> float:
    """Requests answered in a second, each connection sending its next one when it has its answer.

    Raises:
        LoadFailed: an answer was not a 200, or did not come.
    """
    following, answered = itertools.cycle(requests), 0
    with _connections(port, connections) as opened, _no_collections():
        waiting, began = list(opened), time.perf_counter()
        for connection in waiting:
            connection.sendall(next(following))
        # Nothing is left unanswered, for a side that still works would take the next one's time.
        while waiting:
            ready, goes_on = _ready(waiting, PATIENCE_SECONDS), time.perf_counter() < began + seconds
            for connection in ready:
                _answer(connection)
                if goes_on:
                    connection.sendall(next(following))
                else:
                    waiting.remove(connection)
            answered += len(ready)
        return answered / (time.perf_counter() - began)


def open_loop(port: int, requests: Sequence[bytes], *, rate: float, seconds: float) -> list[float]:
    """The seconds that each answer took, from the moment at which its request was due.

    Requests are due at the rate whatever the side does: one that had to wait for those before it has waited.

    Raises:
        LoadFailed: an answer was not a 200, or did not come.
    """
    count, following, took = max(1, round(rate * seconds)), itertools.cycle(requests), list[float]()
    with _connections(port, OPEN_CONNECTIONS) as opened, _no_collections():
        idle, due, sent = list(opened), dict[socket.socket, float](), 0
        began = time.perf_counter()
        while len(took) < count:
            while idle and sent < count and began + sent / rate <= time.perf_counter():
                connection = idle.pop()
                due[connection] = began + sent / rate
                connection.sendall(next(following))
                sent += 1
            waits = idle and sent < count
            wait = max(0.0, began + sent / rate - time.perf_counter()) if waits else PATIENCE_SECONDS
            for connection in select(list(due), [], [], wait)[0] if waits else _ready(list(due), wait):
                _answer(connection)
                took.append(time.perf_counter() - due.pop(connection))
                idle.append(connection)
    return took


def _ready(connections: Sequence[socket.socket], seconds: float) -> list[socket.socket]:
    ready = select(connections, [], [], seconds)[0]
    if not ready:
        raise LoadFailed(f"no answer within {seconds:.0f} s")
    return ready


def _answer(connection: socket.socket) -> bytes:
    """Reads one answer, which has begun to arrive or will, and gives its body."""
    content = connection.recv(CHUNK)
    while (head := content.find(b"\r\n\r\n")) < 0 and content:
        content += _more(connection)
    if not content.startswith(b"HTTP/1.1 200"):
        raise LoadFailed(f"answered {content[:500].decode(errors='replace')!r}")
    fields = content[:head].lower()
    at = fields.find(b"\r\ncontent-length:")
    if at < 0:
        raise LoadFailed(f"an answer has no Content-Length: {fields.decode(errors='replace')!r}")
    end = fields.find(b"\r\n", at + 2)
    length = head + 4 + int(fields[at + 17 : end if end > 0 else head])
    if len(content) < length:
        parts = [content]
        missing = length - len(content)
        while missing > 0:
            parts.append(_more(connection))
            missing -= len(parts[-1])
        content = b"".join(parts)
    return content[head + 4 :]


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(CHUNK)
    if not part:
        raise LoadFailed("the connection was closed within an answer")
    return part


@contextmanager
def _connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    # Blocking ones, with limits of the kernel's: Python's own timeouts cost a system call more for each operation.
    patience = struct.pack("ll", PATIENCE_SECONDS, 0)
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(connection := socket.create_connection((LOOPBACK, port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        yield opened
    finally:
        for connection in opened:
            connection.close()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keeps Python's garbage collector from pausing the client."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ceiling(requests: Sequence[bytes], *, connections: int, seconds: float) -> float:
    """Requests a second that the client reaches where answering costs next to nothing."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving_rivals.ceiling", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            server.stdout.readline()
            return closed_loop(port, requests, connections=connections, seconds=seconds)
        finally:
            server.terminate()


if __name__ == "__main__":
    reached = ceiling([request_of(1, "/", b"x" * 300)], connections=16, seconds=3)
    print(f"the client reaches {reached:,.0f} requests/s")

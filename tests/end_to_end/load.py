"""A client of the service that asks over many connections at once, and what it was answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tests.unit.serving.bundles import ROW

BODY = json.dumps(ROW).encode()


def request(path: str, body: bytes = BODY, *, headers: str = "") -> bytes:
    """A POST of JSON, as it is sent."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


PREDICT = request("/predict")
READY = b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Answered:
    """One answer that arrived whole."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    at: float
    """When it had arrived, by the monotonic clock."""

    @property
    def json(self) -> Any:  # noqa: ANN401 -- whatever was answered
        """The body's content."""
        return json.loads(self.body)


class Connection:
    """One connection, kept open between requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> Answered:
        """Sends a request and waits for its answer.

        Raises:
            OSError, asyncio.IncompleteReadError: there was none.
        """
        began = monotonic()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        at = monotonic()
        return Answered(int(first.split()[1]), headers, body, at - began, at)

    def close(self) -> None:
        """Ends the connection."""
        if self._streams is not None:
            with suppress(OSError, RuntimeError):
                self._streams[1].close()
            self._streams = None


@dataclass
class Load:
    """What was asked by many clients, each of which asks again when it was answered."""

    port: int
    answers: list[Answered] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    """Requests that got no answer."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, clients: int, sent: Callable[[], bytes] = lambda: PREDICT, *, pause: float = 0) -> None:
        """Asks until `done`."""
        await asyncio.gather(*(self._client(sent, pause) for _ in range(clients)))

    async def run_at(self, rate: float, seconds: float, sent: bytes) -> None:
        """Asks so many times a second, whether or not it was answered before; no slow answer puts a question off."""
        free: list[Connection] = []
        asking: set[asyncio.Task[None]] = set()
        began = monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
            connection = free.pop() if free else Connection(self.port)
            task = asyncio.create_task(self._ask(connection, sent, free))
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(*asking)
        for connection in free:
            connection.close()

    async def _ask(self, connection: Connection, sent: bytes, free: list[Connection]) -> None:
        try:
            self.answers.append(await connection.ask(sent))
            free.append(connection)
        except (OSError, asyncio.IncompleteReadError) as failure:
            self.failures.append(failure)

    async def _client(self, sent: Callable[[], bytes], pause: float) -> None:
        connection = Connection(self.port)
        while not self.done.is_set():
            try:
                self.answers.append(await connection.ask(sent()))
            except (OSError, asyncio.IncompleteReadError) as failure:
                self.failures.append(failure)
                await asyncio.sleep(0.02)
            if pause:
                await asyncio.sleep(pause)
        connection.close()

    @property
    def statuses(self) -> Counter[int]:
        """How many answers had which status."""
        return Counter(answer.status for answer in self.answers)

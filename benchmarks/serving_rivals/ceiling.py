"""A server that costs next to nothing: any request that comes in one piece gets the same short answer.

`python -m benchmarks.serving_rivals.ceiling PORT` says a line when it listens. What the load's client reaches against
it is the most that it can measure.
"""

import asyncio
import sys

import uvloop

from mlops_assets.config import LOOPBACK

BODY = b'{"model_version":1,"epoch":1,"predictions":[{"probability":0.09885591107442071}]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Ceiling(asyncio.Protocol):
    """Answers each piece that arrives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keeps the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 -- not looked at
        """Answers."""
        self.transport.write(ANSWER)


async def serve(port: int) -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(Ceiling, LOOPBACK, port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))

"""Real receivers of notifications on loopback: a webhook, Slack's among them, and a mail server."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any


@dataclass
class Webhook:
    """A server that takes JSON, or refuses it as long as `status` says so."""

    port: int = 0
    status: int = 200
    asked: int = 0
    paths: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """Of what was taken."""
        return [str(one["title"]) for one in self.taken]


@dataclass
class MailServer:
    """A server that takes every mail."""

    port: int = 0
    recipients: list[str] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook that runs."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.asked += 1
            if hook.status == 200:
                hook.paths.append(self.path)
                hook.taken.append(json.loads(body))
            self.send_response(hook.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        hook.port = server.server_address[1]
        yield hook


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server that runs; it speaks what a client without encryption says."""
    mail = MailServer()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            for raw in self.rfile:
                line = raw.decode().strip()
                if line.upper().startswith("RCPT TO:"):
                    mail.recipients += re.findall("<(.*)>", line)
                if line.upper() == "DATA":
                    self._say("354 go on")
                    mail.taken.append(message_from_string(self._data()))
                self._say("221 bye" if line.upper() == "QUIT" else "250 done")

        def _data(self) -> str:
            lines = iter(self.rfile.readline, b".\r\n")
            return "".join(line.decode().replace("\r\n", "\n") for line in lines)

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with _served(ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server:
        mail.port = server.server_address[1]
        yield mail


@contextmanager
def _served(server: Any) -> Iterator[Any]:  # noqa: ANN401 -- two kinds of servers, alike in this
    assert isinstance(server, BaseServer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

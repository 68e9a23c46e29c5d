"""The service as a process, for the tests that need a real one."""

import os
import resource
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord
from tests.unit.serving.bundles import ROW


@dataclass(frozen=True)
class Service:
    """A service process, a client of it, and its folders."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    state: Path
    output: Path
    """What it printed."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.client.base_url.port or 0

    def status(self, path: str) -> int | None:
        """Of a GET; None while nobody listens."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return None

    def model(self) -> dict[str, Any]:
        """What it says that it serves."""
        answer: dict[str, Any] = self.client.get("/model").json()
        return answer

    def serves(self, version: int, epoch: int) -> bool:
        """Whether this is the served promotion, of all workers."""
        answer = self.model()
        workers = [(worker["model_version"], worker["epoch"]) for worker in answer["workers"]]
        return workers == [(version, epoch)] * answer["expected_workers"]

    def predict(self) -> tuple[int, float]:
        """Version and probability of one answer."""
        response = self.client.post("/predict", json=ROW)
        assert response.status_code == 200, response.text
        answer = response.json()
        return answer["model_version"], answer["predictions"][0]["probability"]

    def recorded(self) -> list[PredictionRecord]:
        """Every prediction in its log, of open segments up to their last whole line."""
        records: list[PredictionRecord] = []
        for segment in sorted((self.state / "log").glob("*")):
            content = segment.read_bytes()
            for line in content[: content.rfind(b"\n") + 1].splitlines():
                record = msgspec.json.decode(line, type=PredictionRecord | BatchRecord | LabelRecord)
                if isinstance(record, BatchRecord):
                    records += record.records()
                elif isinstance(record, PredictionRecord):
                    records.append(record)
        return records

    def processes(self) -> list[psutil.Process]:
        """Itself and its workers."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def kill(self) -> None:
        """Ends all of it at once, as a machine does that goes down."""
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def limit_files(self, size: int | None) -> None:
        """Lets no file of the process grow beyond a size: what a full disk does, with another error; None lifts it."""
        limit = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def environment(releases: Path, state: Path, port: int, **settings: str) -> dict[str, str]:
    """What the process is told; its settings in lower case."""
    named = {f"SERVING_{name.upper()}": value for name, value in settings.items()}
    return {
        **os.environ,
        "SERVING_RELEASES": str(releases),
        "SERVING_STATE": str(state),
        "SERVING_PORT": str(port),
        **named,
    }

"""What the tests with a real service start from."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from mlops_assets.cli.stack import free_port
from tests.end_to_end.service_process import Service, environment
from tests.unit.serving.bundles import eventually

Start = Callable[..., Service]


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A folder of releases that is not there yet."""
    return tmp_path / "releases"


@pytest.fixture
def start(releases: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the service with settings, each time on the same port, and waits until it is live; ends it at the end."""
    port = free_port()
    state, output = tmp_path / "serving", tmp_path / "service.log"
    with ExitStack() as ends:
        log = ends.enter_context(output.open("ab"))

        def start(**settings: str) -> Service:
            command = [sys.executable, "-m", "serving"]
            process = subprocess.Popen(
                command, env=environment(releases, state, port, **settings), stdout=log, stderr=log
            )
            ends.callback(_end, process)
            client = ends.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10))
            service = Service(process, client, state, output)
            eventually(lambda: service.status("/health/live") == 200, seconds=30)
            return service

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for worker in workers:
            if worker.is_running():
                worker.kill()

"""A side's processes: started, timed to the first answer, weighed, and ended whatever happens."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.serving_load import LoadFailed, ask
from benchmarks.serving_rivals.servers import Side

START_SECONDS = 120
STOP_SECONDS = 15
POLL_SECONDS = 0.005
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "SERVING_THREADS")
FOREIGN = ("SERVING_", "MLFLOW_", "MLSERVER_", "BENTOML_", "UVICORN_", "PYTHON", "MLOPS_")
"""Settings of the user's own that a side would follow."""


class NotStarted(Exception):
    """A side gave no answer; the message says what it said instead."""


class Running:
    """A started side."""

    def __init__(self, process: psutil.Popen, startup_seconds: float) -> None:
        self._process = process
        self.startup_seconds = startup_seconds
        """From the start of the process to the first prediction answered."""

    def memory_mb(self) -> float:
        """Resident memory of all its processes; pages that they share count for each."""
        return sum(process.memory_info().rss for process in _family(self._process)) / 1e6

    def cpu_seconds(self) -> float:
        """Processor time that its processes have taken so far, in user and system."""
        return sum(sum(process.cpu_times()[:2]) for process in _family(self._process))


@contextmanager
def running(side: Side, first: bytes, *, threads: int, folder: Path) -> Iterator[Running]:
    """Starts a side, and ends it and all that it started.

    Args:
        side: What to start.
        first: The request whose answer ends the start.
        threads: For the libraries, and the service, that ask the environment.
        folder: Its log goes there, and the bytecode that all starts share.

    Raises:
        NotStarted: it ended, or gave no answer in time.
    """
    log = folder / "log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = psutil.Popen(
            side.command,
            cwd=side.folder,
            env=_environment(side, threads, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Running(process, _first_answer(side, process, first, log) - started)
    finally:
        _end(process)


def _first_answer(side: Side, process: psutil.Popen, first: bytes, log: Path) -> float:
    last = "nothing listened"
    until = time.perf_counter() + START_SECONDS
    while time.perf_counter() < until:
        try:
            ask(side.port, first)
            return time.perf_counter()
        except (OSError, LoadFailed) as error:
            last = str(error)
        if process.poll() is not None:
            raise NotStarted(f"it ended with {process.returncode}: {_tail(log)}")
        time.sleep(POLL_SECONDS)
    raise NotStarted(f"no prediction within {START_SECONDS} s ({last}): {_tail(log)}")


def _environment(side: Side, threads: int, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    # Bytecode for all, compiled at a first start: where an installer wrote none, each start would compile anew.
    own = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "DO_NOT_TRACK": "1"}
    # Some of them start helpers by name.
    path = f"{Path(side.command[0]).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, **own, **dict.fromkeys(THREADS, str(threads)), "PATH": path, **side.environment}


def _family(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _end(process: psutil.Popen) -> None:
    family = _family(process)
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])[-600:] or "it said nothing"

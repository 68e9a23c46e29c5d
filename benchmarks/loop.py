"""From a landed file to the new version answered over HTTP: the loop beside a plain script that does the same work.

Starts the real stack in a temporary folder, lands months of flights one after the other, and runs
`benchmarks.plain_script` on a copy of what the loop had before each window. While a script runs the stack idles, which
costs it some CPU; `--quiet` runs the scripts once more after the stack was stopped.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
from rich.console import Console

from benchmarks.loop_report import Measured, figures, print_figures
from benchmarks.plain_script import Outcome
from benchmarks.timeline import read_timeline
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.ledger import Ledger, Promotion
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServiceClient, ServiceUnavailable
from mlops_assets.cli.history import WindowHistory, dagster_instance, window_history
from mlops_assets.cli.programs import ROOT, environment
from mlops_assets.cli.stack import Stack
from mlops_assets.cli.status import promoted_versions
from mlops_assets.cli.up import running_stack
from mlops_assets.config import LOOPBACK, Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.datasets.flights import WINDOWS, write_windows
from serving.release import POINTER

WINDOW_SECONDS = 300
SETTLE_SECONDS = 1.5
"""Between two measurements, so that one's last work is not the other's load."""
POLL_SECONDS = 0.05
HISTORY_SECONDS = 1.0
"""Asking Dagster's databases costs the loop CPU, so it is done seldom; the ledger and the service tell the time."""


class NotMeasured(Exception):
    """A window was not handled, or the two sides did different work."""


@dataclass(frozen=True)
class Handled:
    """A window's way through the loop."""

    history: WindowHistory
    landed: float
    handled: float
    answered: float | None
    """When the service first answered with the new version; None where the window ended without one."""


class Loop:
    """The running loop, given windows one at a time."""

    def __init__(self, settings: Settings, stack: Stack, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self._stack = stack
        self._landing = FolderLanding(settings.landing, read_dataset(settings.dataset))
        self._ledger = Ledger(settings.ledger_url)
        self._releases = ReleaseStore(settings.releases)
        self._service = ServiceClient(settings.service_url)

    def handle(self, file: Path) -> Handled:
        """Lands a window and waits until nothing more will happen to it.

        Raises:
            NotMeasured: it failed, or took too long.
        """
        before = self._ledger.production()
        landed = time.time()
        self._landing.add(file)
        answered: float | None = None
        look_at = landed + HISTORY_SECONDS
        while time.time() < landed + WINDOW_SECONDS:
            self._stack.demand_running()
            if answered is None and self._answers_anew(before):
                answered = time.time()
            if time.time() >= look_at:
                look_at = time.time() + HISTORY_SECONDS
                history = window_history(self.instance, file.stem, promoted_versions(self._ledger))
                if history.verdict in ("failed", "unfit"):
                    raise NotMeasured(f"{file.stem}: {history.verdict}: {history.fault}")
                if history.handled and (history.verdict != "promoted" or answered):
                    return Handled(history, landed, time.time(), answered)
            time.sleep(POLL_SECONDS)
        raise NotMeasured(f"{file.stem} was not handled within {WINDOW_SECONDS} s")

    def _answers_anew(self, before: Promotion | None) -> bool:
        """Whether the ledger names a newer version than before, and the service predicts with it."""
        now = self._ledger.production()
        if now is None or now == before:
            return False
        row = self._releases.cases(now.model_version)[0].row
        try:
            answer = self._service.predict([row])
        except ServiceUnavailable:
            return False
        return (answer.model_version, answer.epoch) == (now.model_version, now.epoch)


class PlainScript:
    """The script, run on one window with the loop's state before that window."""

    def __init__(self, settings: Settings, landed: Path, folder: Path) -> None:
        """Copies what the script needs of the loop's state, so that it can run later, and more than once."""
        self._settings = settings
        self._landed = landed
        self._before = folder
        for source in (settings.windows, settings.releases):
            if source.exists():
                shutil.copytree(source, folder / source.name)

    def run(self) -> tuple[float, Outcome]:
        """Seconds from the process's start to its exit, and what it found."""
        with TemporaryDirectory() as scratch:
            home = Path(scratch) / "home"
            shutil.copytree(self._before, home)
            command = [
                sys.executable, "-m", "benchmarks.plain_script", str(self._landed),
                "--windows", str(home / self._settings.windows.name),
                "--releases", str(home / self._settings.releases.name),
                "--report", str(home / "drift.html"),
                "--dataset", str(self._settings.dataset.absolute()),
            ]  # fmt: skip
            # The loop's environment for both: its thread settings are the faster ones on shared cores.
            started = time.perf_counter()
            ended = subprocess.run(command, cwd=ROOT, env=environment(self._settings), capture_output=True, check=False)
            seconds = time.perf_counter() - started
        if ended.returncode:
            raise NotMeasured(f"the plain script failed: {ended.stderr.decode()[-2000:]}")
        return seconds, Outcome(**json.loads(ended.stdout))


def measure(months: tuple[str, ...], console: Console, *, quiet: bool) -> dict[str, Any]:
    """Runs both sides on each month.

    Args:
        months: The first one bootstraps the loop and is not counted.
        console: Where progress goes.
        quiet: Whether to run the scripts again without the stack.
    """
    measured: list[Measured] = []
    scripts: list[PlainScript] = []
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        landing_files = list(write_windows(Path(folder) / "flights", months))
        with _own_settings(Path(folder) / "home") as settings:
            with running_stack(settings, console) as stack, dagster_instance(settings) as instance:
                loop = Loop(settings, stack, instance)
                for file in landing_files:
                    script = PlainScript(settings, file, Path(folder) / "before" / file.stem)
                    if len(measured) == 1:
                        script.run()  # not counted: the first with a model to compare with, it compiles bytecode
                    measured.append(_both(loop, script, file))
                    scripts.append(script)
                    console.print(measured[-1].sentence())
            if quiet:
                time.sleep(SETTLE_SECONDS)
                for window, script in zip(measured, scripts, strict=True):
                    window.quiet_seconds = script.run()[0]
    return figures(measured[1:])


def _both(loop: Loop, script: PlainScript, file: Path) -> Measured:
    handled = loop.handle(file)
    time.sleep(SETTLE_SECONDS)
    seconds, outcome = script.run()
    time.sleep(SETTLE_SECONDS)
    history = handled.history
    found = Outcome(history.drift_share, history.candidate_auc, history.production_auc, history.verdict == "promoted")
    if found != outcome:
        raise NotMeasured(f"{file.stem}: the loop found {found}, the plain script {outcome}")
    timeline = None
    if handled.answered is not None:
        timeline = read_timeline(
            loop.instance,
            file.stem,
            landed=handled.landed,
            released=(loop.settings.releases / POINTER).stat().st_mtime,
            answered=handled.answered,
        )
    return Measured(
        window=file.stem,
        verdict=history.verdict or history.decision or "",
        loop_seconds=(handled.answered or handled.handled) - handled.landed,
        plain_seconds=seconds,
        timeline=timeline,
    )


@contextmanager
def _own_settings(home: Path) -> Iterator[Settings]:
    """Settings of a loop of its own; by the environment, where the programs look for theirs too."""
    names = ("DAGSTER", "CODE", "SERVICE", "REPORTS", "MLFLOW")
    foreign = ("MLOPS_", "MLFLOW_", "SERVING_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(foreign)]:
        del os.environ[name]
    os.environ["MLOPS_HOME"] = str(home)
    # Where packages are installed without bytecode and none may be written, each start of the script would compile them
    # anew (5 s of 10), which the loop's warm workers do not: both sides get bytecode, compiled once.
    os.environ["PYTHONPYCACHEPREFIX"] = str(home.with_name("bytecode"))
    os.environ.update({f"MLOPS_{name}_PORT": str(port) for name, port in zip(names, _free_ports(5), strict=True)})
    try:
        yield Settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="The loop beside a plain script that does the same work.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--windows", type=int, default=5, choices=range(1, len(WINDOWS)), help="months after the first")
    parser.add_argument("--quiet", action="store_true", help="run the scripts again after the stack was stopped")
    arguments = parser.parse_args()
    console = Console()
    found = measure(WINDOWS[: arguments.windows + 1], console, quiet=arguments.quiet)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Starts and stops the loop's programs under a supervisor, and tells when they are ready.

What runs with which arguments belongs to `programs`.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
import psutil

from mlops_assets.cli import dagster_databases
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.programs import (
    STOP_SECONDS,
    Program,
    daemon_command,
    environment,
    programs,
    supervisor_config,
)
from mlops_assets.config import LOOPBACK, Settings

READY_SECONDS = 120
SERVICE_READY_SECONDS = 20
OUR_COMMANDS = (
    "supervisord",
    "mlops_assets.code_server",
    "mlops_assets.cli.when_open",
    "serving",
    "dagster-webserver",
    "dagster-daemon",
    "http.server",
    "mlflow",
    "forkserver",
)
"""What stands in the command line of every process of the loop."""


class LoopRuns(UserError):
    """Another loop runs on the state folder."""


@contextmanager
def only_stack(settings: Settings) -> Iterator[IO[str]]:
    """Holds the state folder's lock: two daemons on one folder would corrupt the story.

    Raises:
        LoopRuns: another stack runs on it.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pidfile = settings.state / "supervisord.pid"
            pid = pidfile.read_text().strip() if pidfile.exists() else "unknown"
            raise LoopRuns(
                f"the loop runs already on {settings.state} (supervisor: process {pid}); stop it with Ctrl-C where it "
                f"was started, or with `kill {pid}`, or set MLOPS_HOME to another folder"
            ) from error
        yield lock


class Stack:
    """The loop's programs, started together and stopped together."""

    def __init__(self, settings: Settings, lock: IO[str]) -> None:
        """Names the programs; nothing runs yet.

        Args:
            settings: Where state and ports are.
            lock: The state folder's lock; the supervisor inherits it, so it outlives this process if need be.
        """
        self.settings = settings
        self.programs = programs(settings)
        self._lock = lock
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts every program.

        Raises:
            UserError: a port is taken.
        """
        _demand_ports_apart(self.programs)
        for program in self.programs:
            _demand_free(program)
        state = self.settings.state
        for folder in (state / "dagster", state / "logs", self.settings.landing, self.settings.reports):
            folder.mkdir(parents=True, exist_ok=True)
        self.settings.releases.mkdir(parents=True, exist_ok=True)
        dagster_databases.make(self.settings)
        wanted = {program.name: program.command for program in self.programs} | {
            "daemon": daemon_command(self.settings)
        }
        config = state / "supervisord.conf"
        config.write_text(supervisor_config(self.settings, wanted))
        # A session of its own: Ctrl-C reaches this process alone, which then stops the programs in order.
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
            env=environment(self.settings),
            start_new_session=True,
            pass_fds=[self._lock.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def waiting_for(self) -> list[Program]:
        """The programs that are not ready yet.

        Raises:
            UserError: the supervisor has ended.
        """
        self.demand_running()
        return [program for program in self.programs if not _is_ready(program)]

    def demand_running(self) -> None:
        """Raises UserError where the supervisor has ended."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            raise UserError(f"the supervisor has ended; its log is {self.settings.state / 'logs' / 'supervisord.log'}")

    def stop(self) -> None:
        """Ends every program and waits until they are gone; also those of a supervisor that died without them."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        if supervisor.poll() is None:
            supervisor.send_signal(signal.SIGTERM)
            try:
                supervisor.wait(timeout=3 * STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(supervisor.pid, signal.SIGKILL)
                supervisor.wait()
        end_left_over(self.settings)


@contextmanager
def service_process(settings: Settings) -> Iterator[None]:
    """The prediction service alone, ready at the start and gone at the end.

    Raises:
        UserError: it does not start.
    """
    service = programs(settings)[0]
    settings.releases.mkdir(parents=True, exist_ok=True)
    settings.state.joinpath("logs").mkdir(exist_ok=True)
    with log_of(settings, service.name).open("wb") as log:
        process = subprocess.Popen(service.command, env=environment(settings), stdout=log, stderr=log)
        try:
            until = time.monotonic() + SERVICE_READY_SECONDS
            while not _is_ready(service):
                if process.poll() is not None or time.monotonic() > until:
                    raise UserError(f"the service does not start: {log_of(settings, service.name).read_text()}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def log_of(settings: Settings, program: str) -> Path:
    """Where a program's output goes."""
    return settings.state / "logs" / f"{program}.log"


def wait_until_ready(stack: Stack) -> Iterator[list[Program]]:
    """Yields what is still waited for, until it is nothing.

    Raises:
        UserError: a program is not ready after two minutes.
    """
    until = time.monotonic() + READY_SECONDS
    while waiting := stack.waiting_for():
        yield waiting
        if time.monotonic() > until:
            names = ", ".join(
                f"{program.name} on port {program.port} ({program.port_setting}; log: "
                f"{log_of(stack.settings, program.name)})"
                for program in waiting
            )
            raise UserError(f"not ready after {READY_SECONDS} s: {names}")
        time.sleep(0.2)


def end_left_over(settings: Settings) -> None:
    """Ends what runs of a stack that was killed together with its supervisor; only under the state folder's lock."""
    left = _left_over(settings)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(left, timeout=STOP_SECONDS)
    # Looked for anew: what was told to stop may have started another one before.
    left = _left_over(settings)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def _left_over(settings: Settings) -> list[psutil.Process]:
    """The loop's processes on this state folder, whoever their parent is by now."""
    # Users may set MLOPS_HOME for commands of their own; both together come from `environment`.
    ours = environment(settings)
    told = {name: ours[name] for name in ("MLOPS_HOME", "DAGSTER_HOME")}
    this = psutil.Process()
    spared = {this.pid, *(parent.pid for parent in this.parents())}
    found = []
    for process in psutil.process_iter():
        # Other users' processes, on macOS also some of our own, do not show their environment.
        with suppress(psutil.Error):
            if (
                process.pid not in spared
                and told.items() <= process.environ().items()
                and any(command in " ".join(process.cmdline()) for command in OUR_COMMANDS)
            ):
                found.append(process)
    return found


def _demand_ports_apart(wanted: list[Program]) -> None:
    taken: dict[int, Program] = {}
    for program in wanted:
        if (other := taken.setdefault(program.port, program)) is not program:
            raise UserError(
                f"{program.name} and {other.name} are both to listen on port {program.port}; set "
                f"{program.port_setting} or {other.port_setting} to another one"
            )


def _demand_free(program: Program) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, program.port))
        except OSError as error:
            raise UserError(
                f"port {program.port} for {program.name} is taken; set {program.port_setting} to a free one"
            ) from error


def _is_ready(program: Program) -> bool:
    if program.ready_path is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((LOOPBACK, program.port)) == 0
    try:
        return httpx.get(program.url + program.ready_path, timeout=2).is_success
    except httpx.TransportError:
        return False

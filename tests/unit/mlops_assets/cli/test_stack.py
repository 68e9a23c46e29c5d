import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_assets.cli import stack as stack_module
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.programs import Program, environment
from mlops_assets.cli.stack import Stack, free_port, only_stack, wait_until_ready
from mlops_assets.config import LOOPBACK, Settings

DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('http.server', flush=True); "
    "time.sleep(600)"
)
"""Looks like a program of the loop, and stops for SIGKILL only; in one line, as the supervisor wants its commands."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A state folder whose name the supervisor could misread."""
    return Settings(home=tmp_path / "100% state")


@pytest.fixture
def stack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack of two small programs, stopped at the end."""
    port = free_port()
    pages = Program("reports", (sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK), port, "PORT", "/")
    deaf = (sys.executable, "-c", DEAF)
    monkeypatch.setattr(stack_module, "programs", lambda _: [pages])
    monkeypatch.setattr(stack_module, "daemon_command", lambda _: deaf)
    monkeypatch.setattr(stack_module, "STOP_SECONDS", 0.5)
    with only_stack(settings) as lock:
        made = Stack(settings, lock)
        yield made
        made.stop()


def test_a_stack_starts_in_a_folder_of_any_name_and_stops(stack: Stack, settings: Settings) -> None:
    """Nothing is left of it."""
    start(stack)
    assert running_on(settings) != []
    stack.stop()
    assert running_on(settings) == []


def test_the_programs_of_a_supervisor_that_was_killed_are_ended(stack: Stack, settings: Settings) -> None:
    """Else their ports stay taken, and two daemons run on the folder after the next start."""
    start(stack)
    supervisor = int((settings.state / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            stack.demand_running()
        except UserError:
            break
        time.sleep(0.05)
    assert len(running_on(settings)) == 2
    stack.stop()
    assert running_on(settings) == []
    with socket.socket() as probe:
        assert probe.connect_ex((LOOPBACK, stack.programs[0].port)) != 0


def test_what_is_not_the_loops_runs_on(stack: Stack, settings: Settings, tmp_path: Path) -> None:
    """Another loop's programs, another command, and a service of the user's own on the same folder."""
    start(stack)
    pages = [sys.executable, "-m", "http.server", "0", "--bind", LOOPBACK]
    told = environment(settings)
    of_another = environment(Settings(home=tmp_path / "other"))
    users_own = {name: value for name, value in told.items() if name != "DAGSTER_HOME"}
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    others = [
        subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command, env in ((pages, of_another), (pages, users_own), (sleep, told))
    ]
    try:
        stack.stop()
        assert [other.poll() for other in others] == [None, None, None]
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_a_stack_that_never_started_stops_nothing(settings: Settings, stack: Stack) -> None:
    """A port that is taken ends the start; whoever has it stays."""
    command = [sys.executable, "-m", "http.server", "0", "--bind", LOOPBACK]
    process = subprocess.Popen(command, env=environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        stack.stop()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def start(stack: Stack) -> None:
    """Starts it and waits until both programs run."""
    stack.start()
    for _ in wait_until_ready(stack):
        pass
    log = stack.settings.state / "logs" / "daemon.log"
    until = time.monotonic() + 10
    while not (log.exists() and log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)


def running_on(settings: Settings) -> list[list[str]]:
    """The command lines of the processes that were started on the state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MLOPS_HOME") == str(settings.state):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def test_two_programs_on_one_port_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """Each would take the port from the other, and be started again, for ever."""
    port = free_port()
    settings = Settings(home=tmp_path, service_port=port, dagster_port=port)
    with only_stack(settings) as lock, pytest.raises(UserError, match="are both to listen on port"):
        Stack(settings, lock).start()

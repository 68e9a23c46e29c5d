"""The commands of the documents, run as a reader runs them: page by page, in one directory, with one loop.

A block in `sh` is run; a block in `text` after it is what it must have printed, where `...` stands for anything. A
reader looks again until the loop has got as far as the page says; so commands that only look are asked again. What runs
elsewhere is listed in `tests.documents_elsewhere`.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import pytest

from mlops_assets.cli.stack import free_port
from tests.documents import ROOT, Block, blocks, pages
from tests.documents_elsewhere import elsewhere
from tests.end_to_end.running import environment_of

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1200)]

LOOKS = ("mlops status", "mlops explain", "mlops ledger", "mlops quarantine list", "mlops quarantine show", "curl -s ")
"""Commands that change nothing, or nothing that a second one would change again."""
AGAIN = (*LOOKS, "mlops window from-log")
"""The last waits until the service has sealed what it wrote, and lands the same window once."""
SERVERS = {"mlops up": "Ctrl-C stops it.", "python -m serving": "serving version"}
"""Commands that run until Ctrl-C, and what they say when they are ready. One takes the place of the same before it."""
SECONDS = 240
"""A deadline for one command on a machine that is busy; on one that is not they take some seconds."""


@dataclass
class Reader:
    """Someone with a terminal, who follows the pages."""

    work: Path
    environment: dict[str, str]
    ports: dict[str, str]
    """Ports that the pages name, and those that are free here."""
    servers: dict[str, tuple[subprocess.Popen[str], Path]] = field(default_factory=dict)

    def follow(self, block: Block) -> None:
        """Runs a block's commands, and demands what the page shows of them."""
        commands = [command for command in block.commands if elsewhere(command) is None]
        if server := next((name for command in commands for name in SERVERS if is_called(command, name)), None):
            assert len(commands) == 1, f"{block}: a command that runs until Ctrl-C has a block of its own"
            self._serve(server, commands[0], block)
        elif commands:
            self._run(commands, block)

    def stop(self) -> None:
        """Ctrl-C in every terminal."""
        for process, _ in self.servers.values():
            process.send_signal(signal.SIGINT)
        for process, _ in self.servers.values():
            process.wait(timeout=60)

    def _run(self, commands: list[str], block: Block) -> None:
        """The commands that do something once, then those that look at it until they show what the page shows."""
        looks = list(takewhile(lambda command: command.startswith(AGAIN), reversed(commands)))[::-1]
        done = commands[: len(commands) - len(looks)]
        code, printed = self._shell("\n".join(done))
        assert code == 0, f"{block}: ended with {code} and printed\n{printed}"
        until = time.monotonic() + SECONDS
        while True:
            code, seen = self._shell("\n".join(looks))
            if code == 0 and (block.shown is None or is_shown(block.shown, printed + seen)):
                return
            is_over = not looks or time.monotonic() > until
            assert not is_over, f"{block}: ended with {code} and printed\n{printed}{seen}\nshown is\n{block.shown}"
            time.sleep(2)  # the loop is to have the machine meanwhile

    def _shell(self, script: str) -> tuple[int, str]:
        """Runs commands as one shell, whose directory and variables are those that the last one left."""
        left = self.work / ".left"
        whole = f"set -euo pipefail\n{self._as_here(script)}\n{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > {left}"
        before = left.read_text() if left.exists() else ""
        done = subprocess.run(
            ["/bin/bash", "-c", f"{before}\n{whole}"],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def _serve(self, name: str, command: str, block: Block) -> None:
        if name in self.servers:
            before, _ = self.servers.pop(name)
            before.send_signal(signal.SIGINT)
            before.wait(timeout=60)
        output = self.work / f".{name.replace(' ', '-')}.out"
        left = self.work / ".left"
        script = f"{left.read_text() if left.exists() else ''}\nexec env {self._as_here(command)}"
        with output.open("w") as file:
            process = subprocess.Popen(
                ["/bin/bash", "-c", script],
                cwd=self.work, env=self.environment, stdout=file, stderr=file, text=True, start_new_session=True,
            )  # fmt: skip
        self.servers[name] = (process, output)
        until = time.monotonic() + SECONDS
        while SERVERS[name] not in output.read_text():
            assert process.poll() is None, f"{block}: {command} ended\n{output.read_text()}"
            assert time.monotonic() < until, f"{block}: {command} is not ready\n{output.read_text()}"
            time.sleep(0.2)
        assert block.shown is None or is_shown(block.shown, output.read_text()), output.read_text()

    def _as_here(self, script: str) -> str:
        for named, free in self.ports.items():
            script = re.sub(rf"(localhost:|_PORT=){named}\b", rf"\g<1>{free}", script)
        return script


def is_called(command: str, name: str) -> bool:
    """Whether a command is that of this name, with settings before it and options behind it."""
    return re.match(rf"(\w+=\S+ )*{re.escape(name)}( |$)", command) is not None


def is_shown(shown: str, output: str) -> bool:
    """Whether lines stand in an output, one after the other; `...` is anything, and tables are as wide as they are."""
    parts = [re.escape(_narrow(part)) for part in shown.split("...")]
    return re.search(".*?".join(parts), _narrow(output), re.DOTALL) is not None


def _narrow(text: str) -> str:
    return re.sub("─+", "─", " ".join(text.split()))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader in a fresh checkout: what the project has, and no state."""
    work = tmp_path_factory.mktemp("reader")
    (work / ".venv").symlink_to(sys.prefix)
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (work / path.name).symlink_to(path)
    environment = environment_of(work)
    del environment["MLOPS_HOME"]
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
        "COLUMNS": "160",
        "SERVING_LOG_SEAL_SECONDS": "2",
    }
    reader = Reader(work, environment, {"8000": environment["MLOPS_SERVICE_PORT"], "8010": str(free_port())})
    try:
        yield reader
    finally:
        reader.stop()


@pytest.mark.parametrize("page", [page for page in pages() if any(block.commands for block in blocks(page))])
def test_a_page_does_what_it_says(reader: Reader, page: str) -> None:
    for block in blocks(page):
        if block.language == "sh":
            reader.follow(block)


def test_what_is_shown_must_have_been_printed(tmp_path: Path) -> None:
    """The guard of the tests above: with other words, or after a command that fails, a page does not hold."""
    reader = Reader(tmp_path, dict(os.environ), {"8000": "1"})
    reader.follow(Block("page", 1, "sh", "export A=b\nmkdir c && cd c", None))
    reader.follow(
        Block("page", 2, "sh", 'printf "%s  localhost:8000\\n──\\n" "$A"; basename "$PWD"', "b localhost:1\n─────\nc")
    )
    reader.follow(Block("page", 3, "sh", "echo 1 2 3", "1 ... 3"))
    with pytest.raises(AssertionError, match="page:4"):
        reader.follow(Block("page", 4, "sh", "echo 1 2 3", "1 3"))
    with pytest.raises(AssertionError, match="ended with 1"):
        reader.follow(Block("page", 5, "sh", "false | true", None))

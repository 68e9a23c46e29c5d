"""One row and many over HTTP: the service beside what else answers with such a model, each with a single worker.

The same fitted pipeline, rows, machine and client for all, in one run; the sides take turns, and medians are of the
rounds. Rivals run in environments of their own, which the first run installs. The service records every answer and
checks keys and limits, which none of the others do.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.serving_load import LoadFailed, ceiling, closed_loop, open_loop, request_of
from benchmarks.serving_report import OURS, Measured, figures, held_rate, print_figures
from benchmarks.serving_rivals.contender import AnswersDiffer, Contender
from benchmarks.serving_rivals.environments import NotInstalled
from benchmarks.serving_rivals.model import Served, make_model
from benchmarks.serving_rivals.running import NotStarted, Running
from benchmarks.serving_rivals.servers import SIDES

CONNECTIONS = 16
BATCHES = (1_000, 10_000)
WARM_SECONDS = 1.0
MOST_STARTS = 3
OPEN_ROUND = 2
"""At the fixed rate a round is so many times as long, for it has fewer requests."""


class Comparison:
    """The sides that run, and why others do not."""

    def __init__(self, served: Served, folder: Path, console: Console) -> None:
        self.missing: dict[str, str] = {}
        self._served = served
        self._folder = folder
        self._console = console
        self._running: dict[str, tuple[Contender, Running]] = {}

    @property
    def measured(self) -> list[Measured]:
        """What was measured of those that ran to the end."""
        return [contender.measured for contender, _ in self._running.values()]

    def enter(self, name: str, stack: ExitStack, *, starts: int, threads: int) -> None:
        """Installs and starts a side, which the stack ends, and looks whether its answers are right."""
        folder = self._folder / name
        folder.mkdir()
        self._console.print(f"  {name}: installs where it must, and starts {starts + 1} times")
        try:
            contender = Contender(name, SIDES[name](self._served, folder), self._served)
            server = stack.enter_context(contender.started(starts=starts, threads=threads, folder=folder))
            self._running[name] = contender, server
            contender.demand_right_answers()
            closed_loop(contender.side.port, contender.rows, connections=CONNECTIONS, seconds=WARM_SECONDS)
        except (NotInstalled, NotStarted, AnswersDiffer, LoadFailed, OSError) as error:
            self._leave(name, error)

    def turns(self, what: str, measure: Callable[[Contender, Running], None], *, rounds: int) -> None:
        """Measures something of each side in turn, so many times."""
        for at in range(rounds):
            self._console.print(f"  {what}, round {at + 1} of {rounds}")
            for name, (contender, server) in list(self._running.items()):
                try:
                    measure(contender, server)
                except (LoadFailed, OSError) as error:
                    self._leave(name, error)

    def weigh(self) -> None:
        """Looks at the memory that each holds now."""
        for contender, server in self._running.values():
            contender.measured.memory_mb.append(server.memory_mb())

    def _leave(self, name: str, error: Exception) -> None:
        self._running.pop(name, None)
        self.missing[name] = str(error)
        self._console.print(f"  {name} is not measured: {error}", markup=False)
        if name == OURS:
            raise error


def measure(names: Sequence[str], console: Console, *, rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """Runs the sides of these names and measures them.

    Args:
        names: Of `SIDES`.
        console: Where progress goes.
        rounds: How often each is measured, by turns.
        seconds: A round's length for one side.
        threads: What numerical libraries may use on all sides.
    """
    with TemporaryDirectory(prefix="mlops-bench-") as folder, ExitStack() as stack:
        console.print("  trains the model")
        served = make_model(Path(folder) / "model")
        plain = [request_of(0, "/predict", json.dumps(row).encode()) for row in served.rows]
        client = ceiling(plain, connections=CONNECTIONS, seconds=seconds)
        comparison = Comparison(served, Path(folder), console)
        for name in names:
            comparison.enter(name, stack, starts=min(rounds, MOST_STARTS), threads=threads)

        def single(contender: Contender, server: Running) -> None:
            cpu, began = server.cpu_seconds(), time.perf_counter()
            reached = closed_loop(contender.side.port, contender.rows, connections=CONNECTIONS, seconds=seconds)
            requests = reached * (time.perf_counter() - began)
            contender.measured.requests_per_second.append(reached)
            contender.measured.cpu_seconds.append((server.cpu_seconds() - cpu) / requests)

        comparison.turns(f"single rows over {CONNECTIONS} connections", single, rounds=rounds)
        rate = held_rate(comparison.measured)

        def timed(contender: Contender, _: Running) -> None:
            took = open_loop(contender.side.port, contender.rows, rate=rate, seconds=OPEN_ROUND * seconds)
            contender.measured.answer_seconds.extend(took)

        comparison.turns(f"single rows at {rate} a second", timed, rounds=rounds)
        comparison.weigh()

        def batches(contender: Contender, _: Running) -> None:
            for rows in BATCHES if contender.takes_batches else ():
                reached = closed_loop(contender.side.port, [contender.batch(rows)], connections=1, seconds=seconds)
                contender.measured.rows_per_second.setdefault(rows, []).append(rows * reached)

        comparison.turns(f"batches of {' and '.join(f'{rows:,}' for rows in BATCHES)} rows", batches, rounds=rounds)
        comparison.weigh()
        return figures(comparison.measured, comparison.missing, rate=rate, threads=threads, client=client)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    others = [name for name in SIDES if name != OURS]
    parser = argparse.ArgumentParser(description="The service beside what else answers with such a model.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--only", default=",".join(others), help="sides beside the service, with commas between them")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="a round's length for one side")
    parser.add_argument("--threads", type=int, default=1, help="of numerical libraries, on all sides")
    parser.add_argument("--quick", action="store_true", help="one round of a second: shows that it runs, no more")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.only.split(",") if name]
    if unknown := set(chosen) - set(others):
        parser.error(f"--only: there is no {min(unknown)}; there are {', '.join(others)}")
    rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the sides would outlive it
    console = Console()
    found = measure([OURS, *chosen], console, rounds=rounds, seconds=seconds, threads=arguments.threads)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

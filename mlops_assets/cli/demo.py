"""`mlops demo`: a year of real flights through the loop, one window after the other, in a live table."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServiceUnavailable, service_of
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import WindowHistory, dagster_instance, window_history
from mlops_assets.cli.stack import Stack, only_stack
from mlops_assets.cli.status import columns_table, promoted_versions, window_cells
from mlops_assets.cli.up import print_addresses, running_stack, wait_for_interrupt
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.datasets.flights import WINDOWS, write_windows

WINDOW_SECONDS = 300
"""A window that is not handled after so long ends the demo with an error."""


@dataclass
class Line:
    """A window's line in the table."""

    history: WindowHistory
    serves: int | None = None
    """The version that the service answers with after the window."""
    seconds: float | None = None
    """From landing to handled and served; None for a window of an earlier demo."""
    doing: str = ""


def demo(settings: Settings, console: Console, *, windows: int, leave: bool, fresh: bool) -> None:
    """Replays the flights.

    Args:
        settings: Where and on which ports.
        console: Where the table goes.
        windows: How many of the twelve months.
        leave: Whether to end by itself after the last one, not at Ctrl-C.
        fresh: Whether to forget the state first.

    Raises:
        UserError: a window was not handled, or the service does not answer with what was promoted.
    """
    # Whatever data the user's own loop runs on, the demo's are the flights.
    settings = settings.model_copy(update={"dataset": FLIGHTS, "source": None})
    if fresh:
        _forget(settings)
    months = WINDOWS[:windows]
    with running_stack(settings, console) as stack, dagster_instance(settings) as instance:
        replay = Replay(settings, stack, instance)
        lines = replay.earlier(months)
        if lines:
            console.print(f"{settings.state} holds {len(lines)} of the {len(months)} windows; going on from there.")
        _show(replay, lines, months, console)
        replay.demand_served()
        console.print(f"\nEvery window was handled. {'It was' if leave else 'The loop is'} running at:")
        print_addresses(settings, console)
        console.print(f"\n{_curl(settings)}\n", soft_wrap=True, highlight=False, markup=False)
        if not leave:
            console.print("Ctrl-C stops it.")
            wait_for_interrupt(stack)


class Replay:
    """Lands windows one after the other and follows each until it is handled and served."""

    def __init__(self, settings: Settings, stack: Stack, instance: dg.DagsterInstance) -> None:
        self._stack = stack
        self._instance = instance
        self._landing = FolderLanding(settings.landing, read_dataset(settings.dataset))
        self._requeue = Requeue(settings.requeued)
        self._ledger = Ledger(settings.ledger_url)
        self._service = service_of(settings)

    def earlier(self, months: tuple[str, ...]) -> list[Line]:
        """The lines of the months that were handled before."""
        histories = [self._history(month) for month in months]
        return [Line(history) for history in histories if history.handled]

    def follow(self, file: Path) -> Iterator[Line]:
        """Lands a window and yields its line until it is handled and the service answers with what is production.

        Raises:
            UserError: it took too long, or failed.
        """
        window = file.stem
        before = self._history(window)
        if not (self._landing.folder / file.name).exists():
            self._landing.add(file)
        elif before.verdict == "failed":
            self._requeue.ask(window)
        landed = time.monotonic()
        while True:
            self._stack.demand_running()
            history = self._history(window)
            served = self._served_version()
            production = self._ledger.production()
            expected = production.model_version if production else None
            line = Line(history, served, time.monotonic() - landed, _doing(history, served, expected))
            if history.handled and served == expected:
                yield Line(history, served, line.seconds)
                return
            yield line
            if history.verdict == "failed" and history.run_id != before.run_id:
                raise UserError(f"{window}: the run failed; Dagster's page of runs says why")
            if time.monotonic() - landed > WINDOW_SECONDS:
                raise UserError(f"{window} was not handled within {WINDOW_SECONDS} s; it is {line.doing}")
            time.sleep(0.25)

    def demand_served(self) -> None:
        """Raises UserError where the service does not answer with the version that was promoted last."""
        production = self._ledger.production()
        if production is None or self._served_version() != production.model_version:
            raise UserError("the service does not answer with the version that was promoted last")

    def _history(self, window: str) -> WindowHistory:
        return window_history(self._instance, window, promoted_versions(self._ledger))

    def _served_version(self) -> int | None:
        try:
            return self._service.served().model_version
        except ServiceUnavailable:
            return None


def _show(replay: Replay, lines: list[Line], months: tuple[str, ...], console: Console) -> None:
    earlier = {line.history.window for line in lines}
    said = ""
    to_come = tuple(month for month in months if month not in earlier)
    with TemporaryDirectory() as folder, Live(console=console, refresh_per_second=4) as live:
        live.update(_view(lines, f"Preparing {len(to_come)} windows of flights ..."))
        for number, file in enumerate(write_windows(Path(folder), to_come), start=1):
            for line in replay.follow(file):
                doing = f"window {number} of {len(to_come)}: {line.history.window} {line.doing}"
                live.update(_view([*lines, line], doing))
                if doing != said and not console.is_terminal:
                    console.print(doing)  # a file or a CI log shows no live table
                said = doing
            lines.append(line)
        live.update(_view(lines, None))


def _view(lines: list[Line], doing: str | None) -> RenderableType:
    table = columns_table("service answers", "landed to served")
    for line in lines:
        seconds = "earlier" if line.seconds is None else f"{line.seconds:.1f} s"
        serves = "-" if line.serves is None else f"v{line.serves}"
        table.add_row(*window_cells(line.history), serves, seconds)
    return Group(table, Spinner("dots", doing)) if doing else table


def _doing(history: WindowHistory, served: int | None, expected: int | None) -> str:
    if history.handled:
        return f"handled; the service is to answer with version {expected}, it answers with {served or 'none'}"
    if history.running:
        return {"window_job": "is validated and measured", "training_job": "trains a candidate"}.get(
            history.running, f"is in {history.running}"
        )
    return "waits for drift_sensor" if history.decision else "waits for window_sensor"


def _curl(settings: Settings) -> str:
    releases = ReleaseStore(settings.releases)
    pointer = releases.pointer()
    if pointer is None:
        raise UserError("nothing was promoted")
    row = msgspec.json.encode(releases.cases(pointer.model_version)[0].row).decode()
    return f"curl -s {settings.service_url}/predict -H 'content-type: application/json' -d '{row}'"


def _forget(settings: Settings) -> None:
    if not settings.state.exists():
        return
    with only_stack(settings):
        strangers = {path.name for path in settings.state.iterdir() if not _is_incidental(path)} - OWN
        strangers |= {path.name for path in settings.landing.glob("*") if path.stem not in WINDOWS}
        if strangers:
            raise UserError(
                f"{settings.state} holds what the demo did not make ({min(strangers)}); move it away, or set MLOPS_HOME"
            )
        shutil.rmtree(settings.state)


def _is_incidental(path: Path) -> bool:
    """What file managers and SQLite leave beside ours."""
    return path.name.startswith(".") or path.name.endswith(("-journal", "-wal", "-shm"))


OWN = {
    "dagster", "dataset", "landing", "ledger.db", "lock", "logs", "mlartifacts", "mlflow.db", "prediction_log",
    "releases", "reports", "requeued", "serving", "spool", "started-with.json", "supervisord.conf", "supervisord.pid",
    "windows",
}  # fmt: skip

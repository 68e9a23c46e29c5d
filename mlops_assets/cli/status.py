"""`mlops status`: what is in production, what the service answers with, and what became of each window."""

import time
from dataclasses import asdict, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import registry_of
from mlops_assets.adapters.service_client import ServiceUnavailable, service_of
from mlops_assets.adapters.window_records import LATEST
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import WindowHistory, dagster_instance, window_histories
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.approval import waiting

Status = dict[str, Any]
WINDOW_COLUMNS = ("window", "rows", "drift share", "decision", "candidate AUC", "production AUC", "verdict")


def read_status(settings: Settings) -> Status:
    """Everything that `mlops status --json` prints: windows, production, hold, approval, service, candidates.

    Raises:
        UserError: there is no loop in the state folder, or that of another dataset.
    """
    demand_state(settings)
    if not dagster_databases.are_made(settings):
        raise UserError(f"there is no loop in {settings.state}; `mlops up` or `mlops demo` starts one")
    ledger = Ledger(settings.ledger_url)
    with dagster_instance(settings) as instance:
        windows = [_as_in_use(window, settings) for window in window_histories(instance, promoted_versions(ledger))]
    production = ledger.production()
    registry = registry_of(settings)
    return {
        "windows": [asdict(window) for window in windows],
        **_landing(settings),
        "production": asdict(production) if production else None,
        "hold": str(hold) if (hold := ledger.hold()) else None,
        "approval": waiting(pending) if (pending := Approvals(settings.ledger_url).pending()) else None,
        "service": _service(settings),
        "candidates": [asdict(version) for version in registry.versions()],
    }


def _as_in_use(window: WindowHistory, settings: Settings) -> WindowHistory:
    """What happened to it, unless someone took it out of use since (`mlops window remove`)."""
    if window.running or window.rows is None or (settings.windows / window.window / LATEST).exists():
        return window
    return replace(window, verdict="removed", fault=None, waits_for=None)


def _landing(settings: Settings) -> dict[str, Any]:
    """What lies where windows land and is not taken up: `ignored` names, `waiting` windows, or the `source`'s fault."""
    try:
        landing = landing_of(settings)
        landed = landing.landed(now=time.time())
        waiting = {found.window: found.waits_for for found in landed if found.waits_for}
        gone = Requeue(settings.requeued).tokens().keys() - {found.window for found in landed}
        waiting |= dict.fromkeys(sorted(gone), "the window itself: it was requeued, and is not there")
        return {"ignored": landing.ignored(), "waiting": waiting, "source_fault": None}
    except SourceDown as error:
        return {"ignored": [], "waiting": {}, "source_fault": str(error)}


def promoted_versions(ledger: Ledger) -> set[int]:
    """Versions that were production once, or are."""
    return {promotion.model_version for promotion, outcome in ledger.history() if outcome == "done"}


def status_view(status: Status) -> RenderableType:
    """The status as tables."""
    windows = windows_table([WindowHistory(**window) for window in status["windows"]])
    faults = [f"{window['window']}: {window['fault']}" for window in status["windows"] if window["fault"]]
    faults += [f"{window['window']}: {window['waits_for']}" for window in status["windows"] if window["waits_for"]]
    faults += [
        f"{window['window']}: went silent: {', '.join(window['silent_features'])}"
        for window in status["windows"]
        if window["silent_features"]
    ]
    faults += [f"{window}: waits for {what}" for window, what in status["waiting"].items()]
    faults += [status["source_fault"]] if status["source_fault"] else []
    faults += [f"{name}: ignored, for no window is named like this" for name in status["ignored"]]
    # What the user's files and columns are called may hold brackets, which are not markup.
    return Group(windows, *map(Text, faults), _production_table(status), _candidates_table(status["candidates"]))


def windows_table(windows: list[WindowHistory]) -> Table:
    """A line for each window."""
    table = columns_table("realised AUC", title="windows")
    for window in windows:
        table.add_row(*window_cells(window), _decimal(window.realised_auc))
    return table


def columns_table(*more: str, title: str | None = None) -> Table:
    """An empty table of windows, narrow enough for a terminal of 80 columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for column in (*WINDOW_COLUMNS, *more):
        left = column in ("window", "decision", "verdict")
        table.add_column(column.replace(" ", "\n"), justify="left" if left else "right", no_wrap=True)
    return table


def window_cells(window: WindowHistory) -> list[str]:
    """The cells of a window's line."""
    return [
        window.window,
        "-" if window.rows is None else f"{window.rows:,}",
        _decimal(window.drift_share),
        window.decision or "-",
        _decimal(window.candidate_auc),
        _decimal(window.production_auc),
        window.verdict or ("..." if window.running else "-"),
    ]


def _production_table(status: Status) -> Table:
    table = Table(title="production", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    production = status["production"]
    if production:
        table.add_row("released", f"version {production['model_version']}, epoch {production['epoch']}")
        table.add_row("since", production["at"])
        table.add_row("why", Text(production["reason"]))
    else:
        table.add_row("released", "nothing yet")
    for held_back in ("hold", "approval"):
        if status[held_back]:
            table.add_row(held_back, Text(status[held_back]))
    service = status["service"]
    if service["error"]:
        table.add_row("service", Text(service["error"]))
    elif service["ready"]:
        table.add_row("service", f"answers with version {service['model_version']}, epoch {service['epoch']}")
    else:
        table.add_row("service", "is up, and waits for the first release")
    return table


def _candidates_table(candidates: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="model versions", title_justify="left")
    for column in ("version", "window", "status", "aliases"):
        table.add_column(column)
    for version in candidates:
        table.add_row(str(version["version"]), version["window"], version["status"], ", ".join(version["aliases"]))
    return table


def _service(settings: Settings) -> dict[str, Any]:
    try:
        served = service_of(settings, timeout_seconds=2).served()
        name = read_dataset(settings.dataset).name
        if served.model_name not in (None, name):
            raise ServiceUnavailable(
                f"{settings.service_url} serves {served.model_name}, another loop's model: set MLOPS_SERVICE_PORT to "
                f"the port of the service of {name}"
            )
    except ServiceUnavailable as error:
        return {"ready": False, "model_version": None, "epoch": None, "error": str(error)}
    return {"ready": served.ready, "model_version": served.model_version, "epoch": served.epoch, "error": None}


def _decimal(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"

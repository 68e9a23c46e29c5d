"""`mlops quarantine`: which rows and windows were set aside, why, and taking a window up again."""

import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.windows import window_name


def list_quarantine(settings: Settings, console: Console) -> None:
    """Prints the windows that are in quarantine, and those that have rows there."""
    windows = _windows(settings)
    table = Table("window", "in quarantine", "rows", "why", box=SIMPLE_HEAD)
    for window in windows.windows():
        intake = windows.latest(window)
        if intake is None:
            continue
        stored = windows.stored(window, intake.data_version) if intake.can_be_read else None
        rows = f"{stored.counts.quarantined:,} of {stored.counts.rows:,}" if stored else "-"
        if intake.fault:
            table.add_row(window, "the window", rows, intake.fault)
        elif stored and stored.counts.quarantined:
            why = ", ".join(f"{reason} ({count})" for reason, count in stored.counts.by_reason.items())
            table.add_row(window, "rows", rows, why)
    if table.row_count:
        console.print(table, markup=False)
        console.print("`mlops quarantine show WINDOW` shows the rows; `requeue WINDOW` takes a window up again.")
    else:
        console.print("nothing is in quarantine")


def show_quarantine(settings: Settings, console: Console, window: str, *, rows: int) -> None:
    """Prints why rows of a window were set aside, and the first of them.

    Raises:
        UserError: nothing is known of the window.
    """
    windows = _windows(settings)
    intake = windows.latest(window)
    if intake is None:
        known = ", ".join(windows.windows()) or "none"
        raise UserError(f"no window {window} was taken up; known are: {known}")
    console.print(f"{window}, data version {intake.data_version}", highlight=False)
    if intake.fault:
        console.print(f"the window is in quarantine: {intake.fault}", soft_wrap=True, markup=False, highlight=False)
    stored = windows.stored(window, intake.data_version) if intake.can_be_read else None
    if stored is None:
        return
    counts = stored.counts
    console.print(f"{counts.rows:,} rows in = {counts.clean:,} clean + {counts.quarantined:,} quarantined")
    reasons = Table("rule", "rows", box=SIMPLE_HEAD)
    for reason, count in counts.by_reason.items():
        reasons.add_row(reason, f"{count:,}")
    if not counts.by_reason:
        return
    console.print(reasons, markup=False)
    table = Table(windows.dataset.row_id, "rule", "value as it landed", box=SIMPLE_HEAD)
    for row in windows.quarantined(stored, rows=rows).to_dict("records"):
        for reason in row["_reasons"]:
            column = str(reason).split(": ")[0]
            value = f"line {row['_line_number']}: {row['_line']}" if column == "line" else row.get(column, "")
            table.add_row(str(row.get(windows.dataset.row_id, "-")), str(reason), repr(value))
    console.print(table, markup=False)
    if counts.quarantined > rows:
        console.print(f"the first {rows} of {counts.quarantined:,}; `--rows N` shows more")


def requeue(settings: Settings, console: Console, window: str) -> None:
    """Has a window taken up again as it lies where it landed, by the contract as it is now.

    Raises:
        UserError: it was never taken up, and has not landed.
        WindowNameInvalid: no window can have this name.
    """
    is_known = _windows(settings).latest(window_name(window)) is not None
    fault = None if is_known else _fault_of_looking_for(window, settings)
    Requeue(settings.requeued).ask(window)
    if fault:
        console.print(
            f"whether {window} has landed cannot be seen: {fault}", soft_wrap=True, markup=False, highlight=False
        )
    console.print(f"{window} is taken up again by window_sensor, as soon as the loop runs", highlight=False)


def _fault_of_looking_for(window: str, settings: Settings) -> str | None:
    """Why it cannot be seen whether a window has landed; None where it has."""
    landing = landing_of(settings)
    try:
        if any(found.window == window for found in landing.landed(now=time.time())):
            return None
    except SourceDown as error:
        return str(error)
    raise UserError(
        f"no window {window} was taken up, and none has landed in {settings.shown_location}; mend the name, or give "
        "the source that the loop runs on (--source, MLOPS_SOURCE)"
    )


def _windows(settings: Settings) -> WindowStore:
    demand_state(settings)
    return WindowStore(settings.windows, read_dataset(settings.dataset))

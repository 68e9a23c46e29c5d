"""`mlops check`: whether the contract and the windows that landed hold, without running or keeping anything."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.landed_window import Landing, SourceDown
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.windows import WindowUnfit, missing_labels


def check(settings: Settings, console: Console) -> bool:
    """Prints what would become of each window.

    Returns:
        Whether every window would be fit.

    Raises:
        DatasetInvalid: the contract is wrong.
        SourceDown: the place where windows land does not answer.
    """
    dataset = read_dataset(settings.dataset)
    console.print(
        f"{settings.dataset}: holds ({len(dataset.features)} features, target {dataset.target})",
        soft_wrap=True,
        markup=False,
    )
    fit, labels = True, 0
    table = Table("window", "rows", "clean", "quarantined", "labelled", "verdict", box=SIMPLE_HEAD)
    said: list[str] = []
    with TemporaryDirectory() as folder:
        landing = landing_at(settings.landing_location, dataset, Path(folder) / "spool")
        windows = WindowStore(Path(folder) / "windows", dataset)
        # `mlops up` makes the folder that it is to land in where the user names none.
        is_to_come = settings.source is None and not settings.landing.exists()
        landed = [] if is_to_come else sorted(landing.landed(now=time.time()), key=lambda found: found.window)
        for found in landed:
            if found.waits_for is not None:
                table.add_row(found.window, "-", "-", "-", "-", "waits")
                said.append(f"{found.window}: waits for {found.waits_for}")
                continue
            with console.status(f"{found.window} ..."):
                cells, words = _judge(landing, windows, found.window)
            labels += cells[3] not in ("-", "0")
            fit &= cells[-1] == "fit"
            table.add_row(found.window, *cells)
            said += [f"{found.window}: {word}" for word in words]
        if fit and landed and not labels:  # of a window that cannot be read nobody knows
            said.append(f"no window has a label yet: is {dataset.target!r} the column with the truth?")
        ignored = [] if is_to_come else landing.ignored()
        said += [f"{name}: ignored, for no window is named like this" for name in ignored]
    if landed:
        console.print(table, markup=False)
    else:
        console.print(f"no window has landed in {settings.shown_location}", soft_wrap=True, markup=False)
    for line in said:
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
    return fit


def _judge(landing: Landing, windows: WindowStore, window: str) -> tuple[list[str], list[str]]:
    """A window's cells, and what there is to say of it."""
    try:
        with landing.fetch(window) as fetched:
            intake, stored = windows.take(fetched)
    except WindowUnfit as error:
        intake, stored = windows.refuse(window, str(error)), None
    except SourceDown as error:
        return ["-", "-", "-", "-", "unread"], [str(error)]
    if stored is None:
        return ["-", "-", "-", "-", "quarantine"], [str(intake.fault)]
    counts = stored.counts
    words = [intake.fault] if intake.fault else [f"{why} ({rows} rows)" for why, rows in counts.by_reason.items()]
    if waits := missing_labels(windows.dataset, counts):
        words.append(waits)
    words += [f"{table}: {rows} rows of the window have no row there" for table, rows in stored.absent.items()]
    words += [f"{table}: {rows} rows belong to no row of the window" for table, rows in stored.unmatched.items()]
    if stored.ignored_columns:
        words.append(f"columns that the contract does not name: {', '.join(stored.ignored_columns)}")
    numbers = (counts.rows, counts.clean, counts.quarantined, counts.labelled)
    return [*(f"{number:,}" for number in numbers), "quarantine" if intake.fault else "fit"], words

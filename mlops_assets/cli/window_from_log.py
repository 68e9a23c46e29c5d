"""`mlops window from-log`: a period of answered traffic, landed as a window."""

from datetime import UTC, datetime

from rich.console import Console

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.prediction_log import BROKEN, GatheredLog
from mlops_assets.adapters.prediction_window import LoggedWindow, land_period
from mlops_assets.config import Settings
from mlops_assets.domain.log_period import asked_period


def window_from_log(
    settings: Settings,
    console: Console,
    landing: FolderLanding,
    *,
    since: str | None,
    until: str | None,
    name: str | None,
    replace: bool,
) -> None:
    """Gathers the log, lands the period's window, and prints what became of the rows.

    Raises:
        PeriodInvalid: what was asked for is no period that is over.
        LogUnreadable: segments of the log cannot be read.
        LogUnfit: no window can be made of the period.
        WindowNameInvalid: the name cannot name a window.
        WindowUnfit: another window has landed under that name.
        SourceDown: the landing folder is not there.
    """
    now = datetime.now(UTC)
    period = asked_period(since, until, length=settings.log_period, now=now)
    log = GatheredLog(settings.prediction_log, settings.gathered_log, keep_days=settings.log_keep_days)
    gathered = log.gather(now=now)
    if gathered.segments:
        console.print(
            f"gathered {len(gathered.segments)} segments: {gathered.predictions:,} answered rows, "
            f"{gathered.labels:,} labels",
            highlight=False,
        )
    if broken := log.broken():
        lines = [f"{len(broken)} broken segments lie in {log.log / BROKEN}, and no row of them is counted:"]
        for line in [*lines, *(f"  {reason}" for reason in broken.values())]:
            console.print(line, soft_wrap=True, highlight=False)
    made = land_period(log, landing, period, window=name, replace=replace)
    _show(made, console)


def _show(made: LoggedWindow, console: Console) -> None:
    left_out = sum(made.left_out.values())
    lines = [f"{made.rows:,} answered rows in = {made.written:,} written + {left_out:,} left out"]
    lines += [f"  {reason} ({rows:,})" for reason, rows in made.left_out.items()]
    lines.append(f"{made.labelled:,} of {made.written:,} rows have a label ({made.labelled / made.written:.1%})")
    if made.open_segments:
        lines.append(
            f"{made.open_segments} segments of the time before the period's end are still written to: their rows are "
            "not in it yet; with `--replace` it can be made anew"
        )
    if made.later:
        lines.append(
            f"windows sort by name: {made.window} is taken for a period before that of {made.later[-1]}; if it is not, "
            "take it away there and give it another `--name`"
        )
    lines.append(f"landed {made.window}" if made.is_new else f"{made.window} has landed already, the very same")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)

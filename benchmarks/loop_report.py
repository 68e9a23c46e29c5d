"""The figures of `benchmarks.loop`: what is computed of the measurements, and the tables that show it."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timeline import STAGES, Timeline
from benchmarks.work import machine

AIM = 2.0


@dataclass
class Measured:
    """One window, both sides."""

    window: str
    verdict: str
    loop_seconds: float
    """From landing to the first answer with the new version; to the end of the last run where there is none."""
    plain_seconds: float
    timeline: Timeline | None
    """None where the window ended without a new version, which does not count."""
    quiet_seconds: float | None = None
    """The script without the stack beside it."""

    def sentence(self) -> str:
        """The window in a line, for the progress."""
        return (
            f"  {self.window} {self.verdict}: loop {self.loop_seconds:.2f} s, plain script {self.plain_seconds:.2f} s"
        )


def figures(measured: list[Measured]) -> dict[str, Any]:
    """All figures, as `--json` writes them. Medians are of the windows that ended with a new version."""
    counted = [window for window in measured if window.timeline]
    loop = _median([window.loop_seconds for window in counted])
    plain = _median([window.plain_seconds for window in counted])
    quiet = _median([window.quiet_seconds for window in counted if window.quiet_seconds is not None])
    ratio = _ratio(loop, plain)
    timelines = [window.timeline.stages() for window in counted if window.timeline]
    return {
        "windows": [_window(window) for window in measured],
        "loop_seconds": loop,
        "plain_seconds": plain,
        "ratio": ratio,
        "plain_seconds_without_stack": quiet,
        "ratio_without_stack": _ratio(loop, quiet),
        "stages": {name: _median([stages[name] for stages in timelines]) for name in STAGES},
        "machine": machine(),
        "aims": [
            {
                "name": "loop_over_plain_script",
                "aim": AIM,
                "measured": ratio,
                "met": ratio is not None and ratio <= AIM,
            }
        ],
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as tables."""
    console.print(_windows_table(found))
    skipped = ", ".join(window["window"] for window in found["windows"] if not window["counts"])
    if skipped:
        console.print(
            f"Not counted, for they ended without a new version (their loop s: to the last run's end): {skipped}"
        )
    if found["ratio_without_stack"] is not None:
        console.print(f"Ratio to the script without the stack beside it: {found['ratio_without_stack']:.2f}")
    console.print(_stages_table(found))
    machine = found["machine"]
    console.print(f"{machine['cores']} cores, load average at the end {machine['load_average']}")
    for aim in found["aims"]:
        verdict = "met" if aim["met"] else "missed"
        console.print(f"aim {aim['name']} <= {aim['aim']}: {_decimal(aim['measured'])}, {verdict}")


def _window(window: Measured) -> dict[str, Any]:
    return {
        "window": window.window,
        "verdict": window.verdict,
        "counts": window.timeline is not None,
        "loop_seconds": window.loop_seconds,
        "plain_seconds": window.plain_seconds,
        "ratio": window.loop_seconds / window.plain_seconds,
        "plain_seconds_without_stack": window.quiet_seconds,
        "stages": window.timeline.stages() if window.timeline else None,
    }


def _windows_table(found: dict[str, Any]) -> Table:
    table = Table(title="From a landed file to the new version over HTTP", title_justify="left")
    for column in ("window", "verdict", "loop s", "plain s", "ratio", "plain s without the stack"):
        table.add_column(column, justify="left" if column in ("window", "verdict") else "right")
    for window in found["windows"]:
        table.add_row(
            window["window"],
            window["verdict"],
            _decimal(window["loop_seconds"]),
            _decimal(window["plain_seconds"]),
            _decimal(window["ratio"]) if window["counts"] else "-",
            _decimal(window["plain_seconds_without_stack"]),
        )
    table.add_section()
    table.add_row(
        "median",
        f"{sum(window['counts'] for window in found['windows'])} counted",
        _decimal(found["loop_seconds"]),
        _decimal(found["plain_seconds"]),
        _decimal(found["ratio"]),
        _decimal(found["plain_seconds_without_stack"]),
    )
    return table


def _stages_table(found: dict[str, Any]) -> Table:
    table = Table(title="Where the loop's time goes", title_justify="left")
    table.add_column("stage (each begins where the one before ends)")
    table.add_column("median s", justify="right")
    for name, seconds in found["stages"].items():
        table.add_row(name, _decimal(seconds))
    return table


def _median(seconds: list[float]) -> float | None:
    return median(seconds) if seconds else None


def _ratio(loop: float | None, plain: float | None) -> float | None:
    return None if loop is None or plain is None else loop / plain


def _decimal(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"

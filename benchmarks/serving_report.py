"""The figures of `benchmarks.serving`: what is computed of the measurements, and the tables that show it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.work import machine

OURS, NOOP = "service", "noop"
AIMS = {
    "requests_over_typed_noop": 1.2,
    "requests_over_best_rival": 100.0,
    "batches_of_1000_over_best_rival": 2.0,
    "batches_of_10000_over_best_rival": 1.5,
    "startup_seconds": 1.5,
    "memory_mb": 130.0,
}
AT_MOST = ("startup_seconds", "memory_mb")
"""Aims that are met below the figure, the others from it on."""


@dataclass
class Measured:
    """What was measured of one side, a figure a round."""

    name: str
    title: str
    startup_seconds: list[float] = field(default_factory=list)
    requests_per_second: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """Processor time of one of these requests, which says more than they do where others use the machine too."""
    answer_seconds: list[float] = field(default_factory=list)
    """Of single requests at the fixed rate, from when each was due."""
    rows_per_second: dict[int, list[float]] = field(default_factory=dict)
    """By rows in a batch; empty where a side answers no batches."""
    memory_mb: list[float] = field(default_factory=list)
    """Of all its processes: after the single rows, and after the batches."""


def held_rate(measured: list[Measured]) -> int:
    """Half of what the slowest side answered in a second."""
    return max(1, int(min(median(one.requests_per_second) for one in measured) / 2))


def figures(
    measured: list[Measured], missing: dict[str, str], *, rate: int, threads: int, client: float
) -> dict[str, Any]:
    """All figures, as `--json` writes them.

    Args:
        measured: The sides that ran, the service among them.
        missing: Why others did not, by name.
        rate: The fixed rate, requests a second.
        threads: Of numerical libraries, on all sides.
        client: Requests a second that the client reaches where answering costs next to nothing.
    """
    sides = {one.name: _figures(one) for one in measured}
    ours, rivals = sides[OURS], [side for name, side in sides.items() if name not in (OURS, NOOP)]
    found = {
        "requests_over_typed_noop": _ratio(ours, [sides[NOOP]] if NOOP in sides else [], _requests),
        "requests_over_best_rival": _ratio(ours, rivals, _requests),
        "batches_of_1000_over_best_rival": _ratio(ours, rivals, lambda side: side["rows_per_second"]["1000"]),
        "batches_of_10000_over_best_rival": _ratio(ours, rivals, lambda side: side["rows_per_second"]["10000"]),
        "startup_seconds": ours["startup_seconds"],
        "memory_mb": ours["memory_mb"],
    }
    return {
        "sides": sides,
        "not_measured": missing,
        "fixed_rate": rate,
        "threads": threads,
        "client_requests_per_second": client,
        "machine": machine(),
        "aims": [
            {"name": name, "aim": aim, "measured": found[name], "met": _is_met(name, aim, found[name])}
            for name, aim in AIMS.items()
        ],
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as tables, why sides are missing, and the aims."""
    console.print(_single_rows(found))
    console.print(_batches_and_weight(found))
    for name, why in found["not_measured"].items():
        console.print(f"{name}: not measured: {why}", markup=False)
    console.print(
        f"Numerical libraries on {found['threads']} thread(s) on all sides; the client alone reaches "
        f"{found['client_requests_per_second']:,.0f} requests/s"
    )
    machine = found["machine"]
    console.print(f"{machine['cores']} cores, load average at the end {machine['load_average']}")
    for aim in found["aims"]:
        bound = "<" if aim["name"] in AT_MOST else ">="
        value = "not measured" if aim["measured"] is None else f"{aim['measured']:,.2f}"
        verdict = "" if aim["measured"] is None else ", met" if aim["met"] else ", missed"
        console.print(f"aim {aim['name']} {bound} {aim['aim']}: {value}{verdict}")


def _single_rows(found: dict[str, Any]) -> Table:
    rate = found["fixed_rate"]
    table = _table("One row a request", "requests/s", "ours is", "CPU each", f"p50 at {rate}/s", "p99")
    ours = _requests(found["sides"][OURS])
    for side in found["sides"].values():
        table.add_row(
            side["title"],
            f"{_requests(side):,.0f}",
            f"{ours / _requests(side):,.2f} x",
            f"{side['cpu_ms']:,.2f} ms",
            f"{side['p50_ms']:,.2f} ms",
            f"{side['p99_ms']:,.2f} ms",
        )
    return table


def _batches_and_weight(found: dict[str, Any]) -> Table:
    table = _table("Batches, start and memory", "1,000 rows/s", "10,000 rows/s", "start s", "MB", "MB then")
    for side in found["sides"].values():
        table.add_row(
            side["title"],
            *([f"{reached:,.0f}" for reached in side["rows_per_second"].values()] or ["-", "-"]),
            f"{side['startup_seconds']:.2f}",
            f"{side['memory_mb']:,.0f}",
            f"{side['memory_mb_after_batches']:,.0f}",
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("side", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _figures(one: Measured) -> dict[str, Any]:
    percentiles = quantiles(one.answer_seconds, n=100, method="inclusive")
    after_rows, after_batches = one.memory_mb
    return {
        "title": one.title,
        "requests_per_second": median(one.requests_per_second),
        "requests_per_second_by_round": one.requests_per_second,
        "cpu_ms": 1000 * median(one.cpu_seconds),
        "p50_ms": 1000 * percentiles[49],
        "p99_ms": 1000 * percentiles[98],
        "answers_timed": len(one.answer_seconds),
        "startup_seconds": median(one.startup_seconds),
        "startup_seconds_by_start": one.startup_seconds,
        "memory_mb": after_rows,
        "memory_mb_after_batches": after_batches,
        "rows_per_second": {str(rows): median(reached) for rows, reached in one.rows_per_second.items()},
        "rows_per_second_by_round": {str(rows): reached for rows, reached in one.rows_per_second.items()},
    }


def _requests(side: dict[str, Any]) -> float:
    reached: float = side["requests_per_second"]
    return reached


def _ratio(ours: dict[str, Any], others: list[dict[str, Any]], of: Callable[[dict[str, Any]], float]) -> float | None:
    """How many times the best of the others; None where there are none."""
    return of(ours) / max(map(of, others)) if others else None


def _is_met(name: str, aim: float, value: float | None) -> bool:
    return value is not None and (value < aim if name in AT_MOST else value >= aim)

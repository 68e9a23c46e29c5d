"""How a benchmark says which aims it met. What the aims are stands in each benchmark."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

Aim = tuple[str, float, float | None, bool]
"""Its name, what is aimed at, what was measured (None where nothing was), and whether that meets it."""


def as_figures(aims: Iterable[Aim]) -> list[dict[str, Any]]:
    """Aims as a benchmark writes them."""
    return [{"name": name, "aim": aim, "measured": value, "met": met} for name, aim, value, met in aims]


def print_aims(found: dict[str, Any], console: Console) -> None:
    """A line for each of `aims`."""
    for aim in found["aims"]:
        value = "not measured" if aim["measured"] is None else f"{aim['measured']:,.2f}"
        verdict = "" if aim["measured"] is None else ", met" if aim["met"] else ", missed"
        console.print(f"aim {aim['name']} {aim['aim']:,}: {value}{verdict}")

"""How a benchmark says which aims it met. What the aims are stands in each benchmark."""

from typing import Any

from rich.console import Console


def print_aims(found: dict[str, Any], console: Console) -> None:
    """A line for each of `aims`."""
    for aim in found["aims"]:
        value = "not measured" if aim["measured"] is None else f"{aim['measured']:,.2f}"
        verdict = "" if aim["measured"] is None else ", met" if aim["met"] else ", missed"
        console.print(f"aim {aim['name']} {aim['aim']:,}: {value}{verdict}")

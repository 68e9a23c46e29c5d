"""DuckDB and Spark at the same work on one machine: time and peak memory of each step, by size.

The steps are those of which there is one definition for both: a landed window's validation and split with both files
written (20 features, 1.1 % broken rows), its sample, and scoring a file with a released model (17 features). Both
engines must find the same, else the aim is missed. They run in turns, each in a process of its own; Spark has this
machine's cores (`local[*]`) and its own defaults, and its start is told apart, for a session serves all of a process.
"""

import argparse
import json
import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import as_figures, print_aims
from benchmarks.work import demand_room, machine, run_piece
from mlops_assets.adapters.row_engines import Engines

SIZES = (1_000_000, 10_000_000)
SHORT_REPEATS, LONG_REPEATS = 3, 1
"""Runs of each engine up to a million rows, and above."""
BYTES_A_ROW = 600
"""On the disk, at the most: the landed file (100 bytes a row), a copy of it, what is stored, what is spilled."""
ENGINES = ("duckdb", "spark")
STEPS = ("start", "validation, split, write", "sample", "scoring")
Pieces = list[dict[str, Any]]


def measure(rows: int, folder: Path, *, repeats: int) -> list[dict[str, Any]]:
    """Figures of each step and engine: the median of its times, the most of its memory.

    Raises:
        NotMeasured: an engine failed.
    """
    landing, file, out = folder / "landing-window", folder / "rows.parquet", folder / "work"
    landing.mkdir()
    window = landing / "window.parquet"
    run_piece("engines_work", "window", str(rows), str(window))
    run_piece("engines_work", "rows", str(rows), str(folder), str(file))
    pieces: dict[str, Pieces] = {name: [] for name in ENGINES}
    for _ in range(repeats):
        for name in ENGINES:
            taken = run_piece("engines_work", "take", name, str(window), str(out))
            shutil.rmtree(out)
            scored = run_piece("engines_work", "score", name, str(file), str(folder), str(out))
            shutil.rmtree(out)
            pieces[name].append(
                {"steps": taken["steps"] | {"scoring": scored["steps"]["scoring"]},
                 "found": [taken["found"], scored["found"]]}
            )  # fmt: skip
    shutil.rmtree(landing)
    file.unlink()
    return [_step(rows, step, name, pieces[name]) for step in STEPS for name in ENGINES]


def _step(rows: int, step: str, name: str, pieces: Pieces) -> dict[str, Any]:
    of_step = [piece["steps"][step] for piece in pieces]
    return {
        "rows": rows,
        "step": step,
        "engine": name,
        "repeats": len(pieces),
        "found": [piece["found"] for piece in pieces],
        "seconds": median(one["seconds"] for one in of_step),
        "cpu_seconds": median(one["cpu_seconds"] for one in of_step),
        "peak_mb": max(one["peak_mb"] for one in of_step),
    }


def summarize(steps: list[dict[str, Any]], ran_on: dict[str, Any]) -> dict[str, Any]:
    """All figures, and the aim: at both sizes both engines find the same."""
    found = {rows: [one for step in steps if step["rows"] == rows for one in step["found"]] for rows in SIZES}
    same = sum(all(one == of_size[0] for one in of_size) for of_size in found.values()) if all(found.values()) else None
    aim = ("sizes_at_which_both_find_the_same", len(SIZES), same, same == len(SIZES))
    return {"steps": steps, "machine": ran_on, "aims": as_figures([aim])}


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as a table, and the aim."""
    table = Table(title="One definition, two engines, one machine", title_justify="left")
    for column in ("rows", "step", "engine", "seconds", "of processors", "peak MB"):
        table.add_column(column, justify="left" if column in ("step", "engine") else "right")
    for one in found["steps"]:
        table.add_row(
            f"{one['rows']:,}",
            one["step"],
            one["engine"],
            f"{one['seconds']:.2f}",
            f"{one['cpu_seconds']:.1f}",
            f"{one['peak_mb']:,.0f}",
        )
    console.print(table)
    machine = found["machine"]
    console.print(
        f"{machine['cores']} cores, load average at the start {machine['load_at_start']}, at the end "
        f"{machine['load_average']}"
    )
    print_aims(found, console)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="DuckDB and Spark at validation, split, sample and scoring.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="other sizes")
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's temporary folder otherwise")
    arguments = parser.parse_args()
    console, steps, at_start = Console(), [], machine()
    Engines("spark").demand()
    with TemporaryDirectory(prefix="mlops-bench-", dir=arguments.folder) as name:
        folder, needed = Path(name), max(arguments.rows) * BYTES_A_ROW
        demand_room(folder, needed)
        (folder / "out").mkdir()
        run_piece("engines_work", "train", str(folder))
        for rows in arguments.rows:
            steps += measure(rows, folder, repeats=SHORT_REPEATS if rows <= SIZES[0] else LONG_REPEATS)
            console.print(f"  {rows:,} rows are measured")
    found = summarize(steps, {**machine(), "load_at_start": at_start["load_average"]})
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

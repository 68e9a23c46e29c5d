"""Scoring a file beside onnxruntime alone: rows a second, and memory by size.

Ours is all that `mlops score` does from the release bundle on: the bundle verified, each row read from Parquet, judged
by its 17 features' rules, encoded, scored and written. Beside it onnxruntime has a float32 matrix ready in memory and
keeps its answers there, in the fastest of the ways that were tried just before; and, for a million rows, what a user
would write: pandas frames through the fitted scikit-learn pipeline, nothing judged. Rows are flights of 2013, drawn
again with ids of their own, one in a thousand broken; the model is trained on three months by the project's own code.
The sides run in turns, each in a process of its own; ratios are of neighbours in time.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import print_aims
from benchmarks.work import NotMeasured, demand_room, machine, run_piece

SIZES = (1_000_000, 10_000_000)
QUICK_SIZES = (100_000, 300_000)
PANDAS_MOST_ROWS = 1_000_000
SHORT_REPEATS, LONG_REPEATS = 5, 3
"""Pairs of runs up to a million rows, and above."""
BYTES_A_ROW = 40
"""On the disk, at the most: the file (19 bytes a row) and what is written (10)."""
FREE_BYTES = 200_000_000
"""For the flights, the stored windows and the model."""
RATIO_AIM, GROWTH_AIM = 0.8, 1.1


@dataclass(frozen=True)
class Measured:
    """One size. Seconds and ratios are medians, memory is the most of all runs."""

    rows: int
    repeats: int
    alone_seconds: float
    ours_seconds: float
    ratio: float
    """Our rows a second over onnxruntime's: the median of the pairs."""
    ratios: list[float]
    cpu_ratio: float
    """The same of processor seconds, which other programs on the machine change less."""
    ours_peak_mb: float
    refused: int
    pandas_seconds: float | None
    pandas_peak_mb: float | None


def measure(rows: int, setting: str, folder: Path, *, repeats: int) -> Measured:
    """Makes a file of so many rows, scores it in all the ways, by turns, and removes it.

    Raises:
        NotMeasured: a side failed, or scored other rows than it was given.
    """
    file = folder / "rows.parquet"
    made = run_piece("batch_scoring_work", "make", str(rows), str(folder), str(file))
    pairs = []
    for _ in range(repeats):
        alone = run_piece("batch_scoring_work", "alone", str(file), str(folder), setting)
        ours = run_piece("batch_scoring_work", "ours", str(file), str(folder))
        if (alone["rows"], ours["rows"], ours["refused"]) != (rows, rows, made["broken"]):
            raise NotMeasured(f"of {rows} rows with {made['broken']} broken ones came {alone} and {ours}")
        pairs.append((alone, ours))
    pandas = run_piece("batch_scoring_work", "pandas", str(file), str(folder)) if rows <= PANDAS_MOST_ROWS else None
    file.unlink()
    ratios = [alone["seconds"] / ours["seconds"] for alone, ours in pairs]
    return Measured(
        rows=rows,
        repeats=repeats,
        alone_seconds=median(alone["seconds"] for alone, _ in pairs),
        ours_seconds=median(ours["seconds"] for _, ours in pairs),
        ratio=median(ratios),
        ratios=ratios,
        cpu_ratio=median(alone["cpu_seconds"] / ours["cpu_seconds"] for alone, ours in pairs),
        ours_peak_mb=max(ours["peak_mb"] for _, ours in pairs),
        refused=made["broken"],
        pandas_seconds=pandas["seconds"] if pandas else None,
        pandas_peak_mb=pandas["peak_mb"] if pandas else None,
    )


def figures(measured: list[Measured], setting: str, trees: int) -> dict[str, Any]:
    """All figures, as `--json` writes them."""
    by_rows = {one.rows: one for one in measured}
    million, largest = by_rows.get(1_000_000), by_rows.get(10_000_000)
    growth = largest.ours_peak_mb / million.ours_peak_mb if million and largest else None
    ratio = largest.ratio if largest else None
    return {
        "sizes": [asdict(one) for one in measured],
        "onnxruntime_alone": dict(zip(("runs", "threads", "batch_rows"), map(int, setting.split(":")), strict=True)),
        "trees": trees,
        "machine": machine(),
        "aims": [
            {
                "name": "speed_over_onnxruntime_alone_at_10m_rows",
                "aim": RATIO_AIM,
                "measured": ratio,
                "met": ratio is not None and ratio >= RATIO_AIM,
            },
            {
                "name": "peak_at_10m_over_1m_rows",
                "aim": GROWTH_AIM,
                "measured": growth,
                "met": growth is not None and growth <= GROWTH_AIM,
            },
        ],
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as a table, and the aims."""
    table = Table(title="Scoring a Parquet file beside onnxruntime alone, rows a second", title_justify="left")
    names = ("rows", "alone/s", "ours/s", "ratio", "from", "to", "of CPU", "peak MB")
    for name in names:
        table.add_column(name, justify="right")
    for one in found["sizes"]:
        table.add_row(
            f"{one['rows']:,}",
            f"{one['rows'] / one['alone_seconds']:,.0f}",
            f"{one['rows'] / one['ours_seconds']:,.0f}",
            f"{one['ratio']:.2f}",
            f"{min(one['ratios']):.2f}",
            f"{max(one['ratios']):.2f}",
            f"{one['cpu_ratio']:.2f}",
            f"{one['ours_peak_mb']:,.0f}",
        )
    console.print(table)
    for one in found["sizes"]:
        if one["pandas_seconds"]:
            pace, peak = one["rows"] / one["pandas_seconds"], one["pandas_peak_mb"]
            console.print(f"pandas and scikit-learn, {one['rows']:,} rows: {pace:,.0f} rows/s, {peak:,.0f} MB")
    machine, alone = found["machine"], found["onnxruntime_alone"]
    console.print(
        f"a model of {found['trees']} trees; onnxruntime alone: {alone['runs']} runs at a time, {alone['threads']} "
        f"threads in each, batches of {alone['batch_rows']:,} rows"
    )
    console.print(f"{machine['cores']} cores, load average at the end {machine['load_average']}")
    print_aims(found, console)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Scoring a file beside onnxruntime alone on a prepared matrix.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="small files, two pairs each: says nothing of the aims")
    parser.add_argument("--rows", type=int, nargs="+", help="other sizes")
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's temporary folder otherwise")
    arguments = parser.parse_args()
    console = Console()
    sizes = arguments.rows or (QUICK_SIZES if arguments.quick else SIZES)
    measured = []
    with TemporaryDirectory(prefix="mlops-bench-", dir=arguments.folder) as name:
        folder, needed = Path(name), max(sizes) * BYTES_A_ROW + FREE_BYTES
        demand_room(folder, needed)
        (folder / "out").mkdir()
        trained = run_piece("batch_scoring_work", "train", str(folder))
        tuned_on = folder / "tuned.parquet"
        run_piece("batch_scoring_work", "make", str(min(sizes)), str(folder), str(tuned_on))
        setting = run_piece("batch_scoring_work", "tune", str(tuned_on), str(folder))["best"]
        tuned_on.unlink()
        for rows in sizes:
            repeats = 2 if arguments.quick else SHORT_REPEATS if rows <= PANDAS_MOST_ROWS else LONG_REPEATS
            measured.append(measure(rows, setting, folder, repeats=repeats))
            one = measured[-1]
            console.print(f"  {rows:,}: onnxruntime alone {one.alone_seconds:.2f} s, ours {one.ours_seconds:.2f} s")
    found = figures(measured, setting, trained["trees"])
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

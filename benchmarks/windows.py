"""Taking a landed window in beside a bare DuckDB `COPY` of the same file: time and peak memory, by size.

Ours is a landing's fetch with its sha256, and all of the window store's work: reading, 60 rules for each row, duplicate
ids, the split, both files written. Windows have 20 features (15 numbers, 5 categories), an id, a split key, a target,
and 1.1 % broken rows. The two sides run in turns, each in a process of its own; ratios are of neighbours in time.
"""

import argparse
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import print_aims
from benchmarks.work import demand_room, machine, run_piece

SIZES = (100_000, 1_000_000, 10_000_000)
CSV_ROWS = 1_000_000
SHORT_REPEATS, LONG_REPEATS = 5, 3
"""Pairs of runs up to a million rows, and above: ten million take 10 s to 30 s a pair."""
BYTES_A_ROW = 400
"""On the disk, at the most: the landed file (100 bytes a row), a copy of it, the spilled ids."""
TIME_AIM, MEMORY_AIM_MB, GROWTH_AIM = 4.0, 2000.0, 1.5


@dataclass(frozen=True)
class Measured:
    """One file, both sides. Times and the ratio are medians, memory is the most of all runs."""

    rows: int
    format: str
    file_mb: float
    repeats: int
    bare_seconds: float
    ours_seconds: float
    ratio: float
    """The median of the pairs' ratios."""
    ratios: list[float]
    bare_peak_mb: float
    ours_peak_mb: float
    clean: int
    quarantined: int


def measure(rows: int, suffix: str, folder: Path) -> Measured:
    """Makes a file of so many rows, takes it in and copies it, by turns, and removes it.

    Raises:
        NotMeasured: a side failed.
    """
    landing, out = folder / "landing", folder / "out"
    landing.mkdir()
    file = landing / f"window{suffix}"
    run_piece("windows_work", "make", str(rows), str(file))
    repeats = SHORT_REPEATS if rows <= CSV_ROWS else LONG_REPEATS
    pairs = []
    for _ in range(repeats):
        pair = []
        for piece in ("bare", "ours"):
            pair.append(run_piece("windows_work", piece, str(file), str(out)))
            shutil.rmtree(out)
        pairs.append(pair)
    ratios = [ours["seconds"] / bare["seconds"] for bare, ours in pairs]
    measured = Measured(
        rows=rows,
        format=suffix[1:],
        file_mb=file.stat().st_size / 1e6,
        repeats=repeats,
        bare_seconds=median(bare["seconds"] for bare, _ in pairs),
        ours_seconds=median(ours["seconds"] for _, ours in pairs),
        ratio=median(ratios),
        ratios=ratios,
        bare_peak_mb=max(bare["peak_mb"] for bare, _ in pairs),
        ours_peak_mb=max(ours["peak_mb"] for _, ours in pairs),
        clean=pairs[0][1]["clean"],
        quarantined=pairs[0][1]["quarantined"],
    )
    shutil.rmtree(landing)
    return measured


def figures(measured: list[Measured]) -> dict[str, Any]:
    """All figures, as `--json` writes them. Aims are of Parquet files, the time's of the size that is worst."""
    parquet = {one.rows: one for one in measured if one.format == "parquet"}
    largest, million = parquet.get(10_000_000), parquet.get(1_000_000)
    growth = largest.ours_peak_mb / million.ours_peak_mb if largest and million else None
    aims = (
        ("time_over_bare_copy", TIME_AIM, max((one.ratio for one in parquet.values()), default=None)),
        ("peak_mb_at_10m_rows", MEMORY_AIM_MB, largest.ours_peak_mb if largest else None),
        ("peak_at_10m_over_1m_rows", GROWTH_AIM, growth),
    )
    return {
        "files": [asdict(one) for one in measured],
        "machine": machine(),
        "aims": [
            {"name": name, "aim": aim, "measured": value, "met": value is not None and _holds(name, value, aim)}
            for name, aim, value in aims
        ],
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as a table, and the aims."""
    table = Table(title="Ingest, validation, split and write beside a bare COPY", title_justify="left")
    for column in ("rows", "file MB", "bare s", "ours s", "ratio", "lowest to highest", "bare peak MB", "ours peak MB"):
        table.add_column(column, justify="right")
    for one in found["files"]:
        table.add_row(
            f"{one['rows']:,} {one['format']}",
            f"{one['file_mb']:,.0f}",
            f"{one['bare_seconds']:.2f}",
            f"{one['ours_seconds']:.2f}",
            f"{one['ratio']:.2f}",
            f"{min(one['ratios']):.2f} to {max(one['ratios']):.2f}",
            f"{one['bare_peak_mb']:,.0f}",
            f"{one['ours_peak_mb']:,.0f}",
        )
    console.print(table)
    machine = found["machine"]
    console.print(f"{machine['cores']} cores, load average at the end {machine['load_average']}")
    print_aims(found, console)


def _holds(name: str, value: float, aim: float) -> bool:
    return value <= aim if name.startswith("time") else value < aim  # "at most" of the time, "under" of the memory


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Taking a landed window in beside a bare DuckDB COPY of its file.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of Parquet files; no CSV file then")
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's temporary folder otherwise")
    arguments = parser.parse_args()
    console = Console()
    files = [(rows, ".parquet") for rows in arguments.rows]
    if arguments.rows is SIZES:
        files.append((CSV_ROWS, ".csv"))
    measured = []
    with TemporaryDirectory(prefix="mlops-bench-", dir=arguments.folder) as folder:
        demand_room(Path(folder), max(arguments.rows) * BYTES_A_ROW)
        for rows, suffix in files:
            measured.append(measure(rows, suffix, Path(folder)))
            one = measured[-1]
            console.print(f"  {rows:,} {suffix[1:]}: bare {one.bare_seconds:.2f} s, ours {one.ours_seconds:.2f} s")
    found = figures(measured)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

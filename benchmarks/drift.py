"""Our drift report beside Evidently's preset on the full frames: time, peak memory and the columns that drifted.

Ours reads the stored samples, calibrates, measures, and makes page and picture; the preset reads the landed Parquet
files whole, measures, and makes its page. Windows have 20 features (15 normal numbers, 5 categories of 8 levels);
columns of the current window are shifted by 0, 0.05, 0.15 and 0.3 standard deviations in turn. At 10 M rows the preset
is left out: it would take 12 minutes and 16 GB.

The sets of 20 seeded pairs are compared with what the preset decides by on the full frames, Evidently's own statistics
and thresholds, without its pages, for those take a minute a pair; on the timed pairs the preset's own set is shown to
be that one.
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

from benchmarks.aims import as_figures, print_aims
from benchmarks.work import NotMeasured, machine, run_piece

SIZES = (100_000, 1_000_000, 10_000_000)
MOST_FOR_THE_PRESET = 1_000_000
PAIRS, PAIR_ROWS = 20, 1_000_000
REPEATS = 3
NEAR = 0.05
"""A set may differ in columns whose full statistic lies within this share of its threshold."""
SPEED_AIM, GROWTH_AIM = 20.0, 1.3


@dataclass(frozen=True)
class Measured:
    """One size, both sides; times are medians, memory is the most of all runs."""

    rows: int
    first_seconds: float
    """Ours, with the calibration made."""
    seconds: float
    """Ours, with the calibration that an earlier report of the same release has left."""
    peak_mb: float
    preset_seconds: float | None
    preset_peak_mb: float | None
    drifted: list[str]
    preset_drifted: list[str] | None


@dataclass(frozen=True)
class Pair:
    """The sets of one seeded pair."""

    seed: int
    ours: list[str]
    full: list[str]
    """By the preset's statistics on the full frames."""
    differ: list[str]
    """Columns in one of them alone, but for those near the threshold."""
    near: list[str]
    """Columns in one of them alone whose full statistic lies near the threshold."""


def measure(rows: int, folder: Path) -> Measured:
    """Both sides on the pair of seed 0; at the preset's last size its set must be that of its statistics."""
    landing, store = _made(rows, 0, folder)
    first, again = [], []
    for _ in range(REPEATS):
        shutil.rmtree(store / "calibrations", ignore_errors=True)
        first.append(run_piece("drift_work", "ours", str(store), str(folder / "ours.html")))
        again.append(run_piece("drift_work", "ours", str(store), str(folder / "ours.html")))
    preset = None
    if rows <= MOST_FOR_THE_PRESET:
        preset = run_piece("drift_work", "preset", str(landing), str(folder / "preset.html"))
        if preset["drifted"] != (by_statistics := run_piece("drift_work", "statistics", str(landing))["drifted"]):
            raise NotMeasured(f"the preset found {preset['drifted']}, its statistics {by_statistics}")
    _removed(folder)
    return Measured(
        rows=rows,
        first_seconds=median(run["seconds"] for run in first),
        seconds=median(run["seconds"] for run in again),
        peak_mb=max(run["peak_mb"] for run in (*first, *again)),
        preset_seconds=preset["seconds"] if preset else None,
        preset_peak_mb=preset["peak_mb"] if preset else None,
        drifted=first[0]["drifted"],
        preset_drifted=preset["drifted"] if preset else None,
    )


def compare_sets(seed: int, rows: int, folder: Path) -> Pair:
    """The drifted columns of one seeded pair, by our report and on the full frames."""
    landing, store = _made(rows, seed, folder)
    ours = run_piece("drift_work", "ours", str(store), str(folder / "ours.html"))["drifted"]
    full = run_piece("drift_work", "statistics", str(landing))
    _removed(folder)
    apart = sorted(set(ours) ^ set(full["drifted"]))
    near = [name for name in apart if abs(full["times_threshold"][name] - 1) <= NEAR]
    return Pair(seed, ours, full["drifted"], [name for name in apart if name not in near], near)


def figures(measured: list[Measured], pairs: list[Pair]) -> dict[str, Any]:
    """All figures, and the aims."""
    by_rows = {one.rows: one for one in measured}
    million, least, most = (by_rows.get(rows) for rows in (1_000_000, 100_000, 10_000_000))
    faster = million.preset_seconds / million.first_seconds if million and million.preset_seconds else None
    growth = most.first_seconds / least.first_seconds if most and least else None
    same = sum(not pair.differ for pair in pairs) if pairs else None
    aims = [
        ("times_faster_at_1m_rows", SPEED_AIM, faster, faster is not None and faster >= SPEED_AIM),
        ("same_set_in_pairs", PAIRS, same, same is not None and same == len(pairs) == PAIRS),
        ("time_at_10m_over_100k_rows", GROWTH_AIM, growth, growth is not None and growth <= GROWTH_AIM),
    ]
    return {
        "sizes": [asdict(one) for one in measured],
        "pairs": [asdict(pair) for pair in pairs],
        "machine": machine(),
        "aims": as_figures(aims),
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as tables, and the aims."""
    table = Table(title="A drift report beside Evidently's preset on the full frames", title_justify="left")
    for column in ("rows", "ours s", "calibrated before s", "ours MB", "preset s", "preset MB", "drifted"):
        table.add_column(column, justify="right")
    for one in found["sizes"]:
        preset = one["preset_drifted"]
        sets = f"{len(one['drifted'])} of 20"
        if preset is not None:
            sets += ", the same" if preset == one["drifted"] else f", preset {len(preset)}"
        table.add_row(
            f"{one['rows']:,}",
            f"{one['first_seconds']:.2f}",
            f"{one['seconds']:.2f}",
            f"{one['peak_mb']:,.0f}",
            f"{one['preset_seconds']:.1f}" if one["preset_seconds"] else "left out",
            f"{one['preset_peak_mb']:,.0f}" if one["preset_peak_mb"] else "left out",
            sets,
        )
    console.print(table)
    if found["pairs"]:
        apart = [pair for pair in found["pairs"] if pair["differ"] or pair["near"]]
        console.print(
            f"{len(found['pairs'])} seeded pairs, of which {len(apart)} have a column in one set alone; the aim counts "
            f"columns whose full statistic is not within {NEAR:.0%} of the threshold"
        )
        for pair in apart:
            console.print(f"  seed {pair['seed']}: {pair['differ']}, within {NEAR:.0%} {pair['near']}")
    machine = found["machine"]
    console.print(f"{machine['cores']} cores, load average at the end {machine['load_average']}")
    print_aims(found, console)


def _made(rows: int, seed: int, folder: Path) -> tuple[Path, Path]:
    """A landed and stored pair."""
    landing, store = folder / "landing", folder / "store"
    run_piece("drift_work", "make", str(rows), str(seed), str(landing))
    run_piece("drift_work", "take", str(landing), str(store))
    return landing, store


def _removed(folder: Path) -> None:
    for name in ("landing", "store"):
        shutil.rmtree(folder / name)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Our drift report beside Evidently's preset on the full frames.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES, help="sizes")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="seeded pairs whose sets are compared")
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's temporary folder otherwise")
    arguments = parser.parse_args()
    console = Console()
    measured, pairs = [], []
    with TemporaryDirectory(prefix="mlops-bench-", dir=arguments.folder) as folder:
        for rows in arguments.rows:
            measured.append(measure(rows, Path(folder)))
            console.print(f"  {rows:,} rows: ours {measured[-1].first_seconds:.2f} s")
        for seed in range(1, arguments.pairs + 1):
            pairs.append(compare_sets(seed, PAIR_ROWS, Path(folder)))
            console.print(f"  pair {seed}: {len(pairs[-1].ours)} of 20 drifted, differ {pairs[-1].differ}")
    found = figures(measured, pairs)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How often a report starts a training for nothing, and how often it finds what there is: 500 simulated pairs a line.

Two windows of 10 columns (8 normal numbers, 2 categories of 8 levels) are drawn from one distribution, or the second
with 3 columns shifted by 0.3 standard deviations. Beside the lines that the aims are for, there are such with numbers
of heavy tails, and with rows that share a split key, and with it part of their values.

Beside ours stands the raw preset: Evidently's own methods and thresholds, with the same threshold of the drift share.
Both are asked with a share that one column exceeds and one that takes three. The statistics are Evidently's in both;
the thresholds of ours are the loop's own.
"""

import argparse
import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.aims import as_figures
from benchmarks.drift_data import LEVELS, levels_of
from benchmarks.evidently_statistics import verdict
from mlops_assets.domain.drift_calibration import CalibratedColumn, Sizes, calibrate

PAIRS = 500
SHIFTED_COLUMNS = 3
NUMBERS, CATEGORIES = 8, 2
ONE_COLUMN, THREE_COLUMNS = 0.02, 0.2
"""Shares that one drifted column of ten exceeds, and that takes three."""
FALSE_ALARM_RATE = 0.01
ROWS_A_KEY, SHARED = 50, 0.3
"""Of the keyed lines: rows that share a key, and the share of a number's variance that is the key's."""
Kind = Literal["normal", "skewed", "keyed"]
LINES: tuple[tuple[Kind, int, float], ...] = (
    ("normal", 100, 0),
    ("normal", 500, 0),
    ("normal", 2_000, 0),
    ("normal", 20_000, 0),
    ("normal", 2_000, 0.3),
    ("skewed", 500, 0),
    ("skewed", 2_000, 0),
    ("keyed", 2_000, 0),
)
"""Numbers, rows, and the shift of the three columns in standard deviations."""
FALSE_AIM, FOUND_AIM = 0.02, 0.95


@dataclass(frozen=True)
class Line:
    """Pairs of one kind; shares of them that started a training, by the threshold of the drift share."""

    kind: Kind
    rows: int
    shift: float
    pairs: int
    ours: dict[str, float]
    raw: dict[str, float]


def columns() -> list[CalibratedColumn]:
    """The contract's default methods and thresholds."""
    numbers = [CalibratedColumn(f"number_{at}", "wasserstein", 0.1, is_category=False) for at in range(NUMBERS)]
    return numbers + [
        CalibratedColumn(f"group_{at}", "jensenshannon", 0.1, is_category=True) for at in range(CATEGORIES)
    ]


def window(kind: Kind, rows: int, chance: np.random.Generator, *, shift: float) -> pd.DataFrame:
    """Rows, of which the first numbers are shifted, with their split keys as `key`."""
    normal = chance.normal(size=(rows, NUMBERS + CATEGORIES))
    keys = np.arange(rows) // (ROWS_A_KEY if kind == "keyed" else 1)
    if kind == "keyed":
        shared = chance.normal(size=(keys.max() + 1, NUMBERS + CATEGORIES))[keys]
        normal = np.sqrt(1 - SHARED) * normal + np.sqrt(SHARED) * shared
    normal[:, :SHIFTED_COLUMNS] += shift
    numbers = np.exp(normal[:, :NUMBERS]) if kind == "skewed" else normal[:, :NUMBERS]
    frame = pd.DataFrame(numbers, columns=[f"number_{at}" for at in range(NUMBERS)]).assign(key=keys)
    for at in range(CATEGORIES):
        frame[f"group_{at}"] = np.array(LEVELS)[levels_of(normal[:, NUMBERS + at])]
    return frame


def judge(seed: int, kind: Kind, rows: int, shift: float) -> dict[str, dict[str, bool]]:
    """Whether one pair starts a training: by ours and by the raw preset, for both shares."""
    chance = np.random.default_rng([seed, rows, round(100 * shift)])
    reference, current = window(kind, rows, chance, shift=0), window(kind, rows, chance, shift=shift)
    raw, fixed = (
        {
            column.name: verdict(
                reference[column.name],
                current[column.name],
                is_category=column.is_category,
                method=column.method if is_fixed else None,
            )
            for column in columns()
        }
        for is_fixed in (False, True)
    )
    found: dict[str, dict[str, bool]] = {"ours": {}, "raw": {}}
    for share in (ONE_COLUMN, THREE_COLUMNS):
        calibration = calibrate(
            reference,
            reference["key"],
            columns(),
            current=Sizes(rows=rows, keys=current["key"].nunique()),
            drift_share_threshold=share,
            false_alarm_rate=FALSE_ALARM_RATE,
        )
        ours = [fixed[column.name].statistic >= calibration.threshold(column, values=rows) for column in columns()]
        found["ours"][str(share)] = float(np.mean(ours)) > share
        found["raw"][str(share)] = float(np.mean([raw[column.name].drifted for column in columns()])) > share
    return found


def line(pool: ProcessPoolExecutor, kind: Kind, rows: int, shift: float, pairs: int) -> Line:
    """Judges so many pairs."""
    found = list(pool.map(partial(judge, kind=kind, rows=rows, shift=shift), range(pairs), chunksize=5))

    def shares(side: str) -> dict[str, float]:
        return {
            share: sum(pair[side][share] for pair in found) / pairs for share in (str(ONE_COLUMN), str(THREE_COLUMNS))
        }

    return Line(kind, rows, shift, pairs, shares("ours"), shares("raw"))


def figures(lines: Iterable[Line]) -> dict[str, Any]:
    """All figures, and the aims; of the two shares the worse counts."""
    lines = list(lines)
    normal = [one for one in lines if one.kind == "normal"]
    false = {f"false_at_{one.rows}_rows": max(one.ours.values()) for one in normal if one.shift == 0}
    found = {f"found_at_{one.rows}_rows": min(one.ours.values()) for one in normal if one.shift > 0}
    aims = [(name, FALSE_AIM, value, value <= FALSE_AIM) for name, value in false.items()]
    aims += [(name, FOUND_AIM, value, value >= FOUND_AIM) for name, value in found.items()]
    return {
        "lines": [asdict(one) for one in lines],
        "aims": as_figures(aims),
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as a table, and the aims."""
    table = Table(
        title=f"Share of the pairs that start a training, of {found['lines'][0]['pairs']}", title_justify="left"
    )
    for column in (
        "numbers",
        "rows",
        "shifted",
        "ours, 1 column",
        "ours, 3 columns",
        "raw, 1 column",
        "raw, 3 columns",
    ):
        table.add_column(column, justify="right")
    for one in found["lines"]:
        shares = [one[side][str(share)] for side in ("ours", "raw") for share in (ONE_COLUMN, THREE_COLUMNS)]
        shifted = f"{SHIFTED_COLUMNS} of 10 by {one['shift']} sd" if one["shift"] else "none"
        table.add_row(one["kind"], f"{one['rows']:,}", shifted, *(f"{share:.1%}" for share in shares))
    console.print(table)
    for aim in found["aims"]:
        console.print(f"aim {aim['name']} {aim['aim']}: {aim['measured']:.3f}, {'met' if aim['met'] else 'missed'}")


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="False trainings and found drift, beside Evidently's raw preset.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs a line")
    arguments = parser.parse_args()
    console = Console()
    lines = []
    # Processes of their own: one that forks after Evidently's imports would copy the threads' locks.
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for kind, rows, shift in LINES:
            lines.append(line(pool, kind, rows, shift, arguments.pairs))
            console.print(f"  {kind}, {rows:,} rows, shift {shift}: ours {lines[-1].ours}, raw {lines[-1].raw}")
    found = figures(lines)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

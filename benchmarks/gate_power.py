"""How often the gate promotes a model that is no better, and finds one that is: 1,000 simulated pairs a line.

Two models score the same rows, a fifth of them true. Their scores share nine tenths of what is not the truth, as two
models of one kind on one data set do; each has AUC 0.75, or the candidate 0.77. In groups of 50 rows the rows share an
effect that both models have and one that each has for itself, as the flights of a day do.

Beside ours stands the plain rule, a gain above 0.002 whatever chance makes of it. Ours asks for the same gain, and for
an interval above zero at the contract's default confidence.
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
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from benchmarks.aims import as_figures
from mlops_assets.domain.auc_difference import auc_difference
from mlops_assets.domain.dataset_tables import Gate
from mlops_assets.domain.evaluation import Keys, Scores, Truth

PAIRS = 1_000
TRUE_SHARE, AUC, GAIN = 0.2, 0.75, 0.02
ALIKE = 0.9
"""Share of the variance that both models' scores have together, where no group has any."""
OF_GROUP = 0.1
"""Variance that the rows of a group share, of both models and of each for itself; 1 is that of a row."""
MIN_GAIN = 0.002
SIZES = (1_000, 5_000)
GROUPS = (1, 50)
PROMOTED_AIM, FOUND_AIM = 0.05, 0.8


@dataclass(frozen=True)
class Line:
    """Pairs of one kind, and the shares of them that were promoted."""

    rows: int
    group: int
    """Rows of a group."""
    gain: float
    pairs: int
    ours: float
    plain: float


def pair(rows: int, group: int, gain: float, chance: np.random.Generator) -> tuple[Truth, Scores, Scores, Keys]:
    """The truth, the candidate's and production's scores, and the rows' groups."""
    keys = np.arange(rows) // group
    variance = OF_GROUP if group > 1 else 0.0

    def of_group() -> Scores:
        effects: Scores = chance.normal(0, np.sqrt(variance), keys[-1] + 1)
        return effects[keys]

    truth = chance.random(rows) < TRUE_SHARE
    together = chance.normal(0, np.sqrt(ALIKE), rows) + of_group()
    spread = np.sqrt(2 * (1 + 2 * variance))
    candidate, production = (
        truth * norm.ppf(auc) * spread + together + chance.normal(0, np.sqrt(1 - ALIKE), rows) + of_group()
        for auc in (AUC + gain, AUC)
    )
    return truth, candidate, production, keys


def judge(seed: int, rows: int, group: int, gain: float) -> tuple[bool, bool]:
    """Whether one pair is promoted, by ours and by the plain rule."""
    chance = np.random.default_rng([seed, rows, group, round(1_000 * gain)])
    found = auc_difference(*pair(rows, group, gain, chance), level=Gate().confidence)
    plain = found.gain > MIN_GAIN
    return plain and found.low > 0, plain


def line(pool: ProcessPoolExecutor, rows: int, group: int, gain: float, pairs: int) -> Line:
    """Judges so many pairs."""
    found = list(pool.map(partial(judge, rows=rows, group=group, gain=gain), range(pairs), chunksize=10))
    ours, plain = (sum(which) / pairs for which in zip(*found, strict=True))
    return Line(rows, group, gain, pairs, ours, plain)


def figures(lines: Iterable[Line]) -> dict[str, Any]:
    """All figures, and the aims."""
    lines = list(lines)
    aims = []
    for one in lines:
        where = f"at_{one.rows}_rows_in_groups_of_{one.group}"
        if one.gain == 0:
            aims.append((f"equal_promoted_{where}", PROMOTED_AIM, one.ours, one.ours <= PROMOTED_AIM))
        elif one.rows == max(SIZES):
            aims.append((f"gain_found_{where}", FOUND_AIM, one.ours, one.ours >= FOUND_AIM))
    return {
        "lines": [asdict(one) for one in lines],
        "aims": as_figures(aims),
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as a table, and the aims."""
    table = Table(title=f"Share of the pairs that are promoted, of {found['lines'][0]['pairs']}", title_justify="left")
    for column in ("rows", "in groups of", "true gain", "ours", "plain rule"):
        table.add_column(column, justify="right")
    for one in found["lines"]:
        group = "-" if one["group"] == 1 else str(one["group"])
        table.add_row(f"{one['rows']:,}", group, f"{one['gain']:.2f}", f"{one['ours']:.1%}", f"{one['plain']:.1%}")
    console.print(table)
    for aim in found["aims"]:
        console.print(f"aim {aim['name']} {aim['aim']}: {aim['measured']:.3f}, {'met' if aim['met'] else 'missed'}")


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Promotions by chance and found gains, beside the plain rule.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs a line")
    arguments = parser.parse_args()
    console = Console()
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        lines = [
            line(pool, rows, group, gain, arguments.pairs) for group in GROUPS for rows in SIZES for gain in (0.0, GAIN)
        ]
    found = figures(lines)
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

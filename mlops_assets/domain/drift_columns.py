"""What a drift report says of each column, and what the columns add up to.

Here belong the verdict on a column and when none can be had. How far chance alone moves a column belongs to
`drift_calibration`, what the report leads to belongs to `drift`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd
from scipy.stats import binom

MIN_VALUES = 30
"""Fewer values than this in a column's sample say nothing about its distribution."""

Column: TypeAlias = "pd.Series[Any]"
Verdict = Literal["drifted", "stable", "unusable"]


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column moved from the reference."""

    column: str
    verdict: Verdict
    method: str
    score: float | None = None
    """The measured distance; None where the column is unusable."""
    threshold: float | None = None
    """From which score on it has drifted, at the window's size."""
    times_limit: float | None = None
    """The score over the contract's own threshold: what sizes of different methods are compared by."""
    counts_as_drifted: bool | None = None
    """What it adds to the drift share; None where it is left out."""
    reason: str = ""
    """Why it is unusable."""
    importance: float | None = None
    """What the production model loses in AUC without it; None where that is not known."""

    @property
    def impact(self) -> float:
        """How much its drift matters: size times importance; what cannot be judged any more comes first."""
        if self.counts_as_drifted and self.verdict == "unusable":
            return math.inf
        size = self.times_limit or 0.0
        return size if self.importance is None else size * max(self.importance, 0.0)


@dataclass(frozen=True)
class Unusable:
    """Why a column cannot be judged."""

    reason: str
    changed: bool
    """Whether the window differs in this from the reference by more than chance; else it never could be judged."""


def why_unusable(
    reference: "Column | None", current: "Column | None", *, is_category: bool, chance: float
) -> Unusable | None:
    """Why a column cannot be judged, or None where it can.

    Args:
        reference: Its values in the reference's sample; None where the column is missing there.
        current: The same of the window.
        is_category: Whether the contract says that it is no number.
        chance: How seldom chance alone may be taken for a change.
    """
    samples = {"reference": _sample(reference, is_category), "current window": _sample(current, is_category)}
    faults = [f"{fault} in the {role}" for role, sample in samples.items() if (fault := sample.fault)]
    before, now = samples.values()
    if faults:
        few, many = sorted(samples.values(), key=lambda sample: sample.share)
        # As many values as the other sample makes one expect, or fewer by more than chance; a column goes by no chance.
        gone = (reference is None) != (current is None)
        unlikely = gone or bool(binom.cdf(len(few.values), few.rows, many.share) < chance)
        changed = few.share < many.share and unlikely
        return Unusable("; ".join(faults), changed)
    constant = before.values.iloc[0]
    if bool((before.values != constant).any()):
        return None
    others = int((now.values != constant).sum())
    if not others:
        return Unusable(f"constant: {constant} throughout", changed=False)
    # Where nothing changed, each of the other values might as well have been drawn for the reference.
    odds = len(now.values) / (len(before.values) + len(now.values))
    reason = f"constant in the reference: {constant}; {others} of {len(now.values)} values differ in the current window"
    return Unusable(reason, changed=odds**others < chance)


def is_value(column: Column) -> "pd.Series[bool]":
    """Which of a column's values are there, and finite."""
    return column.notna() & ~column.isin([math.inf, -math.inf])


def drift_share(columns: Sequence[ColumnDrift]) -> float:
    """Share of the columns that drifted, of those that are not left out.

    Raises:
        ValueError: there are none, so nothing was measured.
    """
    counted = [column.counts_as_drifted for column in columns if column.counts_as_drifted is not None]
    if not counted:
        raise ValueError("no column can be judged, so there is no drift share")
    return sum(counted) / len(counted)


def ranked(columns: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    """The columns by how much their drift matters to the production model: drifted ones first."""
    return sorted(columns, key=lambda column: (not column.counts_as_drifted, -column.impact, column.column))


@dataclass(frozen=True)
class _Sample:
    values: Column
    """Those that are there and finite."""
    rows: int
    fault: str | None

    @property
    def share(self) -> float:
        return len(self.values) / self.rows if self.rows else 0.0


def _sample(column: "Column | None", is_category: bool) -> _Sample:
    if column is None:
        return _Sample(pd.Series(dtype=float), rows=0, fault="missing")
    present = column.dropna()
    values = present[is_value(present)]
    fault = None
    if not len(present):
        fault = "all null"
    elif not (is_category or pd.api.types.is_numeric_dtype(present)):
        values, fault = present.iloc[:0], "no numbers, as the contract has them,"
    elif not len(values):
        fault = "all infinite"
    elif len(values) < MIN_VALUES:
        fault = f"{len(values)} values, {MIN_VALUES} are needed,"
    return _Sample(values, rows=len(column), fault=fault)

"""What a drift report says of each column, and what the columns add up to.

Here belong the verdict on a column and when none can be had. How far chance alone moves a column belongs to
`drift_calibration`, what the report leads to belongs to `drift`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import hypergeom, ttest_ind_from_stats

MIN_VALUES = 30
"""Fewer values than this in a column's sample say nothing about its distribution."""

Column: TypeAlias = "pd.Series[Any]"
Keys = npt.NDArray[np.intp]
"""Split keys as numbers from 0 on, none left out; shape [rows]."""
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
    changed: bool = False
    """Whether it could be judged before: it went silent, or it began to speak."""
    nulls: tuple[float, float] = (0.0, 0.0)
    """Share of the rows without a finite value, in the reference and in the window."""
    importance: float | None = None
    """What the production model loses in AUC without it; None where that is not known."""

    @property
    def counts(self) -> Literal["drifted", "stable", "left out"]:
        """What it adds to the drift share, in words."""
        return "left out" if self.counts_as_drifted is None else "drifted" if self.counts_as_drifted else "stable"

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
    """Whether the samples differ in this by more than chance; else it never could be judged."""


def why_unusable(
    reference: "Column | None",
    current: "Column | None",
    *,
    is_category: bool,
    chance: float,
    keys: tuple[Keys, Keys] | None = None,
    min_keys: int = 0,
) -> Unusable | None:
    """Why a column cannot be judged, or None where it can.

    Args:
        reference: Its values in the reference's sample; None where the column is missing there.
        current: The same of the window.
        is_category: Whether the contract says that it is no number.
        chance: How seldom chance alone may be taken for a change.
        keys: Split keys of both samples' rows, for rows that share one are not independent; None where each row is
            its own.
        min_keys: In so many split keys of the reference it must have a value.
    """
    of_keys = keys or (_own_keys(reference), _own_keys(current))
    before, now = (
        _sample(column, codes, is_category) for column, codes in zip((reference, current), of_keys, strict=True)
    )
    faults = [f"{sample.fault} in the {role}" for role, sample in _by_role(before, now) if sample.fault]
    if not faults and before.holding < min_keys:
        faults = [f"values in {before.holding} split keys, {min_keys} are needed, in the reference"]
    if faults:
        gone = (reference is None) != (current is None)
        return Unusable("; ".join(faults), changed=_fewer_by_more_than_chance(before, now, gone=gone, chance=chance))
    if now.share < before.share / 2 and _fell(before, now, chance):
        return Unusable(f"values in {now.share:.1%} of the rows, {before.share:.1%} in the reference", changed=True)
    constant = before.values.iloc[0]
    if bool((before.values != constant).any()):
        return None
    differ = (now.values != constant).to_numpy()
    if not differ.any():
        return Unusable(f"constant: {constant} throughout", changed=False)
    # Where nothing changed, the keys with another value might as well have been drawn for the reference.
    others = len(np.unique(of_keys[1][now.at][differ]))
    none = hypergeom.cdf(0, before.holding + now.holding, others, before.holding)
    reason = (
        f"constant in the reference: {constant}; {differ.sum()} of {len(differ)} values differ in the current window"
    )
    return Unusable(reason, changed=bool(none < chance))


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
    at: npt.NDArray[np.intp]
    """In which rows they are."""
    rows: int
    key_shares: npt.NDArray[np.float64]
    """Share of each key's rows that have a value; shape [keys]."""
    fault: str | None

    @property
    def share(self) -> float:
        return len(self.values) / self.rows if self.rows else 0.0

    @property
    def holding(self) -> int:
        """Keys that have a value at all."""
        return int((self.key_shares > 0).sum())


def _own_keys(column: "Column | None") -> Keys:
    return np.arange(0 if column is None else len(column))


def _by_role(before: _Sample, now: _Sample) -> tuple[tuple[str, _Sample], tuple[str, _Sample]]:
    return ("reference", before), ("current window", now)


def _fewer_by_more_than_chance(before: _Sample, now: _Sample, *, gone: bool, chance: float) -> bool:
    """Whether one sample has its values in fewer keys than a draw from the keys of both would leave it with.

    Fisher's exact test (1922), on keys; a column that is gone as a whole went by no chance. A key has its values where
    it has at least half of what is usual: a sensor that sends one value a day where it sent a thousand is silent.
    """
    together = np.concatenate([before.key_shares, now.key_shares])
    if gone or not together.any():
        return bool(together.any())
    enough = together[together > 0].mean() / 2
    before_has, now_has = (int((sample.key_shares >= enough).sum()) for sample in (before, now))
    keys = (len(before.key_shares), len(now.key_shares))
    if before_has * keys[1] == now_has * keys[0]:
        return False
    few, drawn = min((before_has, keys[0]), (now_has, keys[1]), key=lambda has: has[0] / has[1])
    return bool(hypergeom.cdf(few, sum(keys), before_has + now_has, drawn) < chance)


def _fell(before: _Sample, now: _Sample, chance: float) -> bool:
    """Whether the share of the rows with a value fell, by Welch's test (1947) on the keys' shares."""
    if min(len(before.key_shares), len(now.key_shares)) < 2:
        return False
    if np.ptp(before.key_shares) == np.ptp(now.key_shares) == 0:
        return True
    each = (value for sample in (before, now) for value in _moments(sample.key_shares))
    return bool(ttest_ind_from_stats(*each, equal_var=False, alternative="greater").pvalue < chance)


def _moments(shares: npt.NDArray[np.float64]) -> tuple[float, float, int]:
    return float(shares.mean()), float(shares.std(ddof=1)), len(shares)


def _sample(column: "Column | None", keys: Keys, is_category: bool) -> _Sample:
    if column is None:
        none = pd.Series(dtype=float)
        return _Sample(none, keys[:0], rows=0, key_shares=np.zeros(len(np.unique(keys))), fault="missing")
    present = column.dropna()
    usable = is_value(column).to_numpy()
    fault = None
    if not len(present):
        fault = "all null"
    elif not (is_category or pd.api.types.is_numeric_dtype(present)):
        usable, fault = np.zeros(len(column), dtype=bool), "no numbers, as the contract has them,"
    elif not usable.any():
        fault = "all infinite"
    elif usable.sum() < MIN_VALUES:
        fault = f"{usable.sum()} values, {MIN_VALUES} are needed,"
    values = column[usable]
    at = np.flatnonzero(usable)
    shares = np.bincount(keys, weights=usable) / np.bincount(keys) if len(keys) else np.zeros(0)
    return _Sample(values, at, rows=len(column), key_shares=shares, fault=fault)

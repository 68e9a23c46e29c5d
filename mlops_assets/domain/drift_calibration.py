"""How far chance alone moves a column at the window's size, and the thresholds that follow from it.

Resamples of the reference stand for windows in which nothing changed (the bootstrap; Efron 1979). Split keys are drawn
and not rows, since rows that share one are not independent: a month of flights has thirty days of weather, and not
25,000. All columns of a key are drawn together, so that columns which move together do so here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlops_assets.domain.drift_columns import Column, is_value
from mlops_assets.domain.drift_statistics import Levels, distances, levels, noise_exponent

RESAMPLES = 1_000
"""Of these the default rate of 1 % is 10; the rate that comes out of 10 lies between 0.5 and 1.8 % (95 %)."""
SMALLEST_NOISE = 1e-12
"""A column that chance does not move has none, and something must be divided by."""
ALIKE = 0.9
"""From this share of the reference's rows a key on, a window's keys are taken to be as large: its noise is 5 % more."""
AT_ONCE = 100
"""Resamples held in memory together: 20 columns of 640 levels take 10 MB each side."""
ROUNDING = 1e-9
"""Evidently's sums and ours may differ in the last digits, which must not decide where few distances are possible."""
MIN_KEYS = 10
"""Fewer split keys of the reference that have a value tell nothing of how keys differ."""


@dataclass(frozen=True)
class CalibratedColumn:
    """A column whose threshold is asked for."""

    name: str
    method: str
    threshold: float
    """The contract's: the distance that matters."""
    is_category: bool
    in_share: bool = True
    """Whether it counts in the drift share; the target and the scores do not."""


@dataclass(frozen=True)
class Sizes:
    """How large the samples of a report are."""

    rows: int
    keys: int


@dataclass(frozen=True)
class Calibration:
    """What chance does to a report of these sizes."""

    false_alarm_rate: float
    """The rate that was asked for."""
    resamples: int
    reference: Sizes
    current: Sizes
    noise: Mapping[str, float]
    """Distance, by column, that chance reaches in at most a share of `false_alarm_rate` of the resamples."""
    expected_values: Mapping[str, tuple[float, float]]
    """Values, by column, in the reference and (expected) in the window; nulls are none."""
    factor: float
    """What noise is raised by so that all columns together keep the rate; 1 where they do so already."""

    def threshold(self, column: CalibratedColumn, *, values: int) -> float:
        """From which distance on a column has drifted: the contract's, or where chance makes more, what chance makes.

        Args:
            column: One of those that were calibrated.
            values: How many values of it, nulls not among them, the window's sample has.
        """
        before, expected = self.expected_values[column.name]
        fewer = (1 / before + 1 / max(values, 1)) / (1 / before + 1 / max(expected, 1))
        noise: float = self.noise[column.name] * max(1.0, fewer) ** noise_exponent(column.method)
        return max(column.threshold, noise * self.factor if column.in_share else noise)


def calibrate(
    reference: pd.DataFrame,
    keys: Column,
    columns: Sequence[CalibratedColumn],
    *,
    current: Sizes,
    drift_share_threshold: float,
    false_alarm_rate: float,
    drifted_already: int = 0,
    resamples: int = RESAMPLES,
) -> Calibration:
    """Compares resamples of the reference, at its own size and at the window's.

    Args:
        reference: The reference's sample, with the columns; the same answer for its rows in any order.
        keys: Split key of each row.
        columns: What is to be calibrated; each has values.
        current: Size of the window's sample.
        drift_share_threshold: The share of drifted columns that must be exceeded.
        false_alarm_rate: How often chance alone may exceed it.
        drifted_already: Columns that count as drifted beside these, for they cannot be judged any more.
        resamples: How many.
    """
    of_row, found = pd.factorize(keys, sort=True)
    sizes = Sizes(rows=len(reference), keys=len(found))
    column_levels: dict[str, Levels] = {}
    tables: list[sparse.csr_matrix] = []
    expected: dict[str, tuple[float, float]] = {}
    for column in columns:
        present = is_value(reference[column.name]).to_numpy()
        values = reference.loc[present, column.name]
        share = len(values) / len(reference)
        expected[column.name] = (len(values), share * current.rows)
        made = levels(
            values, column.method, is_category=column.is_category, pooled=len(values) + round(share * current.rows)
        )
        column_levels[column.name] = made
        shape = (len(made.centres), len(found))
        ones = np.ones(len(values), np.float32)
        tables.append(sparse.csr_matrix((ones, (made.of_value, of_row[present])), shape=shape))
    thinned = (current.rows / current.keys) / (sizes.rows / sizes.keys)
    measured = _resampled(
        columns,
        column_levels,
        tables,
        keys=sizes.keys,
        current_keys=current.keys,
        thinned=thinned if thinned < ALIKE else 1.0,
        resamples=resamples,
    )

    noise = {name: _upper(found[np.isfinite(found)], false_alarm_rate) for name, found in measured.items()}
    in_share = [column for column in columns if column.in_share]
    counted = len(in_share) + drifted_already
    # So many drifted columns exceed the share; those that did so already are among them.
    needed = math.floor(drift_share_threshold * counted + 1e-9) + 1 - drifted_already
    factor = 1.0
    if 0 < needed <= len(in_share):
        times_noise = [_times_noise(column, measured[column.name], noise[column.name]) for column in in_share]
        factor = max(1.0, _upper(np.sort(times_noise, axis=0)[-needed], false_alarm_rate))
    return Calibration(
        false_alarm_rate=false_alarm_rate,
        resamples=resamples,
        reference=sizes,
        current=current,
        noise=noise,
        expected_values=expected,
        factor=factor,
    )


def _resampled(
    columns: Sequence[CalibratedColumn],
    column_levels: Mapping[str, Levels],
    tables: Sequence[sparse.csr_matrix],
    *,
    keys: int,
    current_keys: int,
    thinned: float,
    resamples: int,
) -> dict[str, npt.NDArray[np.float64]]:
    """Distances, by column, of pairs of samples in which nothing changed; not a number where one has no value.

    Args:
        columns: Of which.
        column_levels: Their values.
        tables: How often each key has each level.
        keys: Keys of the reference.
        current_keys: Keys of the window.
        thinned: Share of a key's rows that the window has.
        resamples: How many; the shape of each column's distances.
    """
    chance = np.random.default_rng(0)
    counts = sparse.vstack(tables, format="csr")
    ends = np.cumsum([table.shape[0] for table in tables])
    found: dict[str, list[npt.NDArray[np.float64]]] = {column.name: [] for column in columns}
    for first in range(0, resamples, AT_ONCE):
        size = min(AT_ONCE, resamples - first)
        before = counts @ _draws(chance, keys, of=keys, size=size)
        now = counts @ _draws(chance, current_keys, of=keys, size=size)
        if thinned < 1:
            now = chance.binomial(now.astype(np.int64), thinned)
        for column, end in zip(columns, ends, strict=True):
            centres = column_levels[column.name].centres
            rows = slice(end - len(centres), end)
            pair = (before[rows].astype(float), now[rows].astype(float))
            found[column.name].append(distances(column.method, *pair, centres))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _times_noise(column: CalibratedColumn, measured: npt.NDArray[np.float64], noise: float) -> npt.NDArray[np.float64]:
    """By what noise must be raised for each resample not to drift; 0 where the contract's threshold sees to that."""
    times = measured / max(noise, SMALLEST_NOISE)
    return np.where(measured >= column.threshold, times, 0.0)  # one without a value is not above it


def _draws(chance: np.random.Generator, drawn: int, *, of: int, size: int) -> npt.NDArray[np.float32]:
    """How often each key is drawn, with replacement; shape [keys, samples]."""
    return np.stack(
        [np.bincount(chance.integers(of, size=drawn), minlength=of).astype(np.float32) for _ in range(size)], axis=1
    )


def _upper(values: npt.NDArray[np.float64], rate: float) -> float:
    """What at most a share of `rate` of the values reaches, for a column drifts where it reaches its threshold."""
    if not len(values):
        return 0.0
    return float(np.quantile(values, 1 - rate, method="higher")) * (1 + ROUNDING)

"""How much better one model's AUC is than another's on the same rows, and how sure that is.

The interval is paired: both models are scored on the same rows, so what makes these rows easy or hard for both cancels
out. What follows from it belongs to `gate`.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import norm, rankdata, t

from mlops_assets.domain.evaluation import Keys, Scores, Truth

RESAMPLES = 2_000
"""The lower bound of a 95 % interval on eight keys is read off the ten smallest of them, on many keys off fifty."""
CELLS_AT_ONCE = 2_000_000
"""Weights held in memory together: 16 MB."""


@dataclass(frozen=True)
class AucDifference:
    """The first model's AUC minus the second's."""

    gain: float
    low: float
    """Lower bound of the confidence interval; minus infinity where the rows tell nothing of it."""
    high: float
    level: float
    method: Literal["delong", "bootstrap"]
    keys: int
    """Independent draws that it rests on: split keys, or rows where each is its own."""


def auc_difference(truth: Truth, first: Scores, second: Scores, keys: Keys, *, level: float) -> AucDifference:
    """The difference with its two-sided confidence interval; the same data give the same one.

    Where every row is its own split key, by DeLong, DeLong and Clarke-Pearson (1988). Else split keys are drawn with
    replacement, both models' scores with them, and the bounds are expanded percentiles (Hesterberg 2015, section 5.4):
    a month's validation days are eight keys, of which plain percentiles are too narrow by a quarter.

    Args:
        truth: Of both outcomes; shape [rows].
        first: The first model's scores, on the same rows.
        second: The second's.
        keys: Split key of each row.
        level: How often such an interval holds the true difference.
    """
    count = int(keys.max()) + 1
    if count == len(keys):
        gain, error = _delong(truth, first, second)
        reach = float(norm.ppf(0.5 + level / 2)) * error if math.isfinite(error) else math.inf
        return AucDifference(gain, gain - reach, gain + reach, level, "delong", count)
    every = np.ones((count, 1))
    gain = float((_weighted_auc(truth, first, keys, every) - _weighted_auc(truth, second, keys, every))[0])
    drawn = _resampled(truth, first, second, keys, count)
    drawn = drawn[np.isfinite(drawn)]  # a draw without one of the outcomes has no AUC
    outside = float(norm.cdf(math.sqrt(count / (count - 1)) * t.ppf(0.5 - level / 2, count - 1))) if count > 1 else 0.0
    if outside * len(drawn) < 1:  # of four keys and 95 %: no draw lies so far out
        return AucDifference(gain, -math.inf, math.inf, level, "bootstrap", count)
    low, high = np.quantile(drawn, [outside, 1 - outside])
    return AucDifference(gain, float(low), float(high), level, "bootstrap", count)


def clustered_difference(truth: Truth, first: Scores, second: Scores, keys: Keys) -> tuple[float, float]:
    """The difference and its standard error where rows of a split key are not independent (Obuchowski 1997).

    For many small comparisons: it takes a sort, and asks for Student's t with (keys - 1) degrees of freedom.

    Args:
        truth: Of both outcomes; shape [rows].
        first: The first model's scores, on the same rows.
        second: The second's.
        keys: Split key of each row; two keys at least.
    """
    true_rows, false_rows = _placement_differences(truth, first, second)
    gain = float(true_rows.mean())
    influence = np.empty(len(truth))
    influence[truth] = (true_rows - gain) / len(true_rows)
    influence[~truth] = (false_rows - gain) / len(false_rows)
    of_keys = np.bincount(keys, weights=influence)
    return gain, math.sqrt(len(of_keys) / (len(of_keys) - 1) * float(np.sum(of_keys**2)))


def _delong(truth: Truth, first: Scores, second: Scores) -> tuple[float, float]:
    """The difference and its standard error, by the placements of each row among those of the other outcome."""
    true_rows, false_rows = _placement_differences(truth, first, second)
    if min(len(true_rows), len(false_rows)) < 2:
        return float(true_rows.mean()), math.nan
    variance = true_rows.var(ddof=1) / len(true_rows) + false_rows.var(ddof=1) / len(false_rows)
    return float(true_rows.mean()), float(np.sqrt(variance))


def _placement_differences(truth: Truth, first: Scores, second: Scores) -> tuple[Scores, Scores]:
    """By how much better the first model places each true row, and each false one."""
    (true_first, false_first), (true_second, false_second) = (_placements(truth, scores) for scores in (first, second))
    return true_first - true_second, false_first - false_second


def _placements(truth: Truth, scores: Scores) -> tuple[Scores, Scores]:
    """Share of false rows below each true one, and of true rows above each false one; ties count half.

    By mid-ranks (Sun and Xu 2014), which takes a sort in the place of every pair of rows.
    """
    together = rankdata(scores)
    true_rows, false_rows = scores[truth], scores[~truth]
    below = (together[truth] - rankdata(true_rows)) / len(false_rows)
    above = 1 - (together[~truth] - rankdata(false_rows)) / len(true_rows)
    return below, above


def _resampled(truth: Truth, first: Scores, second: Scores, keys: Keys, count: int) -> npt.NDArray[np.float64]:
    chance = np.random.default_rng(0)
    size = max(1, CELLS_AT_ONCE // len(truth))
    found = []
    for begin in range(0, RESAMPLES, size):
        many = min(size, RESAMPLES - begin)
        draws = chance.multinomial(count, np.full(count, 1 / count), size=many).T.astype(float)
        found.append(_weighted_auc(truth, first, keys, draws) - _weighted_auc(truth, second, keys, draws))
    return np.concatenate(found)


def _weighted_auc(truth: Truth, scores: Scores, keys: Keys, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The AUC where each row counts as often as its key was drawn; draws: [keys, samples], AUCs: [samples]."""
    values, level = np.unique(scores, return_inverse=True)
    of_true, of_false = (
        sparse.csr_matrix((np.ones(int(which.sum())), (level[which], keys[which])), shape=(len(values), len(draws)))
        @ draws
        for which in (truth, ~truth)
    )
    false_below = np.cumsum(of_false, axis=0) - of_false / 2
    pairs = of_true.sum(axis=0) * of_false.sum(axis=0)
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.float64] = np.einsum("ij,ij->j", of_true, false_below) / pairs
    return found

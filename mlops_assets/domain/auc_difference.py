"""How much better one model's AUC is than another's on the same rows, and how sure that is.

The interval is paired: both models are scored on the same rows, so what makes these rows easy or hard for both cancels
out. What follows from it belongs to `gate`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import norm, rankdata, t

from mlops_assets.domain.evaluation import Keys, Scores, Truth

Counts = Any
"""A sparse matrix [scores, keys]; scipy ships no types."""

RESAMPLES = 2_000
"""The lower bound of a 95 % interval on eight keys is read off the ten smallest of them, on many keys off fifty."""
CELLS_AT_ONCE = 2_000_000
"""Of the largest array that a step of the resampling makes, 16 MB; it makes four of them."""


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
    """Independent draws that it rests on: rows where each is its own split key, else the split keys that hold the
    rarer outcome: days without a late flight say nothing of how late flights are ranked."""


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
    true_rows, false_rows = _placement_differences(truth, first, second)
    count, gain = int(keys.max()) + 1, float(true_rows.mean())
    if count == len(keys):
        few = min(len(true_rows), len(false_rows))
        error = _delong_error(true_rows, false_rows)
        # Not the normal quantile: the error of few true rows is itself uncertain, and with two of them says little.
        reach = float(t.ppf(0.5 + level / 2, few - 1)) * error if few > 1 else math.inf
        return AucDifference(gain, gain - reach, gain + reach, level, "delong", count)
    few = min(len(np.unique(keys[truth])), len(np.unique(keys[~truth])))
    drawn = _resampled(truth, first, second, keys, count)
    drawn = drawn[np.isfinite(drawn)]  # a draw without one of the outcomes has no AUC
    outside = float(norm.cdf(math.sqrt(few / (few - 1)) * t.ppf(0.5 - level / 2, few - 1))) if few > 1 else 0.0
    if outside * len(drawn) < 1:  # of four keys and 95 %: no draw lies so far out
        return AucDifference(gain, -math.inf, math.inf, level, "bootstrap", few)
    low, high = np.quantile(drawn, [outside, 1 - outside])
    return AucDifference(gain, float(low), float(high), level, "bootstrap", few)


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


def _delong_error(true_rows: Scores, false_rows: Scores) -> float:
    """The standard error, of placement differences; two of each outcome at least."""
    if min(len(true_rows), len(false_rows)) < 2:
        return math.nan
    return math.sqrt(true_rows.var(ddof=1) / len(true_rows) + false_rows.var(ddof=1) / len(false_rows))


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
    of_first, of_second = (_by_level(truth, scores, keys, count) for scores in (first, second))
    size = max(1, CELLS_AT_ONCE // max(of_first[0].shape[0], of_second[0].shape[0]))
    found = []
    for begin in range(0, RESAMPLES, size):
        many = min(size, RESAMPLES - begin)
        draws = chance.multinomial(count, np.full(count, 1 / count), size=many).T.astype(float)
        found.append(_weighted_auc(*of_first, draws) - _weighted_auc(*of_second, draws))
    return np.concatenate(found)


def _by_level(truth: Truth, scores: Scores, keys: Keys, count: int) -> tuple[Counts, Counts]:
    """How many true rows, and how many false ones, each key has at each score, the lowest first."""
    values, level = np.unique(scores, return_inverse=True)
    shape = (len(values), count)
    true_rows, false_rows = (
        sparse.csr_matrix((np.ones(int(which.sum())), (level[which], keys[which])), shape=shape)
        for which in (truth, ~truth)
    )
    return true_rows, false_rows


def _weighted_auc(true_rows: Counts, false_rows: Counts, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The AUC where each row counts as often as its key was drawn; draws: [keys, samples], AUCs: [samples]."""
    of_true, of_false = true_rows @ draws, false_rows @ draws
    false_below = np.cumsum(of_false, axis=0) - of_false / 2
    pairs = of_true.sum(axis=0) * of_false.sum(axis=0)
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.float64] = np.einsum("ij,ij->j", of_true, false_below) / pairs
    return found

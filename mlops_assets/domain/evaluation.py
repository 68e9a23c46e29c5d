"""How good scores are: the metrics, and the curves that the pictures show.

Scores are probabilities of the target being true, arrays of shape [rows]; truth is a boolean array of the same shape.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.intp]
"""Split keys as numbers from 0 on, none left out; shape [rows]."""

CALIBRATION_BINS = 10


class NotComparable(ValueError):
    """The validation rows cannot tell models apart; the message says why."""


@dataclass(frozen=True)
class Metrics:
    """What is reported of a model on a set of rows."""

    auc: float
    """Area under the ROC curve: the chance that a true row is scored above a false one."""
    log_loss: float
    brier: float
    """Mean squared distance of the probability from the truth."""


@dataclass(frozen=True)
class Curve:
    """Points of a curve, in drawing order."""

    x: Scores
    y: Scores


def evaluate(truth: Truth, scores: Scores) -> Metrics:
    """The metrics of one model.

    Raises:
        NotComparable: the rows hold one class alone, or none.
    """
    true_rows = int(np.count_nonzero(truth))
    if true_rows in (0, len(truth)):
        raise NotComparable(f"of {len(truth)} validation rows {true_rows} are true: both outcomes are needed")
    return Metrics(
        auc=float(roc_auc_score(truth, scores)),
        log_loss=float(log_loss(truth, scores)),
        brier=float(brier_score_loss(truth, scores)),
    )


def roc(truth: Truth, scores: Scores) -> Curve:
    """The ROC curve: share of true rows found over share of false rows raised."""
    false_positives, true_positives, _ = roc_curve(truth, scores)
    return Curve(false_positives, true_positives)


def calibration(truth: Truth, scores: Scores) -> Curve:
    """Observed share of true rows over the mean score, in ten bins of equally many rows."""
    observed, predicted = calibration_curve(truth, scores, n_bins=CALIBRATION_BINS, strategy="quantile")
    return Curve(predicted, observed)


def calibration_error(truth: Truth, scores: Scores, keys: Keys) -> float:
    """How far probabilities lie from observed shares, beyond what chance explains.

    The root mean squared distance of both in ten bins of equally many rows. Chance alone sets a bin off by its
    variance, which is taken away: the debiased estimator of Kumar, Liang and Ma (2019), "Verified uncertainty
    calibration". Rows of a split key are not independent, so it is the variance of whole keys.

    Args:
        truth: Shape [rows].
        scores: Of those rows.
        keys: Split key of each row.
    """
    order = np.argsort(scores, kind="stable")
    squares = 0.0
    for rows in np.array_split(order, min(CALIBRATION_BINS, len(order))):
        off = scores[rows] - truth[rows]
        own = np.unique(keys[rows], return_inverse=True)[1]
        of_keys = np.bincount(own, weights=off - off.mean()) / len(rows)
        # One key tells nothing of how far another would lie off: then nothing is taken away.
        by_chance = len(of_keys) / (len(of_keys) - 1) * float(np.sum(of_keys**2)) if len(of_keys) > 1 else 0.0
        squares += len(rows) / len(order) * (float(off.mean()) ** 2 - by_chance)
    return math.sqrt(max(squares, 0.0))


def differing(left: Scores, right: Scores, *, tolerance: float = 1e-6) -> npt.NDArray[np.bool_]:
    """On which rows two models' scores lie further apart than `tolerance`, or are no numbers; shape [rows]."""
    return ~(np.abs(left - right) <= tolerance)

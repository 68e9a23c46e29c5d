"""How good scores are: the metrics, and the curves that the pictures show.

Scores are probabilities of the target being true, arrays of shape [rows]; truth is a boolean array of the same shape.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

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


def differing_share(left: Scores, right: Scores, *, tolerance: float = 1e-6) -> float:
    """Share of rows on which two models' scores lie further apart than `tolerance`."""
    return float(np.mean(~(np.abs(left - right) <= tolerance)))

"""How much a model needs each of its features: what it loses in AUC when a feature's values are shuffled.

Permutation importance (Breiman 2001). Here belong which rows it is taken on and how often they are shuffled; the
shuffling is scikit-learn's. How importance weighs a column's drift belongs to `drift_columns`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import inspection
from sklearn.metrics import roc_auc_score

from mlops_assets.domain.evaluation import Truth

MOST_ROWS = 5_000
"""More rows say little more: the AUC of 5,000 has a standard error near 0.008, its difference a fraction of that."""
REPEATS = 3

Score = Callable[[pd.DataFrame], npt.NDArray[np.float64]]


def permutation_importance(
    score: Score, frame: pd.DataFrame, truth: Truth, features: Iterable[str], *, seed: int = 0
) -> dict[str, float]:
    """The loss of AUC by feature, mean of three shuffles; below 0 where shuffling happens to help.

    Args:
        score: Gives the probabilities of a frame's rows from the features alone.
        frame: Rows that the model has not learned from, in an order that does not depend on chance.
        truth: Their outcomes.
        features: Names of the columns to shuffle, one after the other: all that the model looks at.
        seed: Of the shuffles and of the choice of rows where there are more than 5,000.

    Returns:
        Nothing where the rows that were chosen have one outcome alone.
    """
    # Chosen here: scikit-learn's `max_samples` would compare each shuffle of other rows with the AUC of all of them.
    chosen = np.sort(np.random.default_rng(seed).permutation(len(frame))[:MOST_ROWS])
    rows, outcomes = frame.iloc[chosen][list(features)], truth[chosen]
    if outcomes.all() or not outcomes.any():
        return {}
    lost = inspection.permutation_importance(_Fitted(score), rows, outcomes, n_repeats=REPEATS, random_state=seed)
    return dict(zip(rows.columns, lost.importances_mean.tolist(), strict=True))


@dataclass(frozen=True)
class _Fitted:
    """A scoring function as the estimator that scikit-learn asks for: what counts is the exported model."""

    probabilities: Score

    def fit(self) -> None:
        """Never called; scikit-learn takes nothing that could not be fitted."""

    def score(self, rows: pd.DataFrame, truth: Truth) -> float:
        """The AUC."""
        return float(roc_auc_score(truth, self.probabilities(rows)))

"""Parity: whether the exported model, in float32, answers as the pipeline that was fitted.

On the validation rows, and on edge rows that no window need hold: each feature at the ends of its range, null, and of a
category that the contract does not name.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import Scores, Truth, differing, evaluate
from mlops_assets.domain.evidence import Parity
from mlops_assets.domain.feature import FLOAT32_MAX, Feature

UNKNOWN_CATEGORY = "\N{WHITE SQUARE} no such category"
"""What no contract names."""

Score = Callable[[pd.DataFrame], Scores]


def parity(
    dataset: Dataset,
    validation: pd.DataFrame,
    truth: Truth,
    *,
    served: Scores,
    fitted: Scores,
    score_served: Score,
    score_fitted: Score,
) -> Parity:
    """Compares the two ways of scoring.

    Args:
        dataset: The contract.
        validation: Rows with the features; one at least.
        truth: Of those rows.
        served: The exported model's scores of those rows.
        fitted: The fitted pipeline's.
        score_served: Scores edge rows as the service does.
        score_fitted: Scores them by the fitted pipeline.
    """
    edges = edge_rows(dataset, validation)
    names = edges.index.to_numpy()
    return Parity(
        differing_share=float(np.mean(differing(served, fitted))),
        largest=float(np.max(np.abs(served - fitted))),
        fitted_auc=evaluate(truth, fitted).auc,
        edge_rows=len(edges),
        differing_edges=tuple(names[differing(score_served(edges), score_fitted(edges))]),
    )


def edge_rows(dataset: Dataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame's first row, with one feature after the other at its edges; the index says which.

    Returns:
        Rows with the features, of the frame's types; a few for each feature.
    """
    features = list(dataset.features)
    first = frame[features].iloc[[0]]
    rows = {"as it is": first}
    for name, feature in dataset.features.items():
        for value, said in _edges(feature):
            # As text or as a number in the frame's own type: float32 keeps NaN, and an object None.
            values = pd.Series([value], index=first.index, dtype=first[name].dtype)
            rows[f"{name} {said}"] = first.assign(**{name: values})
    return pd.concat(rows.values()).set_axis(list(rows))


def _edges(feature: Feature) -> list[tuple[object, str]]:
    """Values at which a feature may be read in another way than between them."""
    if feature.type == "category":
        found: list[tuple[object, str]] = [(value, f"= {value!r}") for value in feature.categories]
        return [*found, (UNKNOWN_CATEGORY, "of no known category"), (None, "null")]
    if feature.type == "boolean":
        return [(0.0, "= false"), (1.0, "= true"), (np.nan, "null")]
    ends = [end for end in feature.range or (-1e6, 0, 1e6) if abs(end) <= FLOAT32_MAX]
    return [*((end, f"= {end:g}") for end in ends), (np.nan, "null")]

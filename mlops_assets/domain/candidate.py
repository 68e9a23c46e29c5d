"""The candidate model: its pipeline, its training and the form in which it is served.

Here belongs what a candidate is made of. How good it is belongs to `evaluation`, whether it is promoted to `gate`.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from mlops_assets.domain.dataset import Dataset

INPUT = "features"
NO_CATEGORY = -1
"""Code of a null in a category feature, and of a value that the contract does not name."""

# Ordinal codes, not one-hot and not HistGradientBoosting's own `categorical_features`: docs/decisions/0004.


class NotTrainable(ValueError):
    """The rows hold nothing to learn from; the message says why."""


def build_pipeline(dataset: Dataset) -> Pipeline:
    """An unfitted pipeline: frame of features -> codes and numbers in the contract's order -> trees.

    A boolean is a number here: 1, 0, or NaN for null.
    """
    encoders = [
        (
            name,
            OrdinalEncoder(
                categories=[list(feature.categories)],
                handle_unknown="use_encoded_value",
                unknown_value=NO_CATEGORY,
                dtype=np.float32,
            ),
            [name],
        )
        if feature.type == "category"
        else (name, "passthrough", [name])
        for name, feature in dataset.features.items()
    ]
    return Pipeline(
        [
            ("encode", ColumnTransformer(encoders, sparse_threshold=0)),
            ("classify", HistGradientBoostingClassifier(random_state=dataset.training.seed)),
        ]
    )


def train(dataset: Dataset, frame: pd.DataFrame) -> Pipeline:
    """Fits the pipeline.

    Args:
        dataset: The contract.
        frame: Training rows, with the features and the target; their order must not depend on chance.

    Raises:
        NotTrainable: the rows hold one outcome alone; scikit-learn would fit a model that answers 0 for it.
    """
    truth = frame[dataset.target].astype(bool)
    if truth.all() or not truth.any():
        raise NotTrainable(f"of {len(truth)} training rows {truth.sum()} are true: both outcomes are needed")
    return build_pipeline(dataset).fit(frame[list(dataset.features)], truth)


def score(pipeline: Pipeline, dataset: Dataset, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Probability of the target being true, as the fitted pipeline says it; shape [rows]."""
    probabilities: npt.NDArray[np.float64] = pipeline.predict_proba(frame[list(dataset.features)])[:, 1]
    return probabilities


def export_onnx(pipeline: Pipeline) -> bytes:
    """The classifier as ONNX: one input `features`, float32 [rows, features], one output `probabilities` [rows, 2].

    Encoding stays outside, in the bundle's manifest: a service can do it faster and stricter than a graph.
    """
    classifier = pipeline["classify"]
    model = to_onnx(
        classifier,
        initial_types=[(INPUT, FloatTensorType([None, classifier.n_features_in_]))],
        options={id(classifier): {"zipmap": False}},
        target_opset=17,
    )
    serialized: bytes = model.SerializeToString()
    return serialized

"""A BentoML service of the pipeline: a frame in, an array out, as BentoML's own examples have it.

Runs in an environment of its own, so it imports nothing of the project. `MODEL` names the pipeline's file.
"""

import os

import bentoml  # type: ignore[import-not-found]
import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd


@bentoml.service(workers=1)
class Flights:
    """Loads the pipeline once, and answers frames."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(os.environ["MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """The probabilities of the rows, in order."""
        probabilities: np.ndarray = self.pipeline.predict_proba(rows)[:, 1]
        return probabilities

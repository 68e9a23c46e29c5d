"""Values in, probabilities out: the model's tensor and the run of the model.

Values arrive valid (`serving.rows`); which model answers is decided by `serving.slot`.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.onnx_session import open_session
from serving.release import MODEL, Feature, FeatureValue, ReleaseInvalid
from serving.rows import Values

INPUT = "features"
OUTPUT = "probabilities"
FEW_ROWS = 64
NULL_POSITION = -1.0
"""What the tensor holds for a category that is null."""


class PredictionFailed(Exception):
    """The model gave no usable answer to valid rows."""


class _OpenPositions(dict[FeatureValue, float]):
    """Positions of the known categories, where any other value is null; it never grows by what clients send."""

    def __missing__(self, category: FeatureValue) -> float:
        return NULL_POSITION


class Predictor:
    """An ONNX model with one float32 input `features` and the probabilities of false and true as `probabilities`."""

    def __init__(self, model: Path, features: Sequence[Feature]) -> None:
        """Loads the model.

        Raises:
            ReleaseInvalid: it cannot be loaded, or its input or output is not the contract's.
        """
        self._columns = len(features)
        self._categories = [
            (column, _positions(feature)) for column, feature in enumerate(features) if feature.type == "category"
        ]
        try:
            # Requests run side by side; threads within one only compete.
            self._session = open_session(model, threads=1)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ReleaseInvalid(f"{MODEL}: {error}") from error
        self._demand_contract()

    def encode(self, rows: Sequence[Values]) -> NDArray[np.float32]:
        """The model's input: numbers as they are, true as 1, null as NaN, a category as its position or -1 for null."""
        if len(rows) > FEW_ROWS:
            return self._encode_by_column(rows)
        table = [list(row[: self._columns]) for row in rows]
        for column, positions in self._categories:
            for row in table:
                row[column] = positions[row[column]]
        return np.array(table, dtype=np.float32).reshape(len(rows), self._columns)

    def _encode_by_column(self, rows: Sequence[Values]) -> NDArray[np.float32]:
        """The same, a fifth faster where there are many rows, and slower where there are few."""
        categories = dict(self._categories)
        tensor = np.empty((len(rows), self._columns), dtype=np.float32)
        for column, values in zip(range(self._columns), zip(*rows, strict=True), strict=False):
            positions = categories.get(column)
            tensor[:, column] = values if positions is None else [positions[value] for value in values]
        return tensor

    def predict(self, rows: Sequence[Values]) -> list[float]:
        """The probability that the target is true, for each row.

        Raises:
            PredictionFailed: an answer is missing or not finite.
        """
        return self.run(self.encode(rows))

    def run(self, encoded: NDArray[np.float32]) -> list[float]:
        """The same of rows that are encoded already; other threads go on meanwhile.

        Raises:
            PredictionFailed: an answer is missing or not finite.
        """
        (probabilities,) = self._session.run([OUTPUT], {INPUT: encoded})
        if probabilities.shape != (len(encoded), 2):
            raise PredictionFailed(f"{OUTPUT} has shape {probabilities.shape} for {len(encoded)} rows")
        answers: list[float] = probabilities[:, 1].tolist()
        if not math.isfinite(sum(answers)):  # one that is not finite makes the sum so
            raise PredictionFailed(f"the answer to row {list(map(math.isfinite, answers)).index(False)} is not finite")
        return answers

    def _demand_contract(self) -> None:
        inputs = [(node.name, node.type, len(node.shape), node.shape[1:]) for node in self._session.get_inputs()]
        if inputs != [(INPUT, "tensor(float)", 2, [self._columns])]:
            raise ReleaseInvalid(f"{MODEL}: inputs are {inputs}, expected one float {INPUT} [None, {self._columns}]")
        outputs = {node.name: node.type for node in self._session.get_outputs()}
        if outputs.get(OUTPUT) != "tensor(float)":
            raise ReleaseInvalid(f"{MODEL}: outputs are {outputs}, expected a float {OUTPUT} [None, 2]")


def _positions(feature: Feature) -> dict[FeatureValue, float]:
    positions: dict[FeatureValue, float] = {category: float(at) for at, category in enumerate(feature.categories)}
    positions[None] = NULL_POSITION
    # A subclass's lookup is slower than a dict's own; only an open category needs it.
    return _OpenPositions(positions) if feature.new_categories == "as_missing" else positions

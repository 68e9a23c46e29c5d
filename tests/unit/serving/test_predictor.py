"""Prevents that the model sees other numbers than it was trained on, or that a useless answer gets out."""

from pathlib import Path

import numpy as np
import pytest

from serving.predictor import PredictionFailed, Predictor
from serving.release import MODEL, ReleaseInvalid
from tests.unit.serving.bundles import FEATURES, onnx_model, write_bundle


def _predictor(folder: Path, model: bytes) -> Predictor:
    (folder / MODEL).write_bytes(model)
    return Predictor(folder / MODEL, FEATURES)


def test_numbers_nulls_and_categories_become_one_float32_tensor(releases: Path) -> None:
    """Prevents another encoding than the one that the model was exported with."""
    predictor = Predictor(write_bundle(releases, 1) / MODEL, FEATURES)
    tensor = predictor.encode([(1.5, 7, "AA"), (None, 0, "ÜA"), (-2.0, 23, None)])
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, [[1.5, 7, 0], [np.nan, 0, 2], [-2, 23, -1]])


def test_an_answer_that_is_not_finite_never_gets_out(tmp_path: Path) -> None:
    """Prevents that NaN is passed on as a probability."""
    predictor = _predictor(tmp_path, onnx_model(1, nulls=False))
    assert len(predictor.predict([(1.0, 1, "AA")])) == 1
    with pytest.raises(PredictionFailed, match="row 1 is not finite"):
        predictor.predict([(1.0, 1, "AA"), (None, 1, "AA")])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (onnx_model(1, columns=2), "inputs are"),
        (onnx_model(1, output="label"), "outputs are"),
        (b"no model", "model.onnx"),
        (b"", "model.onnx"),
    ],
    ids=["other width", "other output", "garbage", "empty"],
)
def test_a_model_outside_the_contract_is_refused(tmp_path: Path, model: bytes, reason: str) -> None:
    """Prevents that a misfit is found by the first request instead of the load."""
    with pytest.raises(ReleaseInvalid, match=reason):
        _predictor(tmp_path, model)

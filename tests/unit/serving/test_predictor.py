"""Prevents that the model sees other numbers than it was trained on, or that a useless answer gets out."""

import sys
from pathlib import Path

import numpy as np
import pytest

from serving.predictor import PredictionFailed, Predictor
from serving.release import MODEL, Feature, ReleaseInvalid
from serving.rows import Values
from tests.unit.serving.bundles import FEATURES, onnx_model, write_bundle

HOLIDAY = Feature(name="holiday", type="boolean", nullable=True)
PLAN = Feature(name="plan", type="category", nullable=True, categories=("free", "paid"), new_categories="as_missing")


def _predictor(folder: Path, model: bytes, features: tuple[Feature, ...] = FEATURES) -> Predictor:
    (folder / MODEL).write_bytes(model)
    return Predictor(folder / MODEL, features)


def test_numbers_nulls_and_categories_become_one_float32_tensor(releases: Path) -> None:
    """Prevents another encoding than the one that the model was exported with."""
    predictor = Predictor(write_bundle(releases, 1) / MODEL, FEATURES)
    tensor = predictor.encode([(1.5, 7, "AA"), (None, 0, "ÜA"), (-2.0, 23, None)])
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, [[1.5, 7, 0], [np.nan, 0, 2], [-2, 23, -1]])


def test_many_rows_are_encoded_as_few_are(releases: Path) -> None:
    """Prevents that a batch is answered otherwise than its rows one by one."""
    predictor = Predictor(write_bundle(releases, 1) / MODEL, FEATURES)
    rows: list[Values] = [(None if n % 3 else n / 7, n % 24, (None, "AA", "ÜA")[n % 3], f"id-{n}") for n in range(500)]
    few = np.concatenate([predictor.encode(rows[n : n + 1]) for n in range(500)])
    np.testing.assert_array_equal(predictor.encode(rows), few)


def test_a_boolean_is_one_or_zero_and_nan_where_it_is_null(tmp_path: Path) -> None:
    """Prevents that an unknown boolean reaches the model as false."""
    predictor = _predictor(tmp_path, onnx_model(1, columns=2), (HOLIDAY, PLAN))
    tensor = predictor.encode([(True, "free"), (False, "free"), (None, "free")])
    np.testing.assert_array_equal(tensor[:, 0], [1, 0, np.nan])


def test_a_new_value_of_an_open_category_is_encoded_as_null(tmp_path: Path) -> None:
    """Prevents that a value which the training read as null is a KeyError, or a code of its own."""
    predictor = _predictor(tmp_path, onnx_model(1, columns=2), (HOLIDAY, PLAN))
    tensor = predictor.encode([(True, "free"), (True, "paid"), (True, "gold"), (True, ""), (True, None)])
    assert tensor[:, 1].tolist() == [0, 1, -1, -1, -1]


def test_a_new_value_is_forgotten_after_its_request(tmp_path: Path) -> None:
    """Prevents that the service grows with every new text that clients think of."""
    predictor = _predictor(tmp_path, onnx_model(1, columns=2), (HOLIDAY, PLAN))
    new = "gold " * 2
    before = sys.getrefcount(new)
    predictor.encode([(True, new)])
    assert sys.getrefcount(new) == before


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

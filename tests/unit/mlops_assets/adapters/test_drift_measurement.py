from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.adapters.drift_measurement import MIN_VALUES, PREDICTION, DriftMeasurement, measure_drift
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift import ColumnDrift
from tests.unit.mlops_assets.small_windows import as_drawn, small_dataset, small_frame

DATASET = small_dataset()


def sample(rows: int = 600, *, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A drawn frame with a model's scores."""
    frame = as_drawn(small_frame(rows, shift=shift, seed=seed))
    return frame.assign(**{PREDICTION: 1 / (1 + np.exp(-frame["amount"].astype(float) / 40))})


def by_name(measured: DriftMeasurement) -> dict[str, ColumnDrift]:
    """The measured columns by name."""
    return {column.column: column for column in measured.columns}


def test_identical_samples_have_not_drifted(tmp_path: Path) -> None:
    """A window measured against itself must never start a training."""
    page = tmp_path / "reports" / "2013-01.html"
    measured = measure_drift(DATASET, reference=sample(), current=sample(), html=page)
    assert measured.share == 0
    assert [column.column for column in measured.columns] == list(DATASET.features)
    assert [column.score for column in measured.columns] == pytest.approx([0.0] * 5, abs=1e-9)
    assert not measured.target.drifted
    assert not measured.prediction.drifted
    text = page.read_text()
    assert "<html" in text
    assert "amount" in text


def test_a_shifted_column_is_found_and_the_others_are_not(tmp_path: Path) -> None:
    """The report must name the column, and the scores that follow from it."""
    moved = sample().assign(amount=sample()["amount"] + np.float32(60))
    moved[PREDICTION] = sample(shift=2)[PREDICTION]
    measured = measure_drift(DATASET, reference=sample(), current=moved, html=tmp_path / "a.html")
    assert [name for name, column in by_name(measured).items() if column.drifted] == ["amount"]
    assert measured.share == 0.2
    assert measured.prediction.drifted
    assert measured.target.column == "late"
    assert not measured.target.drifted


def test_a_category_and_the_target_that_shift_are_found(tmp_path: Path) -> None:
    """Distances of categories, by the contract's method and threshold."""
    current = sample(seed=1).assign(colour="red", late=True)
    measured = measure_drift(DATASET, reference=sample(), current=current, html=tmp_path / "a.html")
    colour = by_name(measured)["colour"]
    assert (colour.drifted, colour.method, colour.threshold) == (True, "jensenshannon", 0.1)
    assert by_name(measured)["amount"].method == "wasserstein"
    assert measured.target.drifted


@pytest.mark.parametrize("role", ["reference", "current window"])
def test_a_column_that_cannot_be_measured_is_said_and_the_others_are_measured(tmp_path: Path, role: str) -> None:
    """Evidently raises for the whole report where one column is all null."""
    samples = {"reference": sample(), "current window": sample()}
    hollow = samples[role].assign(plan=None)
    hollow["age"] = np.float32("nan")
    hollow.loc[: MIN_VALUES - 2, "age"] = np.float32(30)
    samples[role] = hollow
    page = tmp_path / "a.html"
    measured = measure_drift(DATASET, reference=samples["reference"], current=samples["current window"], html=page)
    columns = by_name(measured)
    assert columns["plan"].note == f"0 values in the sample of the {role}, 30 are needed"
    assert columns["age"].note == f"29 values in the sample of the {role}, 30 are needed"
    assert columns["plan"].score is columns["age"].score is None
    assert measured.share == 0.4
    for name in ("amount", "visits", "colour"):
        assert columns[name].score == pytest.approx(0, abs=1e-9)
        assert columns[name].note == ""
    assert page.exists()


def test_samples_too_small_to_say_anything_count_as_drifted_with_the_reason(tmp_path: Path) -> None:
    """Nothing measured must never read as no drift, and not fail without a word either."""
    page = tmp_path / "reports" / "a.html"
    measured = measure_drift(DATASET, reference=sample(), current=sample(MIN_VALUES - 1), html=page)
    assert measured.share == 1
    for column in (*measured.columns, measured.target, measured.prediction):
        assert column.score is None
        assert "values in the sample of the current window, 30 are needed" in column.note
    assert "could be measured" in page.read_text()


def test_the_target_is_measured_where_no_feature_can_be(tmp_path: Path) -> None:
    """A broken export of the features still tells whether the outcomes moved."""
    hollow = sample().assign(plan=None, colour=None, late=True)
    hollow[DATASET.numeric] = np.float32("nan")
    page = tmp_path / "a.html"
    measured = measure_drift(DATASET, reference=sample(), current=hollow, html=page)
    assert measured.share == 1
    assert all(column.score is None for column in measured.columns)
    assert measured.target.score is not None
    assert measured.target.drifted
    assert measured.prediction.score == pytest.approx(0, abs=1e-9)
    assert page.exists()


@pytest.mark.parametrize("column", ["amount", "visits", "colour"])
def test_a_constant_column_is_measured(tmp_path: Path, column: str) -> None:
    """Its standard deviation is zero; a score that is not a number would read as no drift."""
    value: Any = "red" if column == "colour" else np.float32(5)
    reference, current = sample().assign(**{column: value}), sample(seed=1)
    measured = by_name(measure_drift(DATASET, reference=reference, current=current, html=tmp_path / "a.html"))
    score = measured[column].score
    assert score is not None
    assert np.isfinite(score)
    assert measured[column].drifted


def with_methods(numeric: str, category: str) -> Dataset:
    """The contract with other distances."""
    return small_dataset(drift={"sample_rows": 1000, "numeric_method": numeric, "category_method": category})


@pytest.mark.parametrize(
    ("numeric", "category"),
    [
        ("jensenshannon", "kl_div"),
        ("kl_div", "psi"),
        ("psi", "hellinger"),
        ("hellinger", "jensenshannon"),
        ("ed", "jensenshannon"),
    ],
)
def test_every_method_that_a_contract_may_name_grows_with_drift(tmp_path: Path, numeric: str, category: str) -> None:
    """A p-value would read the other way round: drifted where nothing moved, and not where all did."""
    dataset = with_methods(numeric, category)
    far = sample(seed=1, shift=3).assign(colour="red")
    same = by_name(measure_drift(dataset, reference=sample(), current=sample(), html=tmp_path / "a.html"))
    moved = by_name(measure_drift(dataset, reference=sample(), current=far, html=tmp_path / "b.html"))
    for name in ("amount", "colour"):
        assert same[name].score == pytest.approx(0, abs=1e-6)
        assert not same[name].drifted
        assert moved[name].drifted
        assert moved[name].method == (category if name == "colour" else numeric)

import html
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.drift_measurement import PREDICTION, DriftMeasurement, measure_drift
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift import DriftDecision, NotEnoughData, decide
from mlops_assets.domain.drift_calibration import MIN_KEYS, CalibratedColumn, Sizes
from mlops_assets.domain.drift_columns import MIN_VALUES, ColumnDrift
from tests.unit.mlops_assets.adapters.test_evidently_report import Page
from tests.unit.mlops_assets.domain.test_drift import situation
from tests.unit.mlops_assets.small_windows import COLOURS, as_drawn, small_dataset, small_frame

DATASET = small_dataset()
RAW = small_dataset(drift={"mode": "raw"})
LEFT_OUT = small_dataset(drift={"unusable": "left_out"})
NARROW = {"amount": {"type": "float"}, "colour": {"type": "category", "categories": COLOURS}}
"""Two features where more would only take time."""
SIDES = {"reference": "reference", "current": "current window"}
"""A sample, and what a reason calls it."""


def sample(rows: int = 300, *, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A drawn frame with a model's scores."""
    frame = as_drawn(small_frame(rows, shift=shift, seed=seed))
    return frame.assign(**{PREDICTION: 1 / (1 + np.exp(-frame["amount"].astype(float) / 40))})


def shifted(frame: pd.DataFrame, by: float = 60) -> pd.DataFrame:
    """The same rows with other amounts, and nothing else changed."""
    return frame.assign(amount=frame["amount"] + np.float32(by))


def with_one_side(
    side: str, change: Callable[[pd.DataFrame], pd.DataFrame], made: Callable[[], pd.DataFrame] = sample
) -> list[pd.DataFrame]:
    """Two equal samples, reference and current, one of them changed."""
    return [change(made()) if role == side else made() for role in SIDES]


def measured(
    folder: Path,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    dataset: Dataset = DATASET,
    **others: Any,  # noqa: ANN401
) -> DriftMeasurement:
    """The measurement, with its page in a folder that is not there yet."""
    return measure_drift(dataset, reference=reference, current=current, html=page_in(folder), title="a title", **others)


def page_in(folder: Path) -> Path:
    """Where the page is."""
    return folder / "reports" / "page.html"


def shown(folder: Path) -> str:
    """The texts of Evidently's page."""
    return "\n".join(Page.read(page_in(folder)).texts)


def by_name(found: DriftMeasurement) -> dict[str, ColumnDrift]:
    """All measured columns by name, the target and the scores among them."""
    every = [*found.columns, found.target, found.prediction]
    return {column.column: column for column in every if column is not None}


def drifted(found: DriftMeasurement) -> list[str]:
    """Names of the features that drifted or count as that."""
    return [column.column for column in found.columns if column.counts_as_drifted]


def decision(dataset: Dataset, found: DriftMeasurement) -> DriftDecision:
    """What the measurement leads to."""
    share = NotEnoughData(found.not_enough_data or "") if found.share is None else found.share
    return decide(situation(measured=share, threshold=dataset.drift.drift_share_threshold))


def test_identical_samples_have_not_drifted(tmp_path: Path) -> None:
    """A window measured against itself must never start a training."""
    found = measured(tmp_path, sample(), sample())
    assert (found.share, found.not_enough_data) == (0, None)
    assert [column.column for column in found.columns] == list(DATASET.features)
    for column in by_name(found).values():
        assert (column.verdict, column.counts_as_drifted, column.reason) == ("stable", False, "")
        assert column.score == pytest.approx(0, abs=1e-9)
        assert column.times_limit == pytest.approx(0, abs=1e-8)
    assert "Drift is detected for 0.0% of columns (0 out of 5)." in shown(tmp_path)


def test_a_shifted_column_is_found_and_no_other(tmp_path: Path) -> None:
    """The report must name the column; its share is one of five."""
    found = measured(tmp_path, sample(), shifted(sample()))
    assert drifted(found) == ["amount"]
    assert found.share == 0.2
    assert found.sampled_rows == {"reference": 300, "current": 300}
    amount = by_name(found)["amount"]
    assert amount.score == pytest.approx(60 / np.std(sample()["amount"].astype(float)))
    assert amount.method == "wasserstein"


def test_a_shifted_category_is_found_by_the_method_of_categories(tmp_path: Path) -> None:
    """Numbers and categories have a method and a threshold each."""
    drift = {"numeric_threshold": 0.3, "category_method": "psi", "category_threshold": 0.25}
    found = measured(tmp_path, sample(), sample().assign(colour="red"), dataset=small_dataset(drift=drift))
    assert drifted(found) == ["colour"]
    methods = {name: (column.method, column.threshold) for name, column in by_name(found).items()}
    number, category = ("wasserstein", 0.3), ("psi", 0.25)
    assert methods == {
        **dict.fromkeys(["amount", "visits", "age", PREDICTION], number),
        **dict.fromkeys(["colour", "plan", "late"], category),
    }


def test_target_and_prediction_drift_are_measured_and_count_in_no_share(tmp_path: Path) -> None:
    """The share is that of what the model is given; the others say what it meant."""
    found = measured(tmp_path, sample(), sample().assign(late=True, **{PREDICTION: 0.99}))
    assert found.share == 0
    assert found.target is not None
    assert found.prediction is not None
    assert (found.target.column, found.prediction.column) == ("late", PREDICTION)
    assert (found.target.verdict, found.prediction.verdict) == ("drifted", "drifted")
    assert "Drift is detected for 0.0% of columns (0 out of 5)." in shown(tmp_path)
    assert "Drift in column 'prediction'\nData drift detected." in shown(tmp_path)


@pytest.mark.parametrize("without", SIDES)
def test_the_prediction_is_left_out_where_one_sample_was_not_scored(tmp_path: Path, without: str) -> None:
    """`mlops drift` compares windows where there may be no model; that is no missing column."""
    found = measured(tmp_path, *with_one_side(without, lambda frame: frame.drop(columns=PREDICTION)))
    assert found.prediction is None
    assert found.target is not None
    assert found.calibration is not None
    assert found.calibration.noise.keys() == {*DATASET.features, "late"}
    assert found.share == 0


KINDS = ("null", "infinite", "missing", "few", "text", "level")
"""Columns that are named by the way in which they cannot be judged."""
EXTENDED = {
    policy: small_dataset(
        features={
            **{name: {"type": "float"} for name in ("amount", *KINDS[:-1])},
            "level": {"type": "category", "categories": ["a", "b"]},
        },
        drift={"unusable": policy},
    )
    for policy in ("drifted", "left_out")
}


def whole(rows: int = 300) -> pd.DataFrame:
    """A sample of all these columns in which each can be judged."""
    frame = sample(rows)
    return frame.assign(**dict.fromkeys(KINDS[:-1], frame["amount"]), level=frame["late"].map({True: "a", False: "b"}))


def broken(frame: pd.DataFrame) -> pd.DataFrame:
    """Each of these columns in its way."""
    rows = np.arange(len(frame))
    return frame.assign(
        null=np.float32(np.nan),
        infinite=np.where(rows < 150, np.float32(np.inf), np.float32(-np.inf)),
        few=np.where(rows < MIN_VALUES - 1, frame["amount"], np.nan),
        text=[1.0, *["unknown"] * (len(frame) - 1)],
        level=None,
    ).drop(columns="missing")


@pytest.mark.parametrize(("policy", "counts", "share"), [("drifted", True, 6 / 7), ("left_out", None, 0)])
@pytest.mark.parametrize("side", SIDES)
def test_a_column_that_cannot_be_judged_any_more_is_said_and_the_others_are_measured(
    tmp_path: Path, side: str, policy: str, counts: bool | None, share: float
) -> None:
    """Evidently raises for the whole report; a feature that went silent must not pass for an unchanged one."""
    found = measured(tmp_path, *with_one_side(side, broken, whole), dataset=EXTENDED[policy])
    reasons = {
        "null": "all null",
        "infinite": "all infinite",
        "missing": "missing",
        "few": "29 values, 30 are needed,",
        "text": "no numbers, as the contract has them,",
        "level": "all null",
    }
    columns = by_name(found)
    for name, reason in reasons.items():
        method = "jensenshannon" if name == "level" else "wasserstein"
        assert replace(columns[name], nulls=(0.0, 0.0)) == ColumnDrift(
            name, "unusable", method, counts_as_drifted=counts, reason=f"{reason} in the {SIDES[side]}", changed=True
        )
    assert {name for name, column in columns.items() if column.score is not None} == {"amount", "late", PREDICTION}
    assert columns["amount"].verdict == "stable"
    assert found.share == share
    assert "Drift is detected for 0.0% of columns (0 out of 1)." in shown(tmp_path)
    said = page_in(tmp_path).read_text()
    assert f": {6 if counts else 0} of {7 if counts else 1} features count as drifted" in said, (
        "Evidently's is not ours"
    )
    for name, reason in reasons.items():
        assert f"{name}: {reason} in the {SIDES[side]} (counts as: {'drifted' if counts else 'left out'})" in said


@pytest.mark.parametrize("policy", EXTENDED)
def test_what_never_could_be_judged_is_always_left_out(tmp_path: Path, policy: str) -> None:
    """Counted as drifted, a feature that is always empty would train each month."""
    before, now = (broken(frame).assign(few=np.float32(30), level="a") for frame in (whole(), shifted(whole(150))))
    found = measured(tmp_path, before, now, dataset=EXTENDED[policy])
    assert {name: column.reason for name, column in by_name(found).items() if column.score is None} == {
        "null": "all null in the reference; all null in the current window",
        "infinite": "all infinite in the reference; all infinite in the current window",
        "missing": "missing in the reference; missing in the current window",
        "few": "constant: 30.0 throughout",
        "text": "no numbers, as the contract has them, in the reference; "
        "no numbers, as the contract has them, in the current window",
        "level": "constant: a throughout",
    }
    assert [column.counts_as_drifted for column in found.columns] == [True, *[None] * 6]
    assert found.share == 1


def test_a_column_that_was_constant_and_is_not_any_more_is_unusable(tmp_path: Path) -> None:
    """Its standard deviation is zero: the distance from it has no meaning, and the change is one all the same."""
    found = measured(tmp_path, sample().assign(amount=np.float32(5)), sample())
    amount = by_name(found)["amount"]
    assert (amount.verdict, amount.counts_as_drifted) == ("unusable", True)
    assert amount.reason == "constant in the reference: 5.0; 300 of 300 values differ in the current window"
    assert found.share == 0.2


def test_a_column_that_became_constant_is_judged(tmp_path: Path) -> None:
    """The reference says how far it moved; it is no fault."""
    found = measured(tmp_path, sample(), sample().assign(amount=np.float32(5), colour="red"))
    assert [by_name(found)[name].verdict for name in ("amount", "colour")] == ["drifted", "drifted"]
    assert drifted(found) == ["amount", "colour"]


@pytest.mark.parametrize(("values", "counts"), [(15, None), (9, True)])
def test_a_lack_of_values_that_chance_makes_in_one_of_all_columns_is_no_change(
    tmp_path: Path, values: int, counts: bool | None
) -> None:
    """With 17 columns, each at the rate of the whole report, a sparse one would raise an alarm every few months.

    31 of the reference's 100 customers have a value: chance leaves 5 or fewer of 34 with one in one of 20 windows,
    which one of seven columns may well do where one report of five may, and 3 or fewer in one of 100.
    """
    dataset = small_dataset(drift={"false_alarm_rate": 0.2})
    sparse = [
        frame.assign(age=np.where(np.arange(len(frame)) < present, frame["amount"], np.nan))
        for frame, present in ((sample(), 93), (sample(100), values))
    ]
    age = by_name(measured(tmp_path, *sparse, dataset=dataset))["age"]
    assert age.reason == f"{values} values, 30 are needed, in the current window"
    assert age.counts_as_drifted is counts


def test_labels_that_have_not_come_leave_the_features_as_they_are(tmp_path: Path) -> None:
    """The report of a window may be made anew at any time; its share does not wait for the target."""
    found = measured(tmp_path, sample(), shifted(sample().assign(late=None)))
    assert found.target == ColumnDrift(
        "late",
        "unusable",
        "jensenshannon",
        counts_as_drifted=True,
        reason="all null in the current window",
        changed=True,
        nulls=(0.0, 1.0),
    )
    assert found.share == 0.2


def test_the_share_of_nulls_is_told_of_both_sides(tmp_path: Path) -> None:
    """Distances look at values alone: a feature that comes half as often may have the same distribution."""
    half = sample().assign(amount=sample()["amount"].mask(sample().index % 10 < 4), colour=None)
    found = by_name(measured(tmp_path, sample(), half.replace({"visits": {0.0: np.inf}})))
    assert found["amount"].nulls == pytest.approx((0.0, 0.4))
    assert found["amount"].verdict == "stable"
    assert found["colour"].nulls == (0.0, 1.0)
    assert found["visits"].nulls[1] == pytest.approx((sample()["visits"] == 0).mean()), "an infinite value is none"


@pytest.mark.parametrize("side", SIDES)
def test_too_few_rows_are_not_enough_data(tmp_path: Path, side: str) -> None:
    """Neither drift nor no drift: both would be believed."""
    found = measured(tmp_path, *with_one_side(side, lambda frame: frame.iloc[:99]))
    said = f"99 rows in the {SIDES[side]}, the contract asks for 100 (`[drift] min_rows`)"
    rows = {"reference": 300, "current": 300, side: 99}
    assert found == DriftMeasurement(None, said, rows, columns=[])
    assert f"Not enough data: {said}" in page_in(tmp_path).read_text()


def test_as_many_rows_as_the_contract_asks_for_are_enough(tmp_path: Path) -> None:
    """The limit is the contract's, and not a number of ours."""
    dataset = small_dataset(features=NARROW, drift={"min_rows": 40})
    assert measured(tmp_path, sample(40), sample(40), dataset=dataset).share == 0
    assert measured(tmp_path, sample(39), sample(40), dataset=dataset).share is None
    assert measured(tmp_path, sample(40), sample(39), dataset=dataset).share is None


def _with_keys(frame: pd.DataFrame, keys: int) -> pd.DataFrame:
    return frame.assign(customer=[f"c{row % keys}" for row in range(len(frame))])


def test_too_few_split_keys_in_the_reference_cannot_be_calibrated(tmp_path: Path) -> None:
    """Nothing is known of how keys differ; a threshold made up of that would be believed."""
    found = measured(tmp_path, _with_keys(sample(), MIN_KEYS - 1), sample())
    said = (
        "the reference has 9 split keys (`customer`), 10 are needed to tell drift from chance: rows that share one are "
        "not independent; name a finer `split_by`, or more `train_windows` where windows have keys of their own, or "
        '`[drift] mode = "raw"`, which does not tell'
    )
    assert found == DriftMeasurement(None, said, {"reference": 300, "current": 300}, columns=[])
    assert html.escape(said) in page_in(tmp_path).read_text()
    enough = measured(
        tmp_path, _with_keys(sample(), MIN_KEYS), _with_keys(sample(), 1), dataset=small_dataset(features=NARROW)
    )
    assert enough.share == 0


def test_raw_mode_asks_for_no_split_keys(tmp_path: Path) -> None:
    """Evidently does not know of them."""
    raw = small_dataset(features=NARROW, drift={"mode": "raw"})
    assert measured(tmp_path, _with_keys(sample(), 1), sample(), dataset=raw).share == 0


def test_what_the_note_says_is_a_text(tmp_path: Path) -> None:
    """The split key is named by whoever made the data."""
    odd = "<img src=x onerror=alert(1)> & Co"
    frame = _with_keys(sample(), 9).rename(columns={"customer": odd})
    assert measured(tmp_path, frame, frame, dataset=small_dataset(split_by=odd)).share is None
    assert "img" not in [tag for tag, _ in Page.read(page_in(tmp_path)).tags]
    assert "(`&lt;img src=x onerror=alert(1)&gt; &amp; Co`)" in page_in(tmp_path).read_text()


@pytest.mark.parametrize("rows", [99, 300], ids=["a note", "a page"])
def test_a_page_is_replaced_as_a_whole(tmp_path: Path, rows: int) -> None:
    """Whoever reads the last page reads it to its end; a note must not stand beside an old page either."""
    page = page_in(tmp_path)
    page.parent.mkdir()
    page.write_text("the last one")
    os.link(page, tmp_path / "open elsewhere")
    measured(tmp_path, sample(rows), sample())
    assert (tmp_path / "open elsewhere").read_text() == "the last one"
    assert page.read_text().strip().lower().startswith("<!doctype html>")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_where_no_feature_could_ever_be_judged_there_is_not_enough_data(tmp_path: Path) -> None:
    """A share of nothing is no number; the target is measured all the same."""
    constant: dict[str, Any] = {
        "amount": np.float32(1),
        "visits": np.float32(2),
        "age": np.nan,
        "colour": "red",
        "plan": "paid",
    }
    found = measured(tmp_path, sample().assign(**constant), sample().assign(**constant, late=True))
    assert found.share is None
    assert found.not_enough_data == (
        "no column can be judged: amount: constant: 1.0 throughout; visits: constant: 2.0 throughout; "
        "age: all null in the reference; all null in the current window; colour: constant: red throughout; "
        "plan: constant: paid throughout"
    )
    assert len(found.columns) == 5
    assert found.target is not None
    assert found.target.verdict == "drifted"
    assert "Drift in column 'late'\nData drift detected." in shown(tmp_path)


@pytest.mark.parametrize(("dataset", "share"), [(DATASET, 1), (LEFT_OUT, None), (RAW, 1)])
def test_a_window_without_any_value_is_a_change_of_every_column(
    tmp_path: Path, dataset: Dataset, share: float | None
) -> None:
    """A broken export: nothing is left for Evidently, which fails on nothing, and there is a page all the same."""
    empty = sample()[["case_id", "customer"]]
    found = measured(tmp_path, sample(), empty, dataset=dataset)
    assert found.share == share
    assert {column.verdict for column in found.columns} == {"unusable"}
    assert (found.not_enough_data is None) == (share is not None)
    assert found.target is not None
    assert found.target.verdict == "unusable"
    assert found.calibration is None
    assert "Cannot be judged, and not among Evidently&#x27;s figures below: amount: " in page_in(tmp_path).read_text()


def test_the_thresholds_are_those_of_the_calibration(tmp_path: Path) -> None:
    """Another threshold than the one that keeps the rate would raise more alarms than the contract allows."""
    dataset = small_dataset(drift={"drift_share_threshold": 0.0})
    current = sample(120, seed=2)
    current.loc[:40, "age"] = np.nan
    current.loc[41:50, "age"] = np.inf
    found = measured(tmp_path, sample(), current, dataset=dataset)
    calibration = found.calibration
    assert calibration is not None
    assert (calibration.reference, calibration.current) == (Sizes(rows=300, keys=100), Sizes(rows=120, keys=40))
    categories = {*dataset.categorical, "late"}
    for name, column in by_name(found).items():
        method = "jensenshannon" if name in categories else "wasserstein"
        asked = CalibratedColumn(name, method, 0.1, is_category=name in categories, in_share=name in dataset.features)
        values = int(current[name].replace(np.inf, np.nan).notna().sum())
        assert column.threshold == calibration.threshold(asked, values=values)
    expected = round(calibration.expected_values["age"][1])
    few = CalibratedColumn("age", "wasserstein", 0.1, is_category=False)
    assert calibration.threshold(few, values=expected) < (by_name(found)["age"].threshold or 0)


def test_evidentlys_page_goes_by_the_same_thresholds_and_verdicts(tmp_path: Path) -> None:
    """A page that calls a column drifted that the report calls stable is the one that is believed."""
    found = measured(tmp_path, sample(600), shifted(sample(100, seed=10), 30))
    texts = shown(tmp_path)
    for column in found.columns:
        drift = {"drifted": "yes", "stable": "no"}[column.verdict]
        assert f"\n{column.column}\n{column.score:.4g}\n{column.threshold:.4g}\n{drift}\n" in texts
    for name, one in (("late", found.target), (PREDICTION, found.prediction)):
        assert one is not None
        said = re.search(rf"Value Drift for column {name}\n.*The drift threshold is ([0-9.]+)\.\n(\w+)", texts)
        assert said is not None
        assert said[1] == f"{one.threshold:.2f}"
        assert said[2] == {"drifted": "fail", "stable": "success"}[one.verdict]
    assert drifted(found) == ["amount"]
    assert max(column.threshold or 0 for column in found.columns) > 0.2
    assert "Drift is detected for 20.0% of columns (1 out of 5)." in texts
    assert "Dataset drift detection threshold is 0.3" in texts


def test_a_small_chance_difference_of_a_small_window_is_stable(tmp_path: Path) -> None:
    """By the contract's threshold alone two of its five columns would have drifted, and a training would start."""
    found = measured(tmp_path, sample(600), sample(100, seed=10))
    assert found.share == 0
    for name in ("amount", "age"):
        column = by_name(found)[name]
        assert column.score is not None
        assert column.threshold is not None
        assert 0.1 < column.score < column.threshold
        assert column.verdict == "stable"
        assert column.times_limit == column.score / 0.1
    assert decision(DATASET, found).trains is None


def test_a_real_drift_of_a_small_window_is_found(tmp_path: Path) -> None:
    """Raised thresholds must not hide what is large."""
    found = measured(tmp_path, sample(600), sample(100, seed=10, shift=2))
    assert drifted(found) == ["amount", "visits"]
    assert found.sampled_rows == {"reference": 600, "current": 100}
    assert decision(DATASET, found).trains is not None


@pytest.mark.parametrize("rows", [300, 1500])
def test_raw_mode_is_evidentlys_preset_as_it_comes(tmp_path: Path, rows: int) -> None:
    """Whoever compares with Evidently must find its methods, p-values among them, its scores and its verdicts."""
    reference, current = small_frame(rows), small_frame(250, seed=4, shift=0.2)
    found = measured(tmp_path, reference, current, dataset=RAW, calibrations=tmp_path / "calibrations")
    own, share = _preset(reference, current)
    assert {
        column.column: (column.method, column.score, column.threshold, column.verdict) for column in found.columns
    } == own
    assert found.share == share
    assert 0 < share < 1
    assert found.calibration is None
    assert not (tmp_path / "calibrations").exists()
    for column in found.columns:
        assert ("p_value" in column.method) == (rows == 300)
        expected = None if rows == 300 else (column.score or 0) / 0.1
        assert column.times_limit == expected
        assert column.counts_as_drifted == (column.verdict == "drifted")


def _preset(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[dict[str, tuple[str, float, float, str]], float]:
    """What Evidently's preset says of the features on its own, and its share."""
    from evidently import DataDefinition, Report
    from evidently import Dataset as EvidentlyDataset
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=DATASET.numeric, categorical_columns=DATASET.categorical)
    before, now = (
        EvidentlyDataset.from_pandas(frame[list(DATASET.features)], data_definition=definition)
        for frame in (reference, current)
    )
    report = Report([DataDriftPreset()], include_tests=True).run(current_data=now, reference_data=before).dict()
    count, *columns = report["metrics"]
    verdicts = {test["metric_config"]["metric_id"]: test["status"].value for test in report["tests"]}
    own = {
        metric["config"]["column"]: (
            metric["config"]["method"],
            metric["value"],
            metric["config"]["threshold"],
            {"FAIL": "drifted", "SUCCESS": "stable"}[verdicts[metric["id"]]],
        )
        for metric in columns
    }
    return own, count["value"]["share"]


def test_raw_mode_keeps_unusable_columns_from_evidently(tmp_path: Path) -> None:
    """One of them would make the whole preset fail; which method it would have chosen nobody knows."""
    found = measured(tmp_path, sample(), sample().assign(age=np.float32(np.nan)), dataset=RAW)
    assert replace(by_name(found)["age"], nulls=(0.0, 0.0)) == ColumnDrift(
        "age", "unusable", "", counts_as_drifted=True, reason="all null in the current window", changed=True
    )
    assert found.share == 0.2
    assert {column.method for column in found.columns} == {"", "K-S p_value", "chi-square p_value", "Z-test p_value"}


@pytest.mark.parametrize("dataset", [DATASET, RAW], ids=["calibrated", "raw"])
def test_importance_is_put_on_each_column(tmp_path: Path, dataset: Dataset) -> None:
    """The report ranks by it; one that is not known is not zero."""
    importance = {"amount": 0.2, "age": 0.1, "plan": 0.0, "gone": 0.3}
    hollow = sample().assign(age=np.float32(np.nan))
    found = measured(tmp_path, sample(), hollow, dataset=dataset, importance=importance)
    assert {name: column.importance for name, column in by_name(found).items()} == {
        "amount": 0.2,
        "visits": None,
        "age": 0.1,
        "colour": None,
        "plan": 0.0,
        "late": None,
        PREDICTION: None,
    }


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
    dataset = small_dataset(features=NARROW, drift={"numeric_method": numeric, "category_method": category})
    same = by_name(measured(tmp_path, sample(), sample(), dataset=dataset))
    moved = by_name(measured(tmp_path, sample(), sample(seed=1, shift=3).assign(colour="red"), dataset=dataset))
    for name, method in (("amount", numeric), ("colour", category)):
        assert same[name].score == pytest.approx(0, abs=1e-6)
        assert same[name].verdict == "stable"
        assert moved[name].verdict == "drifted"
        assert moved[name].method == method
        assert moved[name].times_limit == (moved[name].score or 0) / 0.1


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(("dataset", "counts", "share"), [(DATASET, True, 0.2), (LEFT_OUT, None, 0)])
def test_a_score_that_is_no_number_makes_the_column_unusable(
    tmp_path: Path, dataset: Dataset, counts: bool | None, share: float
) -> None:
    """Compared with a threshold, what is not finite would read as no drift, or rank above all others."""
    chance = np.random.default_rng(0)
    reference = small_frame(200).assign(amount=chance.random(200) * 1e-3)
    current = small_frame(120).assign(amount=chance.uniform(0, 5e305, 120))
    found = measured(tmp_path, reference, current, dataset=dataset, importance={"amount": 0.5})
    assert by_name(found)["amount"] == ColumnDrift(
        "amount",
        "unusable",
        "wasserstein",
        counts_as_drifted=counts,
        reason="Evidently measures inf",
        changed=True,
        importance=0.5,
    )
    assert found.share == share


def test_a_kept_calibration_is_used_by_the_next_report(tmp_path: Path) -> None:
    """It is kept with the release, and the next window of the same size costs a file read."""
    folder = tmp_path / "calibrations"
    first = measured(tmp_path, sample(), sample(150, seed=1), calibrations=folder)
    (path,) = folder.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "factor": 1000.0}))
    reference = sample().sample(frac=1, random_state=0)
    second = measured(tmp_path, reference, shifted(sample(150, seed=2)), calibrations=folder)
    assert [path.name for path in folder.iterdir()] == [path.name]
    assert first.calibration is not None
    assert second.calibration is not None
    assert asdict(second.calibration) == {**asdict(first.calibration), "factor": 1000.0}
    assert drifted(second) == []


def test_the_samples_stay_as_they_are(tmp_path: Path) -> None:
    """The caller draws the picture of the same frames."""
    reference, current = sample().iloc[::-1], sample(seed=1).assign(age=np.float32(np.inf))
    copies = reference.copy(), current.copy()
    measured(tmp_path, reference, current, dataset=small_dataset(drift={"numeric_method": "hellinger"}))
    pd.testing.assert_frame_equal(reference, copies[0])
    pd.testing.assert_frame_equal(current, copies[1])


PLACES = [f"place {number}" for number in range(60)]
STEPS = 2.0**20 * np.arange(20)
"""Numbers that a set holds in the order in which they came, and Evidently adds up in that of a set."""
ORDERED = {
    mode: small_dataset(
        features={
            "amount": {"type": "float"},
            "steps": {"type": "float"},
            "place": {"type": "category", "categories": PLACES},
        },
        drift={"mode": mode, "drift_share_threshold": 0.7, "numeric_method": "psi", "category_method": "psi"},
    )
    for mode in ("calibrated", "raw")
}


@lru_cache
def arrived(mode: str, shift: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two samples in which every row id came back in other windows, with other values."""
    before = _returned(sample(1002 if mode == "raw" else 240), PLACES[:20], STEPS[:10])
    return before, _returned(sample(150, seed=1, shift=shift), PLACES[10:], STEPS)


def _returned(frame: pd.DataFrame, places: list[str], steps: np.ndarray[Any, Any]) -> pd.DataFrame:
    chance, often = np.random.default_rng(0), np.arange(1, len(steps) + 1)
    return frame.assign(
        case_id=[f"r{row % 24}" for row in range(len(frame))],
        place=chance.choice(places, len(frame)),
        steps=chance.choice(steps, len(frame), p=often / often.sum()),
    )


def arrived_as(folder: Path, mode: str, samples: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[DriftMeasurement, str]:
    """What is measured where the rows stand in this order, and what the page draws; ids of its parts are random."""
    found = measured(folder, *samples, dataset=ORDERED[mode])
    assert all(column.score is not None for column in by_name(found).values()), "nothing would be compared"
    drawn = "".join(re.findall(r"^ *var .*", page_in(folder).read_text(), re.MULTILINE))
    return found, re.sub("-?".join(f"[0-9a-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12)), "", drawn)


@lru_cache
def in_order(folder: Path, mode: str, shift: float) -> tuple[DriftMeasurement, str]:
    """The same where the rows stand in the order in which they were made."""
    return arrived_as(folder, mode, arrived(mode, shift))


@given(
    mode=st.sampled_from(["calibrated", "raw"]),
    shift=st.sampled_from([0.0, 1.0]),
    orders=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
@settings(max_examples=10, deadline=None)
def test_neither_measurement_nor_decision_depends_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, mode: str, shift: float, orders: tuple[int, int]
) -> None:
    """Equal to the last digit: a sum in another order differs in it, and a score that lies at its threshold turns.

    Rows land in any order, and an id may come back in another window. The page is drawn of the same order.
    """
    folder = tmp_path_factory.getbasetemp() / "order of rows"
    expected, expected_page = in_order(folder, mode, shift)
    before, now = (
        frame.iloc[np.random.default_rng(order).permutation(len(frame))].reset_index(drop=True)
        for frame, order in zip(arrived(mode, shift), orders, strict=True)
    )
    found, page = arrived_as(folder, mode, (before, now))
    assert found == expected
    assert decision(ORDERED[mode], found) == decision(ORDERED[mode], expected)
    assert page == expected_page

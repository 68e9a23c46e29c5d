import copy
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.domain.dataset import Dataset, Drift, Feature, Gate, Limits, Training
from tests.unit.mlops_assets.small_windows import small_contract, small_dataset


def contract_with(path: str, value: object) -> dict[str, Any]:
    """The small contract with one value replaced; `path` is dotted."""
    contract: dict[str, Any] = copy.deepcopy(small_contract())
    *above, last = path.split(".")
    place = contract
    for key in above:
        place = place.setdefault(key, {})
    place[last] = value
    return contract


def test_every_limit_has_a_default() -> None:
    """A contract of names and features alone must be enough to start with."""
    contract = small_contract()
    for part in ("limits", "drift", "training"):
        del contract[part]
    dataset = Dataset.model_validate(contract)
    assert dataset.limits == Limits(min_rows=500, max_quarantined_share=0.05)
    assert dataset.drift == Drift(drift_share_threshold=0.3, sample_rows=5000)
    assert dataset.training == Training(train_windows=3, max_rows=500_000, seed=0)
    assert dataset.gate == Gate(min_gain=0.01, max_differing_share=0.001)


def test_columns_are_named_in_the_contracts_order() -> None:
    """The order is the order of the model's inputs: sorting it would feed a model the wrong columns."""
    dataset = small_dataset()
    assert dataset.numeric == ["amount", "visits", "age"]
    assert dataset.categorical == ["colour", "plan"]
    assert dataset.columns == ["case_id", "customer", "late", "amount", "visits", "age", "colour", "plan"]


def test_a_row_id_that_is_the_split_key_is_one_column() -> None:
    """Selecting it twice would be an ambiguous column."""
    assert small_dataset(split_by="case_id").columns[:2] == ["case_id", "late"]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"type": "category"}, 'a feature of type "category" needs `categories`'),
        ({"type": "category", "categories": ["a"], "range": [0, 1]}, "`range` is for numbers"),
        ({"type": "category", "categories": ["a", "b", "a"]}, "`categories` names a value twice"),
        ({"type": "float", "categories": ["a"]}, '`categories` is for the type "category"; this feature is of type'),
        ({"type": "float", "range": [2, 1]}, "`range` is [smallest, largest]; 2.0 is larger than 1.0"),
        ({"type": "float", "range": [0, float("inf")]}, "Input should be a finite number"),
        ({"type": "float", "range": [float("nan"), 1]}, "Input should be a finite number"),
        ({"type": "text"}, "Input should be 'float', 'integer' or 'category'"),
        ({"type": "float", "nulable": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_feature_that_contradicts_itself_is_refused_with_what_is_expected(
    feature: dict[str, object], message: str
) -> None:
    """An ignored key is a limit that the user believes to be held."""
    with pytest.raises(ValidationError) as refused:
        Feature.model_validate(feature)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("target", "amount", "`target` is the column 'amount', which is also a feature"),
        ("row_id", "amount", "`row_id` is the column 'amount', which is also a feature"),
        ("split_by", "amount", "`split_by` is the column 'amount', which is also a feature"),
        ("target", "case_id", "`target` must be a column of its own"),
        ("target", "customer", "`target` must be a column of its own"),
        ("features._split", {"type": "float"}, "the column '_split' begins with '_'"),
        ("row_id", "_id", "the column '_id' begins with '_'"),
        ("features.AMOUNT", {"type": "float"}, "'amount' and 'AMOUNT' differ in case alone"),
        ("row_id", "Late", "'Late' and 'late' differ in case alone"),
        ("features.prediction", {"type": "float"}, "'prediction' is the name of the model's own scores"),
        ("features", {}, "at least 1 item"),
        ("name", "Has Spaces", "should match pattern"),
        ("limits.min_rows", 0, "greater than or equal to 1"),
        ("limits.max_quarantined_share", 1.1, "less than or equal to 1"),
        ("drift.drift_share_threshold", -0.1, "greater than or equal to 0"),
        ("drift.sample_rows", 99, "greater than or equal to 100"),
        ("drift.numeric_threshold", 0, "greater than 0"),
        ("drift.category_threshold", 0, "greater than 0"),
        ("drift.numeric_method", "ks", "Input should be"),
        ("drift.category_method", "chisquare", "Input should be"),
        ("training.train_windows", 0, "greater than or equal to 1"),
        ("training.max_rows", 99, "greater than or equal to 100"),
        ("gate.min_gain", 1, "less than 1"),
        ("gate.min_gain", -0.1, "greater than or equal to 0"),
        ("gate.max_differing_share", 2, "less than or equal to 1"),
        ("targets", "late", "Extra inputs are not permitted"),
    ],
)
def test_a_contract_that_cannot_be_held_is_refused_with_what_is_expected(
    path: str, value: object, message: str
) -> None:
    """A contract must fail when it is read, not in the third month."""
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate(contract_with(path, value))
    assert message in str(refused.value)


def test_a_contract_does_not_change_while_the_loop_runs() -> None:
    """The data version hashes the contract: changing it in place would make the hash a lie."""
    with pytest.raises(ValidationError, match="frozen"):
        small_dataset().target = "other"  # type: ignore[misc]

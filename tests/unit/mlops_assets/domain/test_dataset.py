import copy
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.dataset_tables import Drift, Gate, Limits, Retraining, Training
from mlops_assets.domain.feature import Feature
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
    assert dataset.drift == Drift(
        mode="calibrated", drift_share_threshold=0.3, false_alarm_rate=0.01, sample_rows=20_000, unusable="drifted"
    )
    assert dataset.retraining == Retraining(drifted_windows=1, of_last=1, cooldown_windows=0, budget_trainings=None)
    assert dataset.training == Training(train_windows=3, max_rows=500_000, seed=0)
    assert dataset.gate == Gate(min_gain=0.01, max_differing_share=0.001)


def test_columns_are_named_in_the_contracts_order() -> None:
    """The order is the order of the model's inputs: sorting it would feed a model the wrong columns."""
    dataset = small_dataset()
    assert dataset.numeric == ["amount", "visits", "age"]
    assert dataset.categorical == ["colour", "plan"]
    assert dataset.inputs == ["case_id", "customer", "amount", "visits", "age", "colour", "plan"]
    assert dataset.columns == [*dataset.inputs, "late"]
    mixed = {"b": {"type": "boolean"}, "x": {"type": "float"}, "a": {"type": "category", "categories": ["u"]}}
    assert small_dataset(features=mixed).categorical == ["b", "a"]


def test_a_row_id_that_is_the_split_key_is_one_column() -> None:
    """Selecting it twice would be an ambiguous column."""
    assert small_dataset(split_by="case_id").columns[:2] == ["case_id", "amount"]
    roles = small_dataset(entity_key="customer", event_time="at", segments=["plan", "site", "customer"])
    assert roles.kept == ["at", "site"]
    assert roles.inputs[:4] == ["case_id", "customer", "at", "site"]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"type": "category"}, 'a feature of type "category" needs `categories`'),
        ({"type": "category", "categories": ["a"], "range": [0, 1]}, "`range` is for numbers"),
        ({"type": "category", "categories": ["a", "b", "a"]}, "`categories` names a value twice"),
        (
            {"type": "float", "categories": ["a"]},
            '`new_categories` are for the type "category"; this feature is of type',
        ),
        ({"type": "boolean", "new_categories": "as_missing"}, 'are for the type "category"'),
        ({"type": "category", "categories": ["a"], "new_categories": "as_missing"}, "it needs `nullable = true`"),
        ({"type": "boolean", "range": [0, 1]}, "`range` is for numbers; this feature is of type"),
        ({"type": "float", "range": [2, 1]}, "`range` is [smallest, largest]; 2.0 is larger than 1.0"),
        ({"type": "float", "range": [0, float("inf")]}, "Input should be a finite number"),
        ({"type": "float", "range": [float("nan"), 1]}, "Input should be a finite number"),
        ({"type": "text"}, "Input should be 'float', 'integer', 'boolean' or 'category'"),
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
        ("entity_key", "amount", "`entity_key` is the column 'amount', which is also a feature"),
        ("event_time", "amount", "`event_time` is the column 'amount', which is also a feature"),
        ("entity_key", "late", "`target` must be a column of its own"),
        ("segments", ["late"], "`target` must be a column of its own"),
        ("segments", ["plan", "plan"], "`segments` names a column twice"),
        ("segments", ["amount"], "the segment 'amount' is a number"),
        ("segments", ["_site"], "the column '_site' begins with '_'"),
        ("target_values", ["Yes", "yes"], "`target_values` are two different values"),
        ('features.a"b', {"type": "float"}, "has a quote, a backslash or a control character in its name"),
        ("source", {"tables": ["a", "b"]}, "several `tables` need `key`"),
        ("source", {"tables": ["a", "a"], "key": "k"}, "name a table twice"),
        ("source", {"tables": ["a"], "labels": "a"}, "name a table twice"),
        ("source", {"labels": "a"}, "`labels` names a table beside `tables`"),
        ("source", {"tables": ["../a"]}, "should match pattern"),
        ("limits.min_labelled_share", 0, "greater than 0"),
        ("serving", {}, "`serving` says how old the features of an entity may be, and no `entity_key`"),
        ("serving", {"max_feature_age_days": 0}, "greater than 0"),
        ("serving", {"max_feature_age_days": float("inf")}, "less than or equal to"),
        ("serving", {"max_feature_age_days": "30"}, "Input should be a valid number"),
        ("serving", {"max_feature_age": 30}, "Extra inputs are not permitted"),
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


def test_the_rules_are_all_that_stored_rows_depend_on_and_nothing_else() -> None:
    """A data version stands for rows: a word must not make another one, another rule must."""
    rules = small_dataset().rules
    same: list[tuple[str, object]] = [
        ("description", "words"),
        ("name", "other"),
        ("limits.min_rows", 11),
        ("drift.sample_rows", 200),
        ("training.seed", 7),
        ("gate.min_gain", 0.5),
        ("features.amount.unit", "EUR"),
        ("features.amount.description", "words"),
    ]
    other: list[tuple[str, object]] = [
        ("split_by", "case_id"),
        ("target_values", ["no", "yes"]),
        ("entity_key", "customer"),
        ("segments", ["plan"]),
        ("source", {"tables": ["a"], "key": "customer"}),
        ("features.amount.range", [-1, 1]),
        ("features.amount.nullable", True),
        ("features.plan.new_categories", "as_missing"),
        ("features.more", {"type": "float"}),
    ]
    assert {Dataset.model_validate(contract_with(path, value)).rules for path, value in same} == {rules}
    others = [Dataset.model_validate(contract_with(path, value)).rules for path, value in other]
    assert len({rules, *others}) == 1 + len(other)


def test_how_old_features_may_be_changes_no_stored_row() -> None:
    """Else a limit that a person moves would make new versions of all windows, and a training of each."""
    known = small_dataset(entity_key="customer")
    limited = small_dataset(entity_key="customer", serving={"max_feature_age_days": 7})
    assert (limited.rules, limited.shape) == (known.rules, known.shape)


@pytest.mark.parametrize(
    ("path", "value", "is_another"),
    [
        ("features.colour.categories", ["red", "green", "violet"], False),
        ("features.amount.range", [-1, 1], False),
        ("features.amount.nullable", True, False),
        ("source", {"tables": ["a"], "key": "customer"}, False),
        ("split_by", "case_id", True),
        ("target_values", ["no", "yes"], True),
        ("segments", ["region"], True),
        ("features.amount.type", "integer", True),
        ("features.more", {"type": "float"}, True),
    ],
)
def test_windows_of_one_shape_have_the_same_columns(path: str, value: object, is_another: bool) -> None:
    """A new category is the most common change of all, and must not make a dataset begin anew."""
    assert (Dataset.model_validate(contract_with(path, value)).shape != small_dataset().shape) is is_another


def test_a_target_that_nobody_has_named_is_refused() -> None:
    """`mlops init` leaves it where it found none; every window would wait for labels for ever."""
    with pytest.raises(ValidationError, match="name the column with the truth"):
        small_dataset(target="...")


def test_labels_are_joined_by_the_sources_key_or_the_row_id() -> None:
    """As the contract says it."""
    assert small_dataset().label_key == "case_id"
    assert small_dataset(source={"tables": ["a"], "key": "customer"}).label_key == "customer"


@pytest.mark.parametrize("value", ["none", "NA", " nan ", ""])
def test_a_target_value_that_means_null_is_refused(value: str) -> None:
    """It would be read as a label that has not come, for ever."""
    with pytest.raises(ValidationError, match="which is read as a label that has not come yet"):
        small_dataset(target_values=("yes", value))

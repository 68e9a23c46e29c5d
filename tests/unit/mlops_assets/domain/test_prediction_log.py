"""The rules as DuckDB applies them to one logged row; whole logs are in the tests of `prediction_window`."""

import json
from typing import Any

import duckdb
import pytest

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.prediction_log import (
    HASH_ALONE,
    context_paths,
    feature_paths,
    log_rules,
    nothing_left,
    ordered_columns,
    reason_sql,
)
from tests.unit.mlops_assets.log_segments import FEATURES
from tests.unit.mlops_assets.small_windows import small_dataset


def judged(
    dataset: Dataset,
    *,
    features: dict[str, Any] | None = FEATURES,
    context: dict[str, Any] | None = None,
    label: bool | None = None,
    nth: int = 1,
) -> dict[str, Any]:
    """The window's columns of one row, and why it is left out."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(
            f"SELECT {ordered_columns(dataset)}, {reason_sql(log_rules(dataset))} AS why FROM (SELECT 'a' AS _id, "  # noqa: S608
            "TIMESTAMPTZ '2024-03-05 12:00:00.000001Z' AS _at, $nth::BIGINT AS _nth, $label::BOOLEAN AS _label, "
            "json_extract($features::VARCHAR, $feature_paths::VARCHAR[]) AS _features, "
            "json_extract($context::VARCHAR, $context_paths::VARCHAR[]) AS _context)",
            params={
                "nth": nth,
                "label": label,
                "features": None if features is None else json.dumps(features),
                "context": json.dumps({"customer": "c"} if context is None else context),
                "feature_paths": feature_paths(dataset),
                "context_paths": context_paths(dataset),
            },
        )
        (row,) = relation.fetchall()
        return dict(zip(relation.columns, row, strict=True))


def test_a_row_has_the_contracts_columns_as_the_model_saw_them() -> None:
    """Prevents a model from learning from other values than it answers on."""
    row = judged(small_dataset())
    assert row.pop("why") is None
    assert row == {"case_id": "a", "customer": "c", "late": None, **FEATURES}
    assert list(row) == small_dataset().columns


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"nth": 2}, "case_id: answered before"),
        ({"features": None}, HASH_ALONE),
        ({"context": {}}, "customer: missing"),
        ({"context": {"customer": None}}, "customer: missing"),
        ({"features": {**FEATURES, "amount": None}}, "amount: missing"),
        ({"features": {**FEATURES, "amount": True}}, "amount: not a number"),
        ({"features": {**FEATURES, "amount": "1.5"}}, "amount: not a number"),
        ({"features": {**FEATURES, "colour": 3}}, "colour: not a text"),
        ({"features": {k: v for k, v in FEATURES.items() if k != "age"}}, "age: not logged"),
        ({"features": {**FEATURES, "more": 1}}, None),
        ({"features": {**FEATURES, "visits": 3.0}}, None),
        ({"features": {**FEATURES, "colour": "new"}}, None),
    ],
)
def test_a_row_that_cannot_be_a_row_is_left_out_with_its_reason(changed: dict[str, Any], why: str | None) -> None:
    """Prevents values that nobody sent; what the contract says of values is judged as of any window."""
    assert judged(small_dataset(), **changed)["why"] == why


def test_a_feature_of_true_and_false_takes_no_number() -> None:
    """Prevents 2 from becoming true."""
    dataset = small_dataset(features={"paid": {"type": "boolean"}})
    assert judged(dataset, features={"paid": False})["paid"] is False
    assert judged(dataset, features={"paid": 2})["why"] == "paid: not true or false"


def test_the_events_time_is_that_of_the_answer_where_none_was_given() -> None:
    """Prevents rows in quarantine for a time that the log knows."""
    dataset = small_dataset(event_time="seen", entity_key="who", segments=["region"])
    given = judged(dataset, context={"customer": 5, "seen": "2024-03-04 10:00", "who": 7, "region": None})
    assert (given["seen"], given["customer"], given["who"], given["region"]) == ("2024-03-04 10:00", "5", "7", None)
    absent = judged(dataset, context={"customer": 5, "who": 7})
    assert (absent["seen"], absent["why"]) == ("2024-03-05T12:00:00.000001Z", None)
    assert judged(dataset, context={"customer": 5})["why"] == "who: missing"
    key = small_dataset(event_time="seen", split_by="seen")
    assert judged(key, context={})["why"] == "seen: missing", "a split key is never made up"


def test_a_row_is_its_own_split_key_where_the_contract_says_so() -> None:
    """Prevents a contract without groups from needing a context."""
    row = judged(small_dataset(split_by="case_id"), context={})
    assert (row["case_id"], row["why"]) == ("a", None)


@pytest.mark.parametrize(
    ("values", "said"), [(None, (False, True, None)), (["no", "it's so"], ("no", "it's so", None))]
)
def test_labels_are_said_as_the_contract_says_them(values: list[str] | None, said: tuple[Any, ...]) -> None:
    """Prevents labels that the window's own checks would refuse."""
    dataset = small_dataset(target_values=values)
    assert tuple(judged(dataset, label=label)["late"] for label in (False, True, None)) == said


def test_names_of_any_letters_are_found() -> None:
    """Prevents a column named `price/unit~1` from being looked for elsewhere."""
    names = ["price/unit~1", "a.b[0]", "$", "größe", "0"]
    dataset = small_dataset(features={name: {"type": "integer"} for name in names}, split_by='the "key"')
    row = judged(dataset, features={name: at for at, name in enumerate(names)}, context={'the "key"': "c"})
    assert row["why"] is None
    assert [row[name] for name in names] == [0, 1, 2, 3, 4]


def test_what_to_do_is_said_where_nothing_is_left() -> None:
    """Prevents a search for lost rows where the service was told to keep hashes."""
    assert "what a model saw cannot be had from its hash" in str(nothing_left({HASH_ALONE: 3}, "w"))
    assert "send the columns beside the features" in str(nothing_left({"customer: missing": 3, HASH_ALONE: 1}, "w"))

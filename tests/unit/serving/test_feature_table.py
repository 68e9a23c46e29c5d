"""Prevents a guess: an answer from features that are unknown, too old, or not those that the model takes."""

import msgspec
import pytest

from serving.feature_table import (
    EntityUnknown,
    FeaturesStale,
    FeaturesUnavailable,
    answer,
    demand_fit,
    demanded_key,
    read_meta,
    rfc3339,
)
from serving.release import Feature
from tests.unit.serving.feature_tables import AS_OF, DAY, FEATURES, META, ROW, manifest

STORED = (AS_OF * 1_000_000, msgspec.json.encode({**ROW, "further": 1}).decode())


def test_the_answer_is_the_models_features_in_its_order_with_their_age() -> None:
    """Prevents that a feature which the model does not know makes its strict row type refuse the row."""
    model = manifest(features=FEATURES[::-1])
    found = answer(META, "c1", STORED, model, now=AS_OF + 90)
    assert list(found.features) == ["member", "shop", "visits", "price"]
    assert found.features == ROW
    assert (found.as_of, found.age_seconds) == ("2023-11-14T22:13:20Z", 90)
    assert (found.window, found.data_version) == ("2023-11", "abc")


def test_features_answer_up_to_the_limit_and_not_a_second_longer() -> None:
    limit = AS_OF + 30 * DAY
    assert answer(META, "c1", STORED, manifest(), now=limit).age_seconds == 30 * DAY
    with pytest.raises(
        FeaturesStale, match=r"customer 'c1' are of 2023-11-14T22:13:20Z: 30\.0 days old.* 30 days"
    ) as s:
        answer(META, "c1", STORED, manifest(), now=limit + 1)
    assert (s.value.age_seconds, s.value.limit_seconds) == (30 * DAY + 1, 30 * DAY)


def test_a_clock_that_is_behind_makes_no_negative_age() -> None:
    assert answer(META, "c1", STORED, manifest(), now=AS_OF - 5).age_seconds == 0


def test_an_entity_that_is_not_there_is_unknown() -> None:
    with pytest.raises(EntityUnknown, match="no customer 'c2' in window 2023-11"):
        answer(META, "c2", None, manifest(), now=AS_OF)
    with pytest.raises(EntityUnknown, match="no text that a key can be"):
        demanded_key("")


@pytest.mark.parametrize("stored", ["", "{", "[1]", '{"price": [1]}', '{"price": 1.0}', '{"price": {}}'])
def test_a_row_that_is_damaged_answers_nothing(stored: str) -> None:
    """Prevents that a feature which is missing is taken for null."""
    with pytest.raises(FeaturesUnavailable, match=r"damaged .*'c1'.*materialize feature_table"):
        answer(META, "c1", (AS_OF * 1_000_000, stored), manifest(), now=AS_OF)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": (*FEATURES, Feature(name="age", type="float", nullable=True))}, "has no age as version 1 takes"),
        ({"features": (Feature(name="visits", type="float", nullable=True),)}, "has no visits as version 1 takes it"),
        ({"model_name": "other"}, "is of small by customer, the served model of other by customer"),
        ({"entity_key": "visit"}, "the served model of small by visit"),
        ({"entity_key": None}, "the served model of small by no entity key"),
    ],
)
def test_a_table_that_does_not_fit_the_model_answers_nothing_and_says_what_to_do(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(FeaturesUnavailable, match=said) as refused:
        demand_fit(META, manifest(**changes))
    assert "promote a model of the contract as it is now" in str(refused.value)


def test_further_features_in_the_table_do_no_harm() -> None:
    demand_fit(META, manifest(features=FEATURES[:1]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b"\xff", "damaged"),
        (b'{"format_version": 1}', "damaged"),
        (
            msgspec.json.encode(msgspec.structs.replace(META, format_version=2)),
            "is of format 2, this code reads format 1",
        ),
    ],
)
def test_what_a_table_says_of_itself_must_be_readable(content: bytes, said: str) -> None:
    with pytest.raises(FeaturesUnavailable, match=said):
        read_meta(content)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (1_700_000_000_250_000, "2023-11-14T22:13:20.250000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_exact(microseconds: int, text: str) -> None:
    assert rfc3339(microseconds) == text

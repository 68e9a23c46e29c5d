from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mlops_assets.domain.feature import Feature
from mlops_assets.domain.known_cases import KnownCase, as_frame, judge, unfit
from tests.unit.mlops_assets.small_windows import COLOURS, small_dataset

FEATURES = small_dataset().features
ROW: dict[str, Any] = {"amount": 1.5, "visits": 3, "age": 40.0, "colour": "red", "plan": "free"}


def case(name: str = "a", *, row: dict[str, Any] | None = None, **asks: Any) -> KnownCase:  # noqa: ANN401 -- bounds
    """A case on a whole row, with parts of it replaced; one that is None is left out."""
    whole = {name: value for name, value in {**ROW, **(row or {})}.items() if value is not None}
    return KnownCase(name=name, row=whole, **(asks or {"at_least": 0.0}))


@pytest.mark.parametrize(
    ("asks", "score", "holds"),
    [
        ({"at_least": 0.5}, 0.5, True),
        ({"at_least": 0.5}, 0.4999, False),
        ({"at_most": 0.5}, 0.5, True),
        ({"at_most": 0.5}, 0.5001, False),
        ({"at_least": 0.2, "at_most": 0.4}, 0.3, True),
        ({"at_least": 0.2, "at_most": 0.4}, 0.1, False),
        ({"at_least": 0.2, "at_most": 0.4}, 0.5, False),
        # NaN lies within no bounds, whichever way they are asked.
        ({"at_least": 0.0, "at_most": 1.0}, float("nan"), False),
    ],
)
def test_bounds_hold_with_their_ends(asks: dict[str, Any], score: float, holds: bool) -> None:
    """What the user wrote is allowed."""
    if np.isnan(score):
        with pytest.raises(ValidationError, match="finite"):
            judge([case(**asks)], [score])
        return
    (judged,) = judge([case(**asks)], [score])
    assert (judged.score, judged.holds) == (score, holds)


@pytest.mark.parametrize(("scores", "holds"), [((0.6, 0.5), True), ((0.5, 0.5), False), ((0.4, 0.5), False)])
def test_an_order_is_strict(scores: tuple[float, float], holds: bool) -> None:
    """A model that answers the same for both has not learned the difference."""
    late, early = judge([case("late", above="early"), case("early")], list(scores))
    assert late.holds is holds
    assert late.expected == "above 0.5000 of 'early'"
    assert early.holds


def test_bounds_and_order_are_all_asked() -> None:
    """One that holds must not hide one that does not."""
    cases = [case("late", above="early", at_most=0.5), case("early")]
    assert [one.holds for one in judge(cases, [0.6, 0.1])] == [False, True]
    assert judge(cases, [0.6, 0.1])[0].expected == "at most 0.5 and above 0.1000 of 'early'"


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({"above": None}, "it asks for nothing"),
        ({"at_least": 0.6, "at_most": 0.5}, "larger than `at_most`"),
        ({"at_least": 1.1}, "less than or equal to 1"),
        ({"at_most": "0.5"}, "valid number"),
        ({"atleast": 0.5}, "Extra inputs"),
    ],
)
def test_a_case_that_can_say_nothing_is_refused(asks: dict[str, Any], said: str) -> None:
    """It would pass for ever, or never."""
    with pytest.raises(ValidationError, match=said):
        case(**asks)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"amount": None}, "'a': the feature 'amount' is missing, and may not be null"),
        ({"age": None}, None),
        ({"plan": None}, None),
        ({"amount": 1001.0}, "'a': the feature 'amount' is 1001.0, outside its range of -1000.0 to 1000.0"),
        ({"amount": 1000}, None),
        ({"amount": "1"}, "'a': the feature 'amount' is '1', and it is of type 'float'"),
        ({"amount": True}, "'a': the feature 'amount' is True, and it is of type 'float'"),
        ({"visits": 2.5}, "'a': the feature 'visits' is 2.5, and it is of type 'integer'"),
        ({"visits": 2.0}, None),
        ({"visits": float("inf")}, "'a': the feature 'visits' is inf, which is no number that the model can take"),
        ({"age": float("nan")}, "'a': the feature 'age' is nan, which is no number that the model can take"),
        ({"age": 1e300}, "'a': the feature 'age' is 1e+300, which is no number that the model can take"),
        ({"colour": "pink"}, "'a': the feature 'colour' is 'pink', which is none of its categories"),
        ({"colour": 3}, "'a': the feature 'colour' is 3, and a category is a text"),
        ({"size": 3}, "'a': there is no feature 'size'"),
    ],
)
def test_a_row_that_the_service_would_refuse_is_told(row: dict[str, Any], fault: str | None) -> None:
    """It would be scored as something that no client can ask for."""
    assert unfit([case(row=row)], FEATURES) == ([fault] if fault else [])


def test_a_boolean_is_true_or_false() -> None:
    """1 is what TOML calls a number."""
    features = {"member": Feature(type="boolean")}
    for value, fits in ((True, True), (False, True), (1, False), ("true", False)):
        assert (unfit([KnownCase(name="a", row={"member": value}, at_least=0.0)], features) == []) is fits


def test_a_new_category_that_is_read_as_missing_may_be_asked_for() -> None:
    """It is a row that the service answers."""
    plan = Feature(type="category", categories=("free",), nullable=True, new_categories="as_missing")
    assert unfit([KnownCase(name="a", row={"plan": "gold"}, at_least=0.0)], {"plan": plan}) == []


def test_orders_that_go_round_in_a_circle_are_told() -> None:
    """No model could ever hold them, and the first window would be the one to say so."""
    circle = [case("a", above="b"), case("b", above="c"), case("c", above="a"), case("d", above="a")]
    assert unfit(circle, FEATURES) == [
        f"{name!r}: the orders go round in a circle, and can never hold" for name in ("a", "b", "c")
    ]
    assert unfit([case("a", above="b"), case("b", above="c"), case("c")], FEATURES) == []


@pytest.mark.parametrize(
    ("cases", "fault"),
    [
        ([case("a"), case("a")], "the name 'a' is given twice"),
        ([case("a", above="b")], "'a': there is no other case 'b' that it could be `above`"),
        ([case("a", above="a")], "'a': there is no other case 'a' that it could be `above`"),
    ],
)
def test_names_must_lead_somewhere(cases: list[KnownCase], fault: str) -> None:
    """An order with itself, or with nothing, never holds."""
    assert unfit(cases, FEATURES) == [fault]


def test_the_frame_is_as_models_take_it() -> None:
    """Numbers and booleans float32, null as NaN, categories as text or None, in the contract's order."""
    features = {**FEATURES, "member": Feature(type="boolean")}
    cases = [case(row={"member": True}), case("b", row={"age": None, "plan": None, "member": False})]
    frame = as_frame(cases, features)
    assert list(frame) == list(features)
    assert {str(frame[name].dtype) for name in ("amount", "visits", "age", "member")} == {"float32"}
    assert frame["age"].isna().tolist() == [False, True]
    assert frame["plan"].tolist() == ["free", None]
    assert frame["member"].tolist() == [1.0, 0.0]
    assert frame["colour"].tolist() == [COLOURS[0]] * 2

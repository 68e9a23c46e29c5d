"""Prevents that a value which the model was never trained on reaches it silently."""

import msgspec
import numpy as np
import pytest

from serving.release import Feature, FeatureType, FeatureValue, ReleaseInvalid
from serving.rows import FLOAT32_MAX, MAX_ROWS, Rows, RowsInvalid
from tests.unit.serving.bundles import FEATURES

HOLIDAY = Feature(name="holiday", type="boolean", nullable=True)
PLAN = Feature(name="plan", type="category", nullable=True, categories=("free", "paid"), new_categories="as_missing")
GOOD = b'{"dep delay": 1.5, "hour": 7, "carrier": "B6"}'


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'[{"hour": 1}, {"hour": "1"}]', "$[1].hour"),
        (b'{"hour": true}', "$.hour"),
        (b'{"hour": 1.5}', "$.hour"),
        (b'{"hour": null}', "$.hour"),
        (b'{"hour": 24}', "<= 23 - at `$.hour`"),
        (b'{"hour": -1}', ">= 0 - at `$.hour`"),
        (b'{"hour": 1' + b"0" * 400 + b"}", "$.hour"),
        (b'{"dep delay": 1}', "missing required field `hour`"),
        (b'{"hour": 1, "gate": 4}', "unknown field `gate`"),
        (b'[{"hour": 1, "gate": ' + b"[" * 100_000, "unknown field `gate` - at `$[0]`"),
        (b'{"hour": 1, "dep delay": "1"}', "$.dep delay"),
        (b'{"hour": 1, "dep delay": false}', "$.dep delay"),
        (b'{"hour": 1, "dep delay": 1e300}', "$.dep delay"),
        (b'{"hour": 1, "dep delay": -3.5e38}', "$.dep delay"),
        (b'{"hour": 1, "dep delay": 1e400}', "$.dep delay"),
        (b'{"hour": 1, "dep delay": NaN}', "malformed: invalid character (byte 25)"),
        (b'{"hour": 1, "carrier": "ZZ"}', "$.carrier"),
        (b'{"hour": 1, "carrier": 0}', "$.carrier"),
        (b'{"hour": 1, "carrier": "\xff"}', "not UTF-8: invalid start byte (byte 24)"),
        (b'{"hour": 1', "truncated"),
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "length >= 1"),
        (b"7", "got `int`"),
        (b"null", "got `null`"),
        (b"[" * 100_000, "$[0]"),
        (b'{"hour":' * 100_000, "$.hour"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else value,
)
def test_a_bad_body_is_refused_with_the_place_of_its_fault(body: bytes, fault: str) -> None:
    """Prevents coercion, silent defaults, and faults without a place."""
    with pytest.raises(RowsInvalid) as refused:
        Rows(FEATURES).decode(body)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (GOOD, (1.5, 7, "B6")),
        (b'{"carrier": "\xc3\x9cA", "hour": 0, "dep delay": -2}', (-2.0, 0, "ÜA")),
        (b'{"hour": 23}', (None, 23, None)),
        (b'{"hour": 23, "dep delay": null, "carrier": null}', (None, 23, None)),
    ],
)
def test_values_come_in_the_order_of_the_features(body: bytes, values: tuple[FeatureValue, ...]) -> None:
    """Prevents that the client's order of fields moves columns."""
    rows = Rows(FEATURES)
    assert rows.decode(body) == [values]
    assert rows.decode(b"[" + body + b"," + body + b"]") == [values, values]


@pytest.mark.parametrize("value", [b"1", b"0", b"1.0", b'"true"', b'""', b"[]"])
def test_a_boolean_is_true_or_false_and_nothing_like_them(value: bytes) -> None:
    """Prevents that a client's 1, or the text "false", is taken for true."""
    with pytest.raises(RowsInvalid, match=r"`\$\.holiday`"):
        Rows([HOLIDAY]).decode(b'{"holiday": ' + value + b"}")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"holiday": true}', True),
        (b'{"holiday": false}', False),
        (b'{"holiday": null}', None),
        (b"{}", None),
    ],
)
def test_a_boolean_is_read_as_it_is_said(body: bytes, value: bool | None) -> None:
    """Prevents that null becomes false."""
    ((read,),) = Rows([HOLIDAY]).decode(body)
    assert read is value


@pytest.mark.parametrize("body", [b'{"holiday": null}', b"{}"])
def test_a_boolean_that_must_be_known_is_never_null(body: bytes) -> None:
    """Prevents that a forgotten field passes for false."""
    with pytest.raises(RowsInvalid, match="holiday"):
        Rows([Feature(name="holiday", type="boolean", nullable=False)]).decode(body)


@pytest.mark.parametrize("plan", ["free", "gold", "", "ÜA", None])
def test_an_open_category_takes_any_string(plan: str | None) -> None:
    """Prevents that a value which appeared after the training fails a request that the contract allows."""
    assert Rows([PLAN]).decode(msgspec.json.encode({"plan": plan})) == [(plan,)]


@pytest.mark.parametrize("value", [b"1", b"true", b"[]"])
def test_an_open_category_takes_nothing_but_strings(value: bytes) -> None:
    """Prevents that a value of another type passes for a new category."""
    with pytest.raises(RowsInvalid, match=r"`\$\.plan`"):
        Rows([PLAN]).decode(b'{"plan": ' + value + b"}")


@pytest.mark.parametrize(("said", "before"), [("", ""), ("The plan.", "The plan. ")])
def test_the_schema_says_what_a_boolean_and_an_open_category_are(said: str, before: str) -> None:
    """Prevents that a client sends 1 for true, or holds the known values for the only ones."""
    features = (HOLIDAY, msgspec.structs.replace(PLAN, description=said))
    _, components = msgspec.json.schema_components([Rows(features).body_type])
    holiday, plan = components["Row"]["properties"].values()
    assert holiday == {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None}
    assert plan == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "description": f"{before}Known values: free, paid; any other is read as null.",
    }


def test_more_rows_than_allowed_are_refused() -> None:
    """Prevents that one request takes the service for itself."""
    rows = Rows(FEATURES)
    assert len(rows.decode(b"[" + b",".join([GOOD] * MAX_ROWS) + b"]")) == MAX_ROWS
    with pytest.raises(RowsInvalid, match="10000"):
        rows.decode(b"[" + b",".join([GOOD] * (MAX_ROWS + 1)) + b"]")


@pytest.mark.parametrize("name", ["class", "a b", "1st", "$", "self", "naïve", "it's", "", "feature_1"])
def test_a_name_need_not_be_an_identifier(name: str) -> None:
    """Prevents that a data set's column names decide whether it can be served."""
    rows = Rows([Feature(name=name, type="integer", nullable=False), Feature(name="x", type="float", nullable=True)])
    assert rows.decode(msgspec.json.encode({name: 1})) == [(1, None)]


@pytest.mark.parametrize("kind", ["integer", "float"])
@pytest.mark.parametrize("value", [b"1" + b"0" * 400, b"-1" + b"0" * 400, b"1" + b"0" * 39])
def test_a_number_that_float32_cannot_hold_is_refused_where_the_feature_has_no_range(
    kind: FeatureType, value: bytes
) -> None:
    """Prevents that inf reaches the model, and that an endless integer is an OverflowError."""
    rows = Rows([Feature(name="x", type=kind, nullable=False)])
    with pytest.raises(RowsInvalid, match=r"at `\$\.x`"):
        rows.decode(b'{"x": ' + value + b"}")


@pytest.mark.parametrize("kind", ["integer", "float"])
def test_the_largest_numbers_stay_finite_in_the_tensor(kind: FeatureType) -> None:
    """Prevents that a value just inside the accepted range becomes inf in the cast."""
    largest = {"integer": 2**63 - 1, "float": FLOAT32_MAX}[kind]
    ((value,),) = Rows([Feature(name="x", type=kind, nullable=False)]).decode(msgspec.json.encode({"x": largest}))
    assert np.isfinite(np.float32(value))


@pytest.mark.parametrize(
    "features",
    [
        (Feature(name="a", type="float", nullable=True), Feature(name="a", type="float", nullable=True)),
        (Feature(name="a", type="category", nullable=True),),
        (Feature(name="a", type="category", nullable=True, categories=("x", "y", "x")),),
        (Feature(name="a", type="category", nullable=True, new_categories="as_missing"),),
        (Feature(name="a", type="category", nullable=True, categories=("x", "y", "x"), new_categories="as_missing"),),
        (Feature(name='a"b', type="float", nullable=True),),
    ],
    ids=["name twice", "no category", "category twice", "no open category", "open category twice", "quote in a name"],
)
def test_features_that_make_no_row_are_refused_at_load(features: tuple[Feature, ...]) -> None:
    """Prevents an ambiguous or unanswerable row type."""
    with pytest.raises(ReleaseInvalid, match="features"):
        Rows(features)

"""Prevents that a value which the model was never trained on reaches it silently."""

import msgspec
import numpy as np
import pytest

from serving.release import Feature, FeatureType, FeatureValue, ReleaseInvalid
from serving.rows import FLOAT32_MAX, MAX_ROWS, Rows, RowsInvalid
from tests.unit.serving.bundles import FEATURES

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
        (Feature(name='a"b', type="float", nullable=True),),
    ],
    ids=["name twice", "no category", "category twice", "quote in a name"],
)
def test_features_that_make_no_row_are_refused_at_load(features: tuple[Feature, ...]) -> None:
    """Prevents an ambiguous or unanswerable row type."""
    with pytest.raises(ReleaseInvalid, match="features"):
        Rows(features)

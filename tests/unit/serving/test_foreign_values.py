"""Prevents that a body which Python wrote is refused, and that one which no answer can hold is taken."""

import math
from typing import Any

import pytest

from serving.foreign_values import as_typed, json_of
from serving.release import Feature
from serving.rows import RowsInvalid

HOUR = Feature(name="hour", type="integer", nullable=True)
DELAY = Feature(name="dep delay", type="float", nullable=True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b'\xef\xbb\xbf"\xc3\xa4"', "ä"),
        (rb'"\u00e4\ud83d\ude00"', "ä😀"),
        (b"[Infinity, -Infinity]", [math.inf, -math.inf]),
    ],
)
def test_json_is_read_as_python_writes_it(body: bytes, said: object) -> None:
    """With a byte order mark, with escapes, with numbers that are none."""
    assert json_of(body) == said
    assert math.isnan(json_of(b"NaN"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"\xed\xa0\x80",
        b'"\xed\xa0\x80"',
        rb'"\ud800"',
        rb'{"\uDFFF": 1}',
        b"[" * 100_000,
        b"1" * 5_000,
        '"ä"'.encode("utf-16"),
    ],
)
def test_what_is_no_json_in_utf8_is_refused(body: bytes) -> None:
    """Half of a surrogate pair, too: what quotes it cannot be sent."""
    with pytest.raises(RowsInvalid, match="the body is not JSON"):
        json_of(body)


@pytest.mark.parametrize(
    ("value", "feature", "typed"),
    [
        (math.nan, HOUR, None),
        (math.nan, DELAY, None),
        (math.nan, None, None),
        (3.0, HOUR, 3),
        (3.0, DELAY, 3.0),
        (3.0, None, 3.0),
        (3.5, HOUR, 3.5),
        (math.inf, HOUR, math.inf),
        ("3", HOUR, "3"),
        (True, HOUR, True),
    ],
)
def test_what_pandas_does_to_nulls_is_undone(value: Any, feature: Feature | None, typed: Any) -> None:  # noqa: ANN401
    """And nothing else: what is left is judged as it was sent."""
    read = as_typed(value, feature)
    assert read == typed
    assert type(read) is type(typed)

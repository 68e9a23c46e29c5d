"""Prevents that a key which landed as one text is looked up as another, and its entity is said to be unknown."""

from datetime import datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.row_reading import text_sql
from serving.entity_key import LONGEST_KEY, EntityKey, key_text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("5", "5"),
        (5, "5"),
        (5.0, "5"),
        ("5.00", "5"),
        ("-5.0", "-5"),
        ("5.0a", "5.0a"),
        ("1.05", "1.05"),
        ("5.0\n", "5.0\n"),
        (5.5, "5.5"),
        (-0.0, "0"),
        (2.0**63, "9.223372036854776e+18"),
        (10**30, "1" + "0" * 30),
        (" c1", " c1"),
        ("2024-01-31 00:00", "2024-01-31"),
        ("2024-01-31T00:00:00Z", "2024-01-31"),
        ("2024-01-31 01:00:00+02:00", "2024-01-30 23:00:00"),
        ("2024-01-31 01:00:00.5", "2024-01-31 01:00:00.5"),
        ("2024-01-31 99:00", "2024-01-31 99:00"),
        ("2024-01-31", "2024-01-31"),
        ("Ünïcode \U0001f600", "Ünïcode \U0001f600"),
        ("x" * LONGEST_KEY, "x" * LONGEST_KEY),
    ],
)
def test_a_key_has_one_text_however_it_is_written(key: EntityKey, text: str) -> None:
    assert key_text(key) == text


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "\u00a0",
        "\u3000NA",
        "NA",
        "nan",
        "Null",
        "none",
        "n/a",
        "a\0b",
        "\ud800",
        "x" * (LONGEST_KEY + 1),
        10**600,
        -(10**600),
    ],
)
def test_what_can_be_nobodys_key_has_no_text(key: EntityKey) -> None:
    """Prevents a lookup that a database refuses with an error of its own, and a number whose text takes seconds."""
    assert key_text(key) is None


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
    st.from_regex(r"-?[0-9]{1,4}(\.0{0,3}[0-9]?)?", fullmatch=True),
    st.sampled_from(["NA", " na", "none ", "\u00a0na", "\u2009", "None", "n/a", "nulls", "Nan."]),
    st.datetimes().map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)).map(str),
    st.dates().map(lambda date: f"{date}T00:00:00Z"),
    st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda time: f"{time:%Y-%m-%d %H:%M}+02:00"),
)


@given(st.lists(st.one_of(TEXTS, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=20))
def test_the_text_is_the_one_that_the_window_store_keeps(keys: list[str | float]) -> None:
    """Prevents that the two forms of one rule, in SQL and in Python, drift apart."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for key in keys:
            kind = "VARCHAR" if isinstance(key, str) else "DOUBLE"
            read = f"SELECT {text_sql('key', kind)} FROM (SELECT $key::{kind} AS key)"  # noqa: S608
            row = connection.execute(read, {"key": key}).fetchone()
            assert row is not None
            assert key_text(key) == (row[0] or None)

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.domain.sql import literal, literals, quoted


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, with nothing in it."""
    with duckdb.connect() as engine:
        yield engine


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12))
def test_names_and_values_reach_sql_as_they_are(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    """A quote in a column's or category's name must neither fail nor inject."""
    relation = engine.sql(f"SELECT {literal(text)} AS {quoted(text)}")
    assert relation.columns == [text]
    assert relation.fetchall() == [(text,)]


@pytest.mark.parametrize(
    ("name", "value"), [('a"b', "x"), ("a'b", "o'neil"), ('"', "'"), ("'; DROP TABLE t; --", "' OR 1=1 --")]
)
def test_quotes_end_no_name_and_no_text(engine: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """The same, for the texts that an attacker would choose."""
    assert engine.sql(f"SELECT {literal(value)} AS {quoted(name)}").fetchall() == [(value,)]


def test_texts_stand_between_the_parentheses_of_in(engine: duckdb.DuckDBPyConnection) -> None:
    """Each as it is, commas and quotes with it."""
    texts = ["a", "b, c", "d', 'e"]
    for text, is_in in [*((text, True) for text in texts), ("d", False), ("b", False)]:
        assert engine.sql(f"SELECT {literal(text)} IN ({literals(texts)})").fetchall() == [(is_in,)]

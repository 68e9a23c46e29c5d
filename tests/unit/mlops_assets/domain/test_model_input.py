from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.engine import engine as connected
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.model_input import BETWEEN_REASONS, REASONS, encode, model_input, read_features
from mlops_assets.domain.row_rules import feature_rules, reasons
from mlops_assets.domain.sql import literal

FEATURES = {
    "free": Feature(type="float"),
    "ranged": Feature(type="float", range=(-2.5, 1000.0), nullable=True),
    "wide": Feature(type="float", range=(-1e300, 1e300), nullable=True),
    "count": Feature(type="integer"),
    "hour": Feature(type="integer", range=(0, 23), nullable=True),
    "flag": Feature(type="boolean", nullable=True),
}
EDGES = [0.0, 1.0, 2.0, 0.5, -2.5, 1000.0, 23.0, 23.5, 2.0**24, 2.0**24 + 2, 3.4028234663852886e38, 3.5e38, 1e300]
EDGES += [-edge for edge in EDGES] + [float("inf"), float("-inf"), float("nan")]
NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-30, 30).map(float))


@pytest.fixture
def engine() -> Iterator[DuckdbRows]:
    """DuckDB, with nothing in it."""
    with connected() as connection:
        yield DuckdbRows(connection)


def table(name: str, kind: str, values: Sequence[object]) -> str:
    """A query for a table of one column."""
    rows = ", ".join(f"({'NULL' if value is None else literal(str(value))})" for value in values)
    return f'SELECT "{name}"::{kind} AS "{name}" FROM (VALUES {rows}) AS given("{name}")'  # noqa: S608


def scored(
    engine: DuckdbRows, features: dict[str, Feature], query: str, *, is_text: bool = False
) -> list[tuple[Any, ...]]:
    """What the model is given of a query's rows."""
    landed = engine.of_query(query)
    whole = [name for name in features if landed[name].type().is_integer()]
    read = read_features(landed, features, is_text=is_text, carried=[])
    given = model_input(engine.named("encoded", encode(read, features, whole=whole, carried=[])))
    assert list(given.columns) == [*features, REASONS]
    return engine.answers(given)


@settings(deadline=None, max_examples=10)
@given(values=st.lists(NUMBERS, max_size=20).map(lambda others: [None, *EDGES, *others]))
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("name", FEATURES)
def test_a_cheap_suspicion_misses_no_row_that_breaks_a_rule(
    values: list[float | None], name: str, as_text: bool
) -> None:
    """Prevents that a row is scored here which a window would set aside."""
    feature, kind = FEATURES[name], "VARCHAR" if as_text else "DOUBLE"
    given_values = [None if value is None else repr(value) for value in values] if as_text else values
    with connected() as connection:
        engine = DuckdbRows(connection)
        landed = engine.of_query(query := table(name, kind, given_values))
        read = read_features(landed, {name: feature}, is_text=as_text, carried=[])
        every_rule = engine.answers(read.select(reasons(read, feature_rules(name, feature)).name("reasons")))
        found = scored(engine, {name: feature}, query, is_text=as_text)
    assert [said for _, said in found] == [BETWEEN_REASONS.join(said) or None for (said,) in every_rule]


@pytest.mark.parametrize("kind", ["TINYINT", "BIGINT", "DOUBLE", "FLOAT"])
def test_a_number_is_what_it_is_and_null_is_nan(engine: DuckdbRows, kind: str) -> None:
    """Prevents that a column's type, which changes with the first null in a frame, changes the input."""
    rows = scored(engine, {"hour": FEATURES["hour"]}, table("hour", kind, [7, None, 24]))
    np.testing.assert_array_equal([value for value, _ in rows], [7, np.nan, 24])
    assert [said for _, said in rows] == [None, None, "hour: out of range"]


@pytest.mark.parametrize(
    ("nullable", "new", "said"),
    [
        (True, "quarantine", [None, None, None, "plan: unknown category"]),
        (True, "as_missing", [None, None, None, None]),
        (False, "quarantine", [None, None, "plan: missing", "plan: unknown category"]),
    ],
)
def test_a_category_is_its_position(
    engine: DuckdbRows,
    nullable: bool,
    new: Literal["quarantine", "as_missing"],
    said: list[str | None],
) -> None:
    """Prevents that null, or a value that is read as null, is anything but -1."""
    plan = Feature(type="category", categories=("it's", "paid"), nullable=nullable, new_categories=new)
    rows = scored(engine, {"plan": plan}, table("plan", "VARCHAR", ["paid", "it's", None, "free"]))
    assert [value for value, _ in rows] == [1, 0, -1, -1]
    assert [found for _, found in rows] == said


def test_texts_of_a_csv_file_are_read_by_the_windows_rules(engine: DuckdbRows) -> None:
    """Prevents that `NA` is an unknown category, `yes` a number, or `TRUE` no boolean."""
    features = {"flag": FEATURES["flag"], "plan": Feature(type="category", categories=("a", "b"), nullable=True)}
    values = "('TRUE', 'b'), ('0', 'NA'), ('n/a', ''), ('perhaps', 'c')"
    rows = scored(engine, features, f"SELECT * FROM (VALUES {values}) AS given(flag, plan)", is_text=True)  # noqa: S608
    np.testing.assert_array_equal([row[:2] for row in rows[:3]], [[1, 1], [0, -1], [np.nan, -1]])
    assert [row[2] for row in rows] == [None, None, None, "flag: not true or false\x1fplan: unknown category"]

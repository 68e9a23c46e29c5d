from collections.abc import Iterator, Sequence
from typing import Any, Literal

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.domain.feature import Feature
from mlops_assets.domain.model_input import BETWEEN_REASONS, REASONS, input_sql
from mlops_assets.domain.row_rules import feature_rules, read_feature, reasons_sql, unread

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


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, with nothing in it."""
    with duckdb.connect() as engine:
        yield engine


def table(engine: duckdb.DuckDBPyConnection, name: str, kind: str, values: Sequence[object]) -> None:
    """A table `given` of one column."""
    engine.execute(f'CREATE OR REPLACE TABLE given ("{name}" {kind})')
    engine.executemany("INSERT INTO given VALUES (?)", [[value] for value in values])


def scored(
    engine: duckdb.DuckDBPyConnection, features: dict[str, Feature], kind: str, *, is_text: bool = False
) -> list[tuple[Any, ...]]:
    """What the query makes of the table's rows."""
    types = dict.fromkeys(features, kind)
    return engine.sql(input_sql(features, types, source="given", is_text=is_text, carried=[])).fetchall()


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
    with duckdb.connect() as engine:
        table(engine, name, kind, given_values)
        value, not_read = read_feature(name, feature, kind, is_text=as_text)
        every_rule = engine.sql(
            f'SELECT {reasons_sql(feature_rules(name, feature))} FROM (SELECT {value} AS "{name}", '  # noqa: S608
            f"{not_read} AS {unread(name)} FROM given)"
        ).fetchall()
        found = scored(engine, {name: feature}, kind, is_text=as_text)
    assert [reasons for _, reasons in found] == [BETWEEN_REASONS.join(reasons) or None for (reasons,) in every_rule]


@pytest.mark.parametrize("kind", ["TINYINT", "BIGINT", "DOUBLE", "FLOAT"])
def test_a_number_is_what_it_is_and_null_is_nan(engine: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Prevents that a column's type, which changes with the first null in a frame, changes the input."""
    table(engine, "hour", kind, [7, None, 24])
    rows = scored(engine, {"hour": FEATURES["hour"]}, kind)
    np.testing.assert_array_equal([value for value, _ in rows], [7, np.nan, 24])
    assert [reasons for _, reasons in rows] == [None, None, "hour: out of range"]


@pytest.mark.parametrize(
    ("nullable", "new", "reasons"),
    [
        (True, "quarantine", [None, None, None, "plan: unknown category"]),
        (True, "as_missing", [None, None, None, None]),
        (False, "quarantine", [None, None, "plan: missing", "plan: unknown category"]),
    ],
)
def test_a_category_is_its_position(
    engine: duckdb.DuckDBPyConnection,
    nullable: bool,
    new: Literal["quarantine", "as_missing"],
    reasons: list[str | None],
) -> None:
    """Prevents that null, or a value that is read as null, is anything but -1."""
    plan = Feature(type="category", categories=("it's", "paid"), nullable=nullable, new_categories=new)
    table(engine, "plan", "VARCHAR", ["paid", "it's", None, "free"])
    rows = scored(engine, {"plan": plan}, "VARCHAR")
    assert [value for value, _ in rows] == [1, 0, -1, -1]
    assert [found for _, found in rows] == reasons


def test_texts_of_a_csv_file_are_read_by_the_windows_rules(engine: duckdb.DuckDBPyConnection) -> None:
    """Prevents that `NA` is an unknown category, `yes` a number, or `TRUE` no boolean."""
    features = {"flag": FEATURES["flag"], "plan": Feature(type="category", categories=("a", "b"), nullable=True)}
    engine.execute("CREATE OR REPLACE TABLE given (flag VARCHAR, plan VARCHAR)")
    engine.execute("INSERT INTO given VALUES ('TRUE', 'b'), ('0', 'NA'), ('n/a', ''), ('perhaps', 'c')")
    types = dict.fromkeys(features, "VARCHAR")
    found = engine.sql(input_sql(features, types, source="given", is_text=True, carried=[]))
    assert found.columns == ["flag", "plan", REASONS]
    rows = found.fetchall()
    np.testing.assert_array_equal([row[:2] for row in rows[:3]], [[1, 1], [0, -1], [np.nan, -1]])
    assert [row[2] for row in rows] == [None, None, None, "flag: not true or false\x1fplan: unknown category"]

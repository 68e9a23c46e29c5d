from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import ibis.expr.types as ir
import pytest

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.engine import engine as connected
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.row_reading import feature_value, label_of, label_sql, text_of, text_sql, time_value
from mlops_assets.domain.sql import literal


@pytest.fixture
def engine() -> Iterator[DuckdbRows]:
    """DuckDB, with nothing in it, in the zone that windows are read in."""
    with connected() as connection:
        yield DuckdbRows(connection)


def asked(engine: DuckdbRows, given: str, read: Callable[[ir.Column], Iterable[ir.Value]]) -> tuple[Any, ...]:
    """What expressions make of a column `x`, whose one value is given as DuckDB's SQL."""
    rows = engine.of_query(f"SELECT {given} AS x")
    (found,) = engine.answers(rows.select(*(value.name(f"c{at}") for at, value in enumerate(read(rows["x"])))))
    return found


def asked_in_sql(given: str, expression: str) -> tuple[Any, ...]:
    """What DuckDB's SQL makes of it."""
    with connected() as connection:
        (found,) = connection.sql(f"SELECT {given} AS x").project(expression).fetchall()
    row: tuple[Any, ...] = found
    return row


Read = tuple[Any, bool]


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        ("float", "1.5", (1.5, False)),
        ("float", " 2 ", (2.0, False)),
        ("float", "1e400", (float("inf"), False)),
        ("float", "NaN", (None, False)),
        ("float", " n/a ", (None, False)),
        ("float", "1,5", (None, True)),
        ("float", "x", (None, True)),
        ("integer", "7", (7.0, False)),
        ("integer", "7.5", (7.5, False)),
        ("boolean", "TRUE", (1.0, False)),
        ("boolean", "0.0", (0.0, False)),
        ("boolean", "none", (None, False)),
        ("boolean", "yes", (None, True)),
        ("category", "red", ("red", False)),
        ("category", "NA", ("NA", False)),
        ("category", "null", (None, False)),
        ("category", "violet", ("violet", False)),
    ],
)
def test_a_text_is_read_as_its_feature_or_said_to_be_unreadable(
    engine: DuckdbRows, kind: str, text: str, read: Read
) -> None:
    """Missing and unreadable are two faults: the one is the world's, the other the export's."""
    feature = Feature.model_validate({"type": kind, **({"categories": ["red", "NA"]} if kind == "category" else {})})
    assert asked(engine, literal(text), lambda x: feature_value(x, feature, is_text=True)) == read


@pytest.mark.parametrize(("nullable_kind", "said"), [("quarantine", "violet"), ("as_missing", None)])
def test_a_new_category_is_null_where_it_is_read_as_missing(
    engine: DuckdbRows, nullable_kind: str, said: str | None
) -> None:
    """Typed and text alike."""
    feature = Feature.model_validate(
        {"type": "category", "categories": ["red"], "nullable": True, "new_categories": nullable_kind}
    )
    for is_text in (True, False):
        read = partial(feature_value, feature=feature, is_text=is_text)
        assert asked(engine, "'violet'", read) == (said, False)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("5", "BIGINT", "5"),
        ("5.0::DOUBLE", "DOUBLE", "5"),
        ("5.00::DECIMAL(9, 2)", "DECIMAL(9,2)", "5"),
        ("0.5::DOUBLE", "DOUBLE", "0.5"),
        ("'NaN'::DOUBLE", "DOUBLE", None),
        ("-0.0::DOUBLE", "DOUBLE", "0"),
        ("1e300::DOUBLE", "DOUBLE", "1e+300"),
        ("'5.0'", "VARCHAR", "5"),
        ("'-12.000'", "VARCHAR", "-12"),
        ("'5.5'", "VARCHAR", "5.5"),
        ("'1.0.0'", "VARCHAR", "1.0.0"),
        ("'2013-01-02 00:00:00'", "VARCHAR", "2013-01-02"),
        ("'2013-01-02T00:00:00Z'", "VARCHAR", "2013-01-02"),
        ("'2013-01-02T03:00:00'", "VARCHAR", "2013-01-02 03:00:00"),
        ("'2013-01-02T03:00:00+01:00'", "VARCHAR", "2013-01-02 02:00:00"),
        ("'2013-01-02 at 03:00'", "VARCHAR", "2013-01-02 at 03:00"),
        ("' c1 '", "VARCHAR", " c1 "),
        *((f"'{word}'", "VARCHAR", None) for word in ("", " ", "NA", "n/a", "NaN", "null", "None")),
        ("'Nina'", "VARCHAR", "Nina"),
        ("DATE '2013-01-02'", "DATE", "2013-01-02"),
        ("TIMESTAMP '2013-01-02 00:00:00'", "TIMESTAMP", "2013-01-02"),
        ("TIMESTAMPTZ '2013-01-02 01:00:00+01'", "TIMESTAMP WITH TIME ZONE", "2013-01-02"),
        ("TIMESTAMP '2013-01-02 03:00:00'", "TIMESTAMP", "2013-01-02 03:00:00"),
        ("true", "BOOLEAN", "true"),
    ],
)
def test_a_key_is_the_same_text_in_every_type(engine: DuckdbRows, value: str, kind: str, text: str | None) -> None:
    """Its hash says the side of the split, and it joins tables of two origins, which DuckDB's SQL does."""
    assert asked(engine, value, lambda x: [text_of(x)]) == (text,)
    assert asked_in_sql(value, text_sql("x", kind)) == (text,)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2013-01-01 12:00", ("2013-01-01 12:00:00", False)),
        ("2013-01-01T12:00:00+02:00", ("2013-01-01 10:00:00", False)),
        ("soon", (None, True)),
        ("", (None, False)),
    ],
)
def test_a_time_is_read_in_utc(engine: DuckdbRows, text: str, read: Read) -> None:
    """Without a zone it is UTC already."""
    value, not_read = asked(engine, literal(text), lambda x: time_value(x, is_text=True))
    assert (None if value is None else str(value), not_read) == read


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("true", "BOOLEAN", "true"),
        ("1.0::DOUBLE", "DOUBLE", "1"),
        ("'NaN'::DOUBLE", "DOUBLE", None),
        ("' LEFT '", "VARCHAR", "left"),
        ("'n/a'", "VARCHAR", None),
        ("NULL::VARCHAR", "VARCHAR", None),
    ],
)
def test_a_label_is_read_in_lower_case_and_a_null_word_is_none(
    engine: DuckdbRows, value: str, kind: str, said: str | None
) -> None:
    """What says nothing yet is no fault."""
    assert asked(engine, value, lambda x: [label_of(x)]) == (said,)
    assert asked_in_sql(value, label_sql("x", kind)) == (said,)

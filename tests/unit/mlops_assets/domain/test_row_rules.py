from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.row_rules import read_feature, read_label, read_text, read_time, row_rules
from mlops_assets.domain.sql import literal
from tests.unit.mlops_assets.small_windows import small_contract, small_dataset


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, with nothing in it, in the zone that windows are read in."""
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        yield engine


def asked(engine: duckdb.DuckDBPyConnection, given: str, *expressions: str) -> tuple[Any, ...]:
    """What SQL makes of a column `x`, whose one value is given as SQL."""
    (row,) = engine.sql(f"SELECT {given} AS x").project(", ".join(expressions)).fetchall()
    found: tuple[Any, ...] = row
    return found


def test_every_row_rule_gives_a_reason_of_its_own() -> None:
    """Two rules with one reason could not be told apart in the quarantine."""
    reasons = [rule.reason for rule in row_rules(small_dataset())]
    assert reasons == [
        "case_id: missing",
        "case_id: not unique",
        "customer: missing",
        "late: not true or false",
        "late: contradictory labels",
        "amount: missing",
        "amount: not a number",
        "amount: not finite",
        "amount: out of range",
        "visits: missing",
        "visits: not a number",
        "visits: not finite",
        "visits: not a whole number",
        "visits: out of range",
        "age: not a number",
        "age: not finite",
        "colour: missing",
        "colour: unknown category",
        "plan: unknown category",
    ]


def full_dataset() -> Dataset:
    """A contract with everything that a row can be asked for."""
    features = {**small_contract()["features"], "member": {"type": "boolean"}}  # type: ignore[dict-item]
    return small_dataset(
        features=features,
        entity_key="machine",
        event_time="at",
        target_values=["stayed", "left"],
        source={"tables": ["a", "b", "c"], "key": "case_id"},
    )


def test_roles_and_joined_tables_bring_rules_of_their_own() -> None:
    """And each says the column or table that it is about."""
    reasons = [rule.reason for rule in row_rules(full_dataset())]
    assert len(set(reasons)) == len(reasons)
    plain = {rule.reason for rule in row_rules(small_dataset())}
    assert [reason for reason in reasons if reason not in plain] == [
        "b: several rows for one case_id",
        "c: several rows for one case_id",
        "machine: missing",
        "at: not a time",
        "at: missing",
        "late: not stayed or left",
        "member: missing",
        "member: not true or false",
    ]


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
    engine: duckdb.DuckDBPyConnection, kind: str, text: str, read: Read
) -> None:
    """Missing and unreadable are two faults: the one is the world's, the other the export's."""
    feature = Feature.model_validate({"type": kind, **({"categories": ["red", "NA"]} if kind == "category" else {})})
    value, not_read = read_feature("x", feature, "VARCHAR", is_text=True)
    assert asked(engine, literal(text), value, f"coalesce({not_read}, false)") == read


@pytest.mark.parametrize(("nullable_kind", "said"), [("quarantine", "violet"), ("as_missing", None)])
def test_a_new_category_is_null_where_it_is_read_as_missing(
    engine: duckdb.DuckDBPyConnection, nullable_kind: str, said: str | None
) -> None:
    """Typed and text alike."""
    feature = Feature.model_validate(
        {"type": "category", "categories": ["red"], "nullable": True, "new_categories": nullable_kind}
    )
    for is_text in (True, False):
        value, _ = read_feature("x", feature, "VARCHAR", is_text=is_text)
        assert asked(engine, "'violet'", value) == (said,)


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
def test_a_key_is_the_same_text_in_every_type(
    engine: duckdb.DuckDBPyConnection, value: str, kind: str, text: str | None
) -> None:
    """Its hash says the side of the split, and it joins tables of two origins."""
    read = read_text("x", kind)
    assert asked(engine, value, read) == (text,)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2013-01-01 12:00", ("2013-01-01 12:00:00", False)),
        ("2013-01-01T12:00:00+02:00", ("2013-01-01 10:00:00", False)),
        ("soon", (None, True)),
        ("", (None, False)),
    ],
)
def test_a_time_is_read_in_utc(engine: duckdb.DuckDBPyConnection, text: str, read: Read) -> None:
    """Without a zone it is UTC already."""
    value, not_read = read_time("x", is_text=True)
    assert asked(engine, literal(text), f"({value})::VARCHAR", f"coalesce({not_read}, false)") == read


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
    engine: duckdb.DuckDBPyConnection, value: str, kind: str, said: str | None
) -> None:
    """What says nothing yet is no fault."""
    read = read_label("x", kind)
    assert asked(engine, value, read) == (said,)

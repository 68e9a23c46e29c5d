"""Rules of reading: what a landed value is, whatever type it landed in.

They are expressions of Ibis, so that any engine applies them in a stream. What only DuckDB can say of a text stands as
its SQL, under a name (`duckdb_functions`); joins of tables, which DuckDB makes, take the same SQL. What a row must then
hold belongs to `row_rules`.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.dataset import NULL_TEXTS, Dataset
from mlops_assets.domain.duckdb_functions import DuckdbFunction
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.sql import literals

if TYPE_CHECKING:
    import ibis.expr.types as ir

INTEGER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FRACTION_TYPES = ("FLOAT", "DOUBLE", "DECIMAL")
TEXT_TYPES = ("VARCHAR", "ENUM")
TIME_TYPES = ("DATE", "TIMESTAMP")
NULL_TYPE = '"NULL"'
"""Of a column that is null throughout, which pandas writes without a type."""
ALLOWED_TYPES = {
    "float": (*INTEGER_TYPES, *FRACTION_TYPES),
    "integer": (*INTEGER_TYPES, *FRACTION_TYPES),
    "boolean": ("BOOLEAN", *INTEGER_TYPES, *FRACTION_TYPES),
    "category": (*TEXT_TYPES, *INTEGER_TYPES, *FRACTION_TYPES, "BOOLEAN"),
}
"""DuckDB's column types that can hold a feature, by the feature's type. A CSV file's columns are all text."""
NO_TEXTS, YES_TEXTS = ("false", "0", "0.0"), ("true", "1", "1.0")


def can_hold(kind: str, wanted: str) -> bool:
    """Whether a column of DuckDB's type `kind` can hold a feature of the type `wanted`, or a `time`."""
    allowed = (*TIME_TYPES, *TEXT_TYPES) if wanted == "time" else ALLOWED_TYPES[wanted]
    return kind == NULL_TYPE or (kind.startswith(allowed) and not kind.endswith("]"))


def truth_texts(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the target may say for no and for yes, as `label` gives it."""
    if dataset.target_values is None:
        return NO_TEXTS, YES_TEXTS
    no, yes = (re.sub(r"^(-?[0-9]+)\.0+$", r"\1", value.strip().lower()) for value in dataset.target_values)
    return (no,), (yes,)


def feature_value(column: "ir.Column", feature: Feature, *, is_text: bool) -> "tuple[ir.Value, ir.BooleanValue]":
    """A feature's value, and whether its text could not be read as one.

    Args:
        column: As it landed.
        feature: What the contract says of it.
        is_text: Whether it stands in a CSV file.
    """
    import ibis

    never = ibis.literal(False)
    if feature.type == "category":
        # A code of 1 is 1.0 in the month with the first null.
        value = text_of(column) if _is_fraction(column) else column.cast("string")
        if is_text:
            allowed = column.isin(feature.categories)
            value = ibis.cases((allowed, column), (~IS_NULL_TEXT(column), column))
        if feature.new_categories == "as_missing":
            value = ibis.cases((value.isin(feature.categories), value))
        return value, never
    if not is_text:
        # NaN is how frames without nulls say null. A boolean is no number that could be one.
        number = column.cast("float64")
        return ibis.cases((number.isnan(), ibis.null("float64")), else_=number), never
    value = (BOOLEAN_OF_TEXT if feature.type == "boolean" else NUMBER_OF_TEXT)(column)
    return value, _is_unread(column, value)


def time_value(column: "ir.Column", *, is_text: bool) -> "tuple[ir.TimestampValue, ir.BooleanValue]":
    """A time in UTC, and whether its text could not be read as one."""
    import ibis

    if not is_text:
        is_time = column.type().is_timestamp() or column.type().is_date()
        # Of another type it is null throughout (`can_hold`).
        return _in_utc(column) if is_time else ibis.null("timestamp"), ibis.literal(False)
    value = TIME_OF_TEXT(column)
    return value, _is_unread(column, value)


def text_of(column: "ir.Value") -> "ir.StringValue":
    """A key as text, the same in whatever format and type it lands: 5 and 5.0, a day and its midnight, null and `NA`.

    Rows of one key must have one text, or they come to stand on both sides of the split. `text_sql` says the same.
    """
    import ibis

    if column.type().is_string():
        return TEXT_OF_TEXT(column)
    if _is_fraction(column):
        return TEXT_OF_FRACTION(column)
    if column.type().is_timestamp():
        time = _in_utc(column)
        return ibis.ifelse(time == time.truncate("D"), time.date().cast("string"), time.cast("string"))
    return column.cast("string")


def text_sql(column: str, kind: str) -> str:
    """A key as text in DuckDB's SQL, the same in whatever format and type it lands.

    Args:
        column: The column, as SQL.
        kind: DuckDB's type of it.
    """
    if kind.startswith(TEXT_TYPES) and not kind.endswith("]"):
        text = f"{column}::VARCHAR" if kind.startswith("ENUM") else column
        whole = rf"regexp_replace({text}, '^(-?[0-9]+)\.0+$', '\1')"
        time = f"TRY_CAST({text} AS TIMESTAMPTZ)::TIMESTAMP"
        # A regular expression costs ten times what looking for a few letters does, and few keys need one.
        return (
            f"CASE WHEN length({text}) < 5 AND {_null_text_sql(column)} THEN NULL "
            f"WHEN contains({text}, ':') AND regexp_matches({text}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T][0-9]{{2}}:')"
            f" THEN coalesce({_moment_sql(time)}, {text}) WHEN contains({text}, '.0') THEN {whole} ELSE {text} END"
        )
    if kind.startswith(FRACTION_TYPES) and not kind.endswith("]"):
        whole = f"TRY_CAST({column} AS BIGINT)"
        return (
            f"CASE WHEN isnan({column}::DOUBLE) THEN NULL WHEN {whole} = {column} THEN {whole}::VARCHAR "
            f"ELSE {column}::VARCHAR END"
        )
    if kind.startswith("TIMESTAMP") and not kind.endswith("]"):
        return _moment_sql(f"{column}::TIMESTAMPTZ::TIMESTAMP")
    return f"{column}::VARCHAR"


def label_of(column: "ir.Column") -> "ir.StringValue":
    """What the target says, in lower case; null where it says nothing yet. `label_sql` says the same."""
    return LABEL_OF_TEXT(column) if column.type().is_string() else text_of(column).lower()


def label_sql(column: str, kind: str) -> str:
    """What the target says in DuckDB's SQL, in lower case; null where it says nothing yet."""
    text = text_sql(f"trim({column})" if kind.startswith("VARCHAR") else column, kind)
    return f"lower({text})"


def unread(name: str) -> str:
    """The column that says whether a text could not be read as what the column `name` is."""
    return f"_unread {name}"


def several(table: str) -> str:
    """The column that says whether a table has several rows for a row of the window."""
    return f"_several {table}"


def several_reason(dataset: Dataset, table: str) -> str:
    """What quarantine says of it."""
    return f"{table}: several rows for one {dataset.source.key}"


def _is_fraction(column: "ir.Value") -> bool:
    return bool(column.type().is_floating() or column.type().is_decimal())


def _in_utc(column: "ir.Value") -> "ir.TimestampValue":
    return column.cast("timestamp('UTC')").cast("timestamp")  # TIMESTAMPTZ_NS has no cast of its own to TIMESTAMP


def _is_unread(column: "ir.Column", value: "ir.Value") -> "ir.BooleanValue":
    """Whether a text says something, and no value could be made of it; looks at few texts twice."""
    import ibis

    return ibis.cases((column.notnull() & value.isnull(), ~IS_NULL_TEXT(column)), else_=False)


def _moment_sql(time: str) -> str:
    return f"CASE WHEN {time} = {time}::DATE THEN {time}::DATE::VARCHAR ELSE {time}::VARCHAR END"


def _null_text_sql(column: str) -> str:
    return f"lower(trim({column}::VARCHAR)) IN ({literals(NULL_TEXTS)})"


def _one_of_sql(values: Mapping[str, tuple[str, ...]]) -> str:
    cases = " ".join(f"WHEN lower(trim(x)) IN ({literals(texts)}) THEN {value}" for value, texts in values.items())
    return f"CASE {cases} END"


_NUMBER = "TRY_CAST(x AS DOUBLE)"
IS_NULL_TEXT = DuckdbFunction("is_null_text", _null_text_sql("x"), "boolean")
TEXT_OF_TEXT = DuckdbFunction(
    "text_of_text",
    text_sql("x", "VARCHAR"),
    "string",
    leaves="length(x) >= 5 AND NOT contains(x, ':') AND NOT contains(x, '.0')",
)
TEXT_OF_FRACTION = DuckdbFunction("text_of_fraction", text_sql("x", "DOUBLE"), "string")
LABEL_OF_TEXT = DuckdbFunction("label_of_text", label_sql("x", "VARCHAR"), "string")
NUMBER_OF_TEXT = DuckdbFunction("number_of_text", f"CASE WHEN isnan({_NUMBER}) THEN NULL ELSE {_NUMBER} END", "float64")
BOOLEAN_OF_TEXT = DuckdbFunction("boolean_of_text", _one_of_sql({"1.0": YES_TEXTS, "0.0": NO_TEXTS}), "float64")
TIME_OF_TEXT = DuckdbFunction(
    "time_of_text",
    f"CASE WHEN NOT {_null_text_sql('x')} THEN TRY_CAST(x AS TIMESTAMPTZ)::TIMESTAMP END",
    "timestamp",
)

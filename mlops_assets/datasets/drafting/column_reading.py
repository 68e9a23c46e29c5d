"""Reads the facts of a file's columns, with DuckDB in a stream.

Here belongs how values are told apart: numbers, times, codes, nulls. What is made of them belongs to `columns`.
"""

from collections.abc import Mapping

import duckdb

from mlops_assets.datasets.drafting.facts import MOST_VALUES, ColumnFacts, Kind
from mlops_assets.datasets.drafting.table_files import TableFile
from mlops_assets.domain.dataset import NULL_TEXTS
from mlops_assets.domain.row_reading import FRACTION_TYPES, INTEGER_TYPES, TEXT_TYPES, TIME_TYPES, text_sql
from mlops_assets.domain.sql import literals

EXACT_ROWS = 200_000
"""Up to so many rows distinct values are counted, beyond they are estimated (HyperLogLog, about 2 %)."""
NUMBERS_SHARE = 0.95
"""A text column with so many numbers is a column of numbers: the contract sets aside up to 5 % of the rows."""


def read_columns(engine: duckdb.DuckDBPyConnection, table: TableFile) -> list[ColumnFacts]:
    """The facts of every column, in the file's order."""
    ((rows,),) = engine.execute(f"SELECT count(*) FROM {table.rows_sql}").fetchall()
    asked = [_aggregates(table, place, exact=rows <= EXACT_ROWS) for place in range(len(table.names))]
    flat = ", ".join(expression for one in asked for expression in one.values())
    (answers,) = engine.execute(f"SELECT {flat} FROM {table.rows_sql}").fetchall()
    width = len(asked[0])
    columns = []
    for place, one in enumerate(asked):
        seen = dict(zip(one, answers[place * width : (place + 1) * width], strict=True))
        columns.append(_column(engine, table, place, rows, seen))
    return columns


def value_sql(table: TableFile, place: int) -> str:
    """A column's value as text, null where it is missing, in SQL."""
    column = f"c{place}"
    if table.is_text:
        return f"(CASE WHEN lower(trim({column})) NOT IN ({literals(NULL_TEXTS)}) THEN {column} END)"
    return f"({text_sql(column, table.types[place])})"


def number_sql(table: TableFile, place: int) -> str:
    """A column's value as a number, null where it is none, in SQL."""
    is_number = table.types[place].startswith((*INTEGER_TYPES, *FRACTION_TYPES)) and table.types[place][-1] != "]"
    return f"TRY_CAST({value_sql(table, place)} AS DOUBLE)" if table.is_text or is_number else "NULL::DOUBLE"


def _aggregates(table: TableFile, place: int, *, exact: bool) -> dict[str, str]:
    value, number, column = value_sql(table, place), number_sql(table, place), f"c{place}"
    finite = f"FILTER (isfinite({number}))"
    time = f"TRY_CAST({value} AS TIMESTAMP)"
    is_null = f"lower(trim({column})) IN ({literals(NULL_TEXTS)}) AND trim({column}) <> ''"
    return {
        "values": f"count({value})",
        "distinct": f"count(DISTINCT {value})" if exact else f"approx_count_distinct({value})",
        "booleans": f"count(*) FILTER (lower(trim({value})) IN ('true', 'false'))",
        "numbers": f"count(*) {finite}",
        # A number that begins with 0 is a code: 01234 is not 1234.
        "codes": f"count(*) FILTER (regexp_matches({value}, '^\\s*0[0-9]'))",
        "fractions": f"count(*) FILTER (isfinite({number}) AND {number} <> trunc({number}))",
        "low": f"min({number}) {finite}",
        "high": f"max({number}) {finite}",
        "odd_example": f"min({value}) FILTER (NOT coalesce(isfinite({number}), false))",
        "times": f"count({time})",
        "first": f"min({time})::VARCHAR",
        "last": f"max({time})::VARCHAR",
        "null_text": f"min({column}) FILTER ({is_null})" if table.is_text else "NULL",
    }


def _column(
    engine: duckdb.DuckDBPyConnection, table: TableFile, place: int, rows: int, seen: Mapping[str, object]
) -> ColumnFacts:
    count = {name: int(answer) for name, answer in seen.items() if isinstance(answer, int)}
    low, high = (float(str(seen[end])) if seen[end] is not None else None for end in ("low", "high"))
    first, last, odd, null_text = (
        str(seen[name]) if seen[name] is not None else None for name in ("first", "last", "odd_example", "null_text")
    )
    kind = _kind(table, place, count)
    value, distinct, values = value_sql(table, place), count["distinct"], None
    if rows > EXACT_ROWS and kind in ("integer", "text", "other") and distinct > 0.9 * rows:
        ((distinct,),) = engine.execute(f"SELECT count(DISTINCT {value}) FROM {table.rows_sql}").fetchall()
    if distinct <= 1.1 * MOST_VALUES and kind not in ("time", "empty"):
        frequent = (
            f"SELECT {value} AS v, count(*) AS n FROM {table.rows_sql} WHERE {value} IS NOT NULL "
            f"GROUP BY v ORDER BY n DESC, v LIMIT {MOST_VALUES + 1}"
        )
        values = dict(engine.execute(frequent).fetchall())
        distinct = max(distinct, len(values)) if len(values) > MOST_VALUES else len(values)
        values = values if len(values) <= MOST_VALUES else None
    return ColumnFacts(
        name=table.names[place],
        type=table.types[place],
        kind=kind,
        rows=rows,
        nulls=rows - count["values"],
        distinct=distinct,
        low=low,
        high=high,
        first=first,
        last=last,
        values=values,
        odd=count["values"] - count["numbers"] if kind in ("integer", "float") else 0,
        odd_example=odd if kind in ("integer", "float") else None,
        null_text=null_text,
    )


def _kind(table: TableFile, place: int, count: Mapping[str, int]) -> Kind:
    values, type_ = count["values"], table.types[place]
    if values == 0:
        return "empty"
    if type_ == "BOOLEAN" or (table.is_text and count["booleans"] == values):
        return "boolean"
    if type_.endswith("]") or not type_.startswith(
        ("VARCHAR", *TEXT_TYPES, *TIME_TYPES, *INTEGER_TYPES, *FRACTION_TYPES)
    ):
        return "other"
    if not table.is_text and type_.startswith((*INTEGER_TYPES, *FRACTION_TYPES)):
        return "float" if count["fractions"] else "integer"
    if type_.startswith(TIME_TYPES) or count["times"] == values:
        return "time"
    if table.is_text and not count["codes"] and count["numbers"] >= NUMBERS_SHARE * values:
        return "float" if count["fractions"] else "integer"
    return "text"

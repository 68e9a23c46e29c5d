"""How well a single column tells the target: one that does so almost always was not known at the time.

Here belongs the measuring, on a bounded sample. What is done about it belongs to `feature_inference`.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from mlops_assets.datasets.drafting.column_reading import number_sql, value_sql
from mlops_assets.datasets.drafting.table_files import open_table
from mlops_assets.domain.sql import literal

SAMPLE_ROWS = 100_000
FEWEST_OF_EACH = 10
"""Rows with no and with yes that it takes to see a leak."""
MOST_DISTINCT_SHARE = 0.5
"""Values that hardly repeat tell every outcome apart, and nothing about the next row."""


def telling_columns(
    table: Path, labels: Path, *, key: str | None, target: str, columns: Sequence[str], yes: Sequence[str]
) -> dict[str, float]:
    """How surely each column tells the target, between 0.5 and 1; nothing where there are too few labels.

    It is the AUC of a number, or the smaller share of the two outcomes whose rows have a value that mostly goes
    with them; whichever is larger.

    Args:
        table: File with the columns.
        labels: File with the target; may be the same.
        key: Column that joins them; None where they are one.
        target: The column with the truth.
        columns: The columns to judge.
        yes: What the target says for yes, in lower case.
    """
    with duckdb.connect() as engine:
        rows, truth = open_table(engine, table), open_table(engine, labels)
        said = f"lower(trim({value_sql(truth, truth.names.index(target))}))"
        outcome = f"CASE WHEN {said} IS NOT NULL THEN {said} IN ({', '.join(map(literal, yes))}) END"
        values = [
            f"{value_sql(rows, place)} AS v{place}, {number_sql(rows, place)} AS n{place}"
            for place in map(rows.names.index, columns)
        ]
        wanted = ", ".join(values)
        if table == labels:
            select = f"SELECT {outcome} AS y, {wanted} FROM {rows.rows_sql}"
        else:
            joined = f"{value_sql(rows, rows.names.index(str(key)))} AS k, {wanted} FROM {rows.rows_sql}"
            truths = (
                f"SELECT {value_sql(truth, truth.names.index(str(key)))} AS k, {outcome} AS y FROM {truth.rows_sql}"
            )
            select = f"SELECT * FROM (SELECT {joined}) JOIN ({truths}) USING (k)"
        engine.execute(
            f"CREATE TEMP TABLE sample AS SELECT * FROM ({select}) WHERE y IS NOT NULL "
            f"USING SAMPLE reservoir({SAMPLE_ROWS} ROWS) REPEATABLE (0)"
        )
        counted = engine.execute("SELECT count(*) FILTER (y), count(*) FILTER (NOT y) FROM sample").fetchall()
        if min(counted[0]) < FEWEST_OF_EACH:
            return {}
        return {name: _surety(engine, rows.names.index(name), *counted[0]) for name in columns}


def _surety(engine: duckdb.DuckDBPyConnection, place: int, all_yes: int, all_no: int) -> float:
    groups = (
        f"SELECT v{place}, n{place}, count(*) FILTER (y), count(*) FILTER (NOT y) FROM sample GROUP BY 1, 2 ORDER BY 2"
    )
    counts = engine.execute(groups).fetchall()
    told_yes = sum(yes for _, _, yes, no in counts if yes > no) / all_yes
    told_no = sum(no for _, _, yes, no in counts if no > yes) / all_no
    purity = min(told_yes, told_no) if len(counts) <= MOST_DISTINCT_SHARE * (all_yes + all_no) else 0.5
    # Of a number: the share of pairs of a yes and a no in which the yes has the larger value.
    won, no_below, numbers_yes = 0.0, 0, 0
    for _, number, yes, no in counts:
        if number is not None:
            won += yes * (no_below + no / 2)
            no_below, numbers_yes = no_below + no, numbers_yes + yes
    pairs = numbers_yes * no_below
    has_enough = numbers_yes >= FEWEST_OF_EACH and no_below >= FEWEST_OF_EACH
    auc = max(won / pairs, 1 - won / pairs) if has_enough else 0.5
    return max(purity, auc, 0.5)

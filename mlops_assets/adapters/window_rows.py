"""Judges the rows of a window that was read: clean ones and quarantined ones, each written in a stream.

Here belongs running the rules. What they are belongs to `mlops_assets.domain.row_rules`.
"""

from pathlib import Path

import duckdb

from mlops_assets.adapters.engine import number
from mlops_assets.adapters.table_files import reading_from, write_parquet
from mlops_assets.adapters.window_tables import Reading
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.row_rules import (
    LINE_UNREADABLE,
    TEXT_TYPES,
    broken_sql,
    read_feature,
    read_label,
    read_text,
    read_time,
    reasons_sql,
    row_rules,
    several,
    truth_texts,
    unread,
)
from mlops_assets.domain.sql import literal, literals, parquet_files, quoted
from mlops_assets.domain.windows import SPLIT_COLUMN, VALIDATION, WindowCounts, WindowUnfit, split_sql


def write_rows(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    dataset: Dataset,
    *,
    clean: Path,
    quarantined: Path,
    of: str,
) -> WindowCounts:
    """Writes each row of the view `landed` to one of two files.

    Args:
        connection: The engine, with what `window_tables` made.
        reading: What it said of that.
        dataset: The contract.
        clean: Gets id, split key, target, kept columns, features (float32 and text) and the split.
        quarantined: Gets the columns as they landed and `_reasons`; and `_line_number`, `_line` of lines that are none.
        of: How a user knows the window, for errors.

    Raises:
        WindowUnfit: the rows cannot be read to their end.
    """
    rules = row_rules(dataset)
    connection.execute(f"CREATE VIEW read AS {_read_sql(dataset, reading)}")
    _mark_duplicates(connection, of)
    connection.execute("CREATE VIEW judged AS SELECT *, _id IN (FROM twice) AS _is_duplicate FROM read")
    clean_rows = write_parquet(
        connection, f"SELECT {_clean_columns(dataset)} FROM judged WHERE NOT ({broken_sql(rules)})", clean, of=of
    )
    raw = ", ".join(f"{_raw(column)} AS {quoted(column)}" for column in reading.types)
    set_aside = (
        f"SELECT {raw}, {reasons_sql(rules)} AS _reasons, NULL::BIGINT AS _line_number, NULL::VARCHAR AS _line "
        f"FROM judged WHERE {broken_sql(rules)} UNION ALL BY NAME "
        f"SELECT [{literal(LINE_UNREADABLE.reason)}] AS _reasons, _line_number, _line FROM unreadable_lines"
    )
    quarantined_rows = write_parquet(connection, set_aside, quarantined, of=of)
    return _count(connection, dataset, clean=clean, quarantined=quarantined, rows=(clean_rows, quarantined_rows))


def count_new_categories(connection: duckdb.DuckDBPyConnection, reading: Reading, dataset: Dataset) -> dict[str, int]:
    """Rows, by feature, whose value the contract does not name and lets through as missing."""
    open_ones = {name: feature for name, feature in dataset.features.items() if feature.new_categories == "as_missing"}
    if not open_ones:
        return {}
    counts = []
    for name, feature in open_ones.items():
        strict = feature.model_copy(update={"new_categories": "quarantine"})
        value, _ = read_feature(name, strict, reading.types[name], is_text=name in reading.text)
        counts.append(f"count(*) FILTER ({value} NOT IN ({literals(feature.categories)}))")
    found = connection.execute(f"SELECT {', '.join(counts)} FROM landed").fetchone() or ()
    return {name: rows for name, rows in zip(open_ones, found, strict=True) if rows}


def _read_sql(dataset: Dataset, reading: Reading) -> str:
    """Every landed row as the rules speak of it, and its columns as they landed (`_raw NAME`)."""

    def text(column: str) -> str:
        return read_text(quoted(column), reading.types[column])

    own = "NULL::VARCHAR"
    if dataset.target in reading.types:
        own = read_label(quoted(dataset.target), reading.types[dataset.target])
    columns = [
        f"{text(dataset.row_id)} AS _id",
        f"{text(dataset.split_by)} AS _key",
        f"coalesce(_label, {own}) AS _truth",  # a label that comes late corrects what the row said
        *(f"{quoted(column)} AS {_raw(column)}" for column in reading.types),
    ]
    for column in dataset.kept:
        if column == dataset.event_time:
            is_text = column in reading.text or reading.types[column].startswith(TEXT_TYPES)
            value, not_read = read_time(column, is_text=is_text)
            columns += [f"{value} AS {quoted(column)}", f"{not_read} AS {unread(column)}"]
        else:
            columns.append(f"{text(column)} AS {quoted(column)}")
    for name, feature in dataset.features.items():
        value, not_read = read_feature(name, feature, reading.types[name], is_text=name in reading.text)
        columns += [f"{value} AS {quoted(name)}", f"{not_read} AS {unread(name)}"]
    columns += [several(table) for table in dataset.source.tables[1:]]
    return f"SELECT {', '.join(columns)}, _is_contradictory FROM landed"


def _raw(column: str) -> str:
    return quoted(f"_raw {column}")


def _mark_duplicates(connection: duckdb.DuckDBPyConnection, of: str) -> None:
    """Makes `twice`, the ids that more than one row has.

    First by a hash of 8 bytes, which costs a tenth of the memory of ids; the ids themselves settle what it suspects.
    Sorted hashes meet their equals as neighbours: of 10 M ids that takes 320 MB, grouping them 520 MB and no less time.
    """
    with reading_from(of):
        connection.execute(
            "CREATE TABLE suspected AS SELECT DISTINCT h FROM (SELECT h, lag(h) OVER (ORDER BY h) AS before "
            "FROM (SELECT hash(_id) AS h FROM read WHERE _id IS NOT NULL)) WHERE h = before"
        )
        connection.execute(
            "CREATE TABLE twice AS SELECT _id FROM read WHERE hash(_id) IN (FROM suspected) AND _id IS NOT NULL "
            "GROUP BY 1 HAVING count(*) > 1"
            if number(connection, "SELECT count(*) FROM suspected")
            else "CREATE TABLE twice (_id VARCHAR)"
        )


def _clean_columns(dataset: Dataset) -> str:
    _, yes = truth_texts(dataset)
    columns = [f"_id AS {quoted(dataset.row_id)}"]
    if dataset.split_by != dataset.row_id:
        columns.append(f"_key AS {quoted(dataset.split_by)}")
    columns.append(f"_truth IN ({literals(yes)}) AS {quoted(dataset.target)}")  # null where no label has come
    columns += [quoted(column) for column in dataset.kept]
    columns += [
        f"{quoted(name)}::{'VARCHAR' if feature.type == 'category' else 'FLOAT'} AS {quoted(name)}"
        for name, feature in dataset.features.items()
    ]
    return ", ".join([*columns, f"{split_sql('_key')} AS {SPLIT_COLUMN}"])


def _count(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, *, clean: Path, quarantined: Path, rows: tuple[int, int]
) -> WindowCounts:
    landed = number(connection, "SELECT (SELECT count(*) FROM landed) + (SELECT count(*) FROM unreadable_lines)")
    kept = parquet_files(clean)
    by_reason = connection.execute(
        f"SELECT unnest(_reasons) AS reason, count(*) FROM {parquet_files(quarantined)} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    counts = WindowCounts(
        rows=landed,
        clean=rows[0],
        labelled=number(connection, f"SELECT count({quoted(dataset.target)}) FROM {kept}"),
        validation=number(connection, f"SELECT count(*) FILTER ({SPLIT_COLUMN} = '{VALIDATION}') FROM {kept}"),
        quarantined=rows[1],
        by_reason=dict(by_reason),
    )
    if counts.rows != counts.clean + counts.quarantined:
        raise WindowUnfit(f"rows were lost, which is a fault of the engine and not of the window: {counts}")
    return counts

"""Judges the rows of a window that was read: clean ones and quarantined ones, each written in a stream.

Here belongs running the rules, on whichever engine. What they are belongs to `mlops_assets.domain.row_reading` and
`row_rules`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.adapters.row_engine import RowEngine
from mlops_assets.adapters.window_tables import Reading
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.row_reading import feature_value, label_of, several, text_of, time_value, truth_texts, unread
from mlops_assets.domain.row_rules import LINE_UNREADABLE, is_broken, reasons, row_rules
from mlops_assets.domain.windows import SPLIT_COLUMN, VALIDATION, WindowCounts, WindowUnfit, split_side

if TYPE_CHECKING:
    import ibis.expr.types as ir

REASONS, LINE_NUMBER, LINE = "_reasons", "_line_number", "_line"


def write_rows(
    engine: RowEngine, reading: Reading, dataset: Dataset, *, clean: Path, quarantined: Path, of: str
) -> WindowCounts:
    """Writes each landed row to one of two files.

    Args:
        engine: What runs the rules, with what `window_tables` made.
        reading: What it said of that.
        dataset: The contract.
        clean: Gets id, split key, target, kept columns, features (float32 and text) and the split.
        quarantined: Gets the columns as they landed and `_reasons`; and `_line_number`, `_line` of lines that are none.
        of: How a user knows the window, for errors.

    Raises:
        WindowUnfit: the rows cannot be read to their end.
    """
    rules = row_rules(dataset)
    landed, lines = engine.landed(reading), engine.unreadable_lines()
    with engine.reading_from(of):
        read = engine.named("read", read_rows(landed, dataset, text=reading.text, raw=reading.types))
        twice = engine.kept("twice", repeated(engine.suspects(read, "_id"), "_id"))
    marked = engine.named("marked", read.mutate(_is_duplicate=read["_id"].isin(twice["_id"])))
    # Both verdicts under one name: an expression takes as long to be put into words as a small window to be read.
    judged = engine.named("judged", marked.mutate(_is_broken=is_broken(marked, rules), _reasons=reasons(marked, rules)))
    clean_count = engine.write(clean_rows(judged, dataset), clean, of=of)
    quarantined_count = engine.write(quarantined_rows(judged, lines, raw=reading.types), quarantined, of=of)
    ((landed_count,),) = engine.answers(landed.aggregate(rows=landed.count()))
    line_count = engine.answers(lines.aggregate(rows=lines.count()))[0][0] if lines is not None else 0
    kept, set_aside = engine.parquet(clean), engine.parquet(quarantined)
    labelled, validation = engine.answers(
        kept.aggregate(
            labelled=kept[dataset.target].count(), validation=kept.count(where=kept[SPLIT_COLUMN] == VALIDATION)
        )
    )[0]
    counts = WindowCounts(
        rows=landed_count + line_count,
        clean=clean_count,
        labelled=labelled,
        validation=validation or 0,
        quarantined=quarantined_count,
        by_reason=dict(engine.answers(rows_by_reason(set_aside))),
    )
    if counts.rows != counts.clean + counts.quarantined:
        raise WindowUnfit(f"rows were lost, which is a fault of the engine and not of the window: {counts}")
    return counts


def count_new_categories(engine: RowEngine, reading: Reading, dataset: Dataset) -> dict[str, int]:
    """Rows, by feature, whose value the contract does not name and lets through as missing."""
    open_ones = {name: feature for name, feature in dataset.features.items() if feature.new_categories == "as_missing"}
    if not open_ones:
        return {}
    landed, counts = engine.landed(reading), []
    for name, feature in open_ones.items():
        strict = feature.model_copy(update={"new_categories": "quarantine"})
        value, _ = feature_value(landed[name], strict, is_text=name in reading.text)
        counts.append(landed.count(where=value.notin(feature.categories)).name(name))
    (found,) = engine.answers(landed.aggregate(counts))
    return {name: rows for name, rows in zip(open_ones, found, strict=True) if rows}


def read_rows(landed: "ir.Table", dataset: Dataset, *, text: Collection[str], raw: Collection[str]) -> "ir.Table":
    """Every landed row as the rules speak of it, and its columns as they landed (`_raw NAME`).

    Args:
        landed: The rows.
        dataset: The contract.
        text: Columns that come from a CSV file, where every value is a text yet to be read.
        raw: The columns that landed.
    """
    import ibis

    own = label_of(landed[dataset.target]) if dataset.target in raw else ibis.null("string")
    columns: dict[str, ir.Value] = {
        "_id": text_of(landed[dataset.row_id]),
        "_key": text_of(landed[dataset.split_by]),
        "_truth": ibis.coalesce(landed["_label"], own),  # a label that comes late corrects what the row said
        **{_raw(column): landed[column] for column in raw},
    }
    for column in dataset.kept:
        if column == dataset.event_time:
            is_text = column in text or landed[column].type().is_string()
            columns[column], columns[unread(column)] = time_value(landed[column], is_text=is_text)
        else:
            columns[column] = text_of(landed[column])
    for name, feature in dataset.features.items():
        columns[name], columns[unread(name)] = feature_value(landed[name], feature, is_text=name in text)
    said = [*(several(table) for table in dataset.source.tables[1:]), "_is_contradictory"]
    return landed.select(*_named(columns), *said)


def repeated(rows: "ir.Table", column: str) -> "ir.Table":
    """The values of a column that more than one row has."""
    values = rows.filter(rows[column].notnull())
    return values.group_by(column).having(values.count() > 1).aggregate()


def clean_rows(judged: "ir.Table", dataset: Dataset) -> "ir.Table":
    """The rows that hold the contract, as they are stored."""
    _, yes = truth_texts(dataset)
    columns: dict[str, ir.Value] = {dataset.row_id: judged["_id"], dataset.split_by: judged["_key"]}
    columns[dataset.target] = judged["_truth"].isin(yes)  # null where no label has come
    columns |= {column: judged[column] for column in dataset.kept}
    columns |= {
        name: judged[name] if feature.type == "category" else judged[name].cast("float32")
        for name, feature in dataset.features.items()
    }
    columns[SPLIT_COLUMN] = split_side(judged["_key"])
    return judged.filter(~judged["_is_broken"]).select(*_named(columns))


def quarantined_rows(judged: "ir.Table", lines: "ir.Table | None", *, raw: Collection[str]) -> "ir.Table":
    """The other rows as they landed, and lines that are no rows, with the reasons."""
    import ibis

    landed = {column: judged[_raw(column)] for column in raw}
    columns = {**landed, REASONS: judged[REASONS], LINE_NUMBER: ibis.null("int64"), LINE: ibis.null("string")}
    broken = judged.filter(judged["_is_broken"]).select(*_named(columns))
    if lines is None:
        return broken
    why = ibis.array([ibis.literal(LINE_UNREADABLE.reason)])
    said = {REASONS: why, LINE_NUMBER: lines[LINE_NUMBER], LINE: lines[LINE]}
    empty = {column: ibis.null(value.type()) for column, value in landed.items()}
    return broken.union(lines.select(*_named({**empty, **said})), distinct=False)


def rows_by_reason(quarantined: "ir.Table") -> "ir.Table":
    """The quarantined rows by reason, the most frequent first; a row may have several."""
    import ibis

    each = quarantined.select(reason=quarantined[REASONS].unnest())
    return each.group_by("reason").aggregate(rows=each.count()).order_by([ibis.desc("rows"), "reason"])


def _named(columns: "Mapping[str, ir.Value]") -> "list[ir.Value]":
    """As arguments: a column may have a name that a parameter has too."""
    return [value.name(name) for name, value in columns.items()]


def _raw(column: str) -> str:
    return f"_raw {column}"

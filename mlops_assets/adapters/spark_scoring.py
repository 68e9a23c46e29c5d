"""Scores rows of any number with a released model on Spark: each worker runs the model on its parts, batch by batch.

Here belong sending the model to workers, writing and summing up. What holds on any engine belongs to `scored_rows`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from mlops_assets.adapters.engine import number
from mlops_assets.adapters.files import folder_in_one_piece
from mlops_assets.adapters.release_store import ServedModel
from mlops_assets.adapters.scored_rows import (
    BETWEEN_SAID,
    LINE_SAID,
    PROBABILITY,
    REASON,
    VERSION,
    Scored,
    ToScore,
    answers,
    output_schema,
    scores_of,
)
from mlops_assets.adapters.spark_rows import SparkRows, spark_column
from mlops_assets.adapters.table_files import write_parquet
from mlops_assets.domain.feature import FLOAT32_MAX
from mlops_assets.domain.row_rules import LINE_UNREADABLE, feature_rules
from mlops_assets.domain.sql import quoted
from serving import release

if TYPE_CHECKING:
    import ibis.expr.types as ir

OWN_COLUMNS = f"{PROBABILITY} FLOAT, {VERSION} INT, {REASON} STRING"


def score_on_spark(
    rows: SparkRows, connection: duckdb.DuckDBPyConnection, given: "ir.Table", wanted: ToScore
) -> Scored:
    """Writes a folder of Parquet files, each what a worker made of a part, and sums them up.

    Args:
        rows: Spark.
        connection: DuckDB, with the table `unreadable_lines`.
        given: What `input_rows` gives.
        wanted: The rest.

    Raises:
        WindowUnfit: the file cannot be read to its end, or changed meanwhile.
        ReleaseInvalid: the model gives an answer that is not finite.
    """
    with folder_in_one_piece(wanted.output, is_whole=lambda _: False) as beside:
        encoded = rows.dataframe(given)
        carried = encoded.schema[len(wanted.features) + 1 :]
        types = [f"{spark_column(field.name)} {field.dataType.simpleString()}" for field in carried]
        scored = encoded.mapInArrow(_scoring(wanted), ", ".join([*types, OWN_COLUMNS]))
        rows.store(scored, beside, of=wanted.file.name)
        sums = _sum(rows, beside, wanted)
        if lines := number(connection, "SELECT count(*) FROM unreadable_lines"):
            _write_lines(connection, beside, wanted, carried=[field.name for field in carried])
            sums = replace(
                sums,
                rows=sums.rows + lines,
                refused=sums.refused + lines,
                by_reason={**sums.by_reason, LINE_UNREADABLE.reason: lines},
            )
        wanted.demand_all(sums.rows)
    return sums


def _scoring(wanted: ToScore) -> "Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]":
    """What a worker does with its batches; it is sent to the worker, the model with it."""
    exported, manifest = wanted.exported, wanted.manifest

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = ServedModel(exported, manifest.features, threads=1)
        for batch in batches:
            schema = output_schema(pa.schema(list(batch.schema)[len(manifest.features) + 1 :]))
            yield answers(batch, scores_of(batch, model), schema, manifest.model_version)

    return scored


def _sum(rows: SparkRows, output: Path, wanted: ToScore) -> Scored:
    """What the answers add up to."""
    kept = rows.parquet(output)
    probability = kept[PROBABILITY]
    totals = [
        kept.count().name("rows"),
        probability.count().name("scored"),
        probability.cast("float64").mean().name("mean"),
        kept.count(where=~(probability.abs() <= FLOAT32_MAX)).name("not_finite"),
    ]
    ((total, scored, mean, not_finite),) = rows.answers(kept.aggregate(totals))
    if not_finite:
        raise release.ReleaseInvalid(f"{release.MODEL}: an answer is not finite")
    refused = kept.filter(kept[REASON].notnull())
    by_reason = Counter[str]()
    rules = [rule.reason for name, feature in wanted.features.items() for rule in feature_rules(name, feature)]
    for said, count in rows.answers(refused.group_by(REASON).aggregate(refused.count().name("rows"))):
        between = f"{BETWEEN_SAID}{said}{BETWEEN_SAID}"
        by_reason.update({reason: count for reason in rules if f"{BETWEEN_SAID}{reason}{BETWEEN_SAID}" in between})
    return Scored(total, total - scored, dict(by_reason.most_common()), mean, seconds=0)


def _write_lines(connection: duckdb.DuckDBPyConnection, output: Path, wanted: ToScore, *, carried: list[str]) -> None:
    """Lines of a CSV file that are no rows, each as a row that was refused, in a file of their own."""
    columns = [f"NULL::VARCHAR AS {quoted(name)}" for name in carried]
    version = wanted.manifest.model_version
    columns += [f"NULL::FLOAT AS {PROBABILITY}", f"{version:d}::INTEGER AS {VERSION}", f"{LINE_SAID} AS {REASON}"]
    select = f"SELECT {', '.join(columns)} FROM unreadable_lines ORDER BY _line_number"
    write_parquet(connection, select, output / "lines.parquet", of=wanted.file.name)

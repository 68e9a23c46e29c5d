"""What scoring a table is on any engine: rows as the model takes them, run batch by batch, and each row's answer.

How a row becomes the model's input, and which are refused, belongs to `mlops_assets.domain.model_input`; reading and
writing files of any size to `batch_scoring`, which does it on this machine, and to `spark_scoring`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.adapters.landing.landed_window import TableFile, stamp_of
from mlops_assets.adapters.release_store import ServedModel
from mlops_assets.adapters.row_engine import RowEngine
from mlops_assets.adapters.table_files import Table
from mlops_assets.domain.evaluation import Scores
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.model_input import BETWEEN_REASONS, REASONS, encode, model_input, read_features
from mlops_assets.domain.row_rules import LINE_UNREADABLE
from mlops_assets.domain.sql import literal
from mlops_assets.domain.windows import WindowUnfit
from serving.release import Manifest

if TYPE_CHECKING:
    import ibis.expr.types as ir

PROBABILITY, VERSION, REASON = "probability", "model_version", "reason"
"""What the output holds beside the columns that are carried; a carried column of such a name gives way."""
BETWEEN_SAID = "; "
"""Stands between two reasons in the output."""
LINE_SAID = f"'line ' || _line_number || {literal(LINE_UNREADABLE.reason.removeprefix('line'))}"
"""What the output says of a line that is no row, in DuckDB's SQL."""


@dataclass(frozen=True)
class Scored:
    """What came of a file."""

    rows: int
    refused: int
    """Rows that break what the model takes: their probability is null, and `reason` says why."""
    by_reason: dict[str, int]
    """Refused rows by rule, the most frequent first; a row may break several."""
    mean_probability: float | None
    """Of the rows that were scored; None where there are none."""
    seconds: float


@dataclass(frozen=True)
class ToScore:
    """A file that is to be scored, and what with."""

    file: TableFile
    total: int
    """Its rows, and its lines that are none."""
    features: Mapping[str, Feature]
    """What the model takes, in the order of its input."""
    output: Path
    manifest: Manifest
    exported: bytes
    """The model."""

    def demand_all(self, rows: int) -> None:
        """Demands that so many are all, and of the file as it was.

        Raises:
            WindowUnfit: they are not.
        """
        if rows != self.total or stamp_of(self.file.path) != self.file.stamp:
            raise WindowUnfit(f"{self.file.name} was written to while it was read: score it again")


def input_rows(
    engine: RowEngine, table: Table, features: Mapping[str, Feature], carried: Collection[str]
) -> "ir.Table":
    """The rows of a table as the model takes them, with the reasons to refuse them, and what is carried."""
    landed = engine.of_file(table.file, {name: table.types[name] for name in (*features, *carried)})
    read = engine.named("read", read_features(landed, features, is_text=table.is_text, carried=carried))
    whole = [name for name in features if landed[name].type().is_integer()]
    return model_input(engine.named("encoded", encode(read, features, whole=whole, carried=carried)))


def output_schema(carried: pa.Schema) -> pa.Schema:
    """The output's columns, behind those that are carried."""
    own = [
        pa.field(PROBABILITY, pa.float32()),
        pa.field(VERSION, pa.int32()),
        pa.field(REASON, pa.string()),
    ]
    return pa.schema([*carried, *own])


def scores_of(batch: pa.RecordBatch, model: ServedModel) -> Scores:
    """The model's answers to a batch of `input_rows`, also to rows that are refused."""
    matrix = np.empty((len(batch), len(model.features)), np.float32)
    for position in range(len(model.features)):
        matrix[:, position] = batch.column(position).to_numpy()
    return model.run(matrix)


def answers(batch: pa.RecordBatch, scores: Scores, schema: pa.Schema, model_version: int) -> pa.RecordBatch:
    """The output's rows: a probability, or why there is none."""
    reasons, refused = batch.column(REASONS), None
    if reasons.null_count < len(batch):
        refused = np.asarray(reasons.is_valid())
        reasons = pc.replace_substring(reasons, BETWEEN_REASONS, BETWEEN_SAID)
    columns = [batch.column(name) for name in schema.names[:-3]]
    probabilities = pa.array(scores, pa.float32(), mask=refused)
    version = pa.repeat(pa.scalar(model_version, pa.int32()), len(batch))
    return pa.record_batch([*columns, probabilities, version, reasons], schema=schema)

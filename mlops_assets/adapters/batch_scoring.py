"""Scores a file of any size with a released model, batch by batch, in memory that does not follow the file's size.

Here belong reading, running and writing on this machine. What holds on any engine belongs to `scored_rows`; opening
files safely to `table_files`.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.engine import engine, make_room, number
from mlops_assets.adapters.files import file_in_one_piece
from mlops_assets.adapters.landing.landed_window import FORMATS, TableFile, stamp_of
from mlops_assets.adapters.release_store import ServedModel
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.scored_rows import (
    LINE_SAID,
    PROBABILITY,
    REASON,
    VERSION,
    Scored,
    ToScore,
    answers,
    input_rows,
    output_schema,
    scores_of,
)
from mlops_assets.adapters.table_files import DISK_FAULTS, Table, read_file, reading_from
from mlops_assets.domain.evaluation import Scores
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.model_input import BETWEEN_REASONS, REASONS
from mlops_assets.domain.row_reading import can_hold
from mlops_assets.domain.row_rules import LINE_UNREADABLE
from mlops_assets.domain.windows import WindowUnfit
from serving import release
from serving.release import Manifest

BATCH_ROWS = 65_536
MOST_THREADS = 8
"""That run the model: one thread reads 2 million rows in the second in which one of these scores 350,000."""


def score_file(
    path: Path,
    output: Path,
    *,
    manifest: Manifest,
    exported: bytes,
    engines: Engines | None = None,
    told: Callable[[int, int], None] = lambda done, of: None,  # noqa: ARG005
) -> Scored:
    """Scores each row of a Parquet or CSV file: on this machine in the file's order, on Spark in none.

    The output holds row id and context columns, as far as the file has them, `probability`, `model_version` and
    `reason`. It has as many rows as the input: one that the model refuses has a null probability. Lines of a CSV file
    that are no rows have no place among them, and stand at the end. It appears whole or not at all. Of Spark it is a
    folder of Parquet files, which is read as one.

    Args:
        path: The file.
        output: What to write, as its ending says: `.parquet` or `.csv`.
        manifest: What the model takes; each row is judged by it, as the service judges requests.
        exported: The model.
        engines: What reads and judges the rows; DuckDB where none is given.
        told: Is told how many rows are done, of how many.

    Raises:
        WindowUnfit: the file cannot be read to its end, lacks a feature, or has one in another type.
        ReleaseInvalid: the model gives an answer that is not finite.
        EngineMissing: Spark is asked for and cannot run here.
        OSError: the output cannot be written.
    """
    started = time.perf_counter()
    features = {feature.name: _as_contract(feature) for feature in manifest.features}
    own = (PROBABILITY, VERSION, REASON)
    carried = [name for name in (manifest.row_id, *manifest.context) if name is not None and name not in own]
    file = TableFile(path, path.name, FORMATS[path.suffix], sha256="read", stamp=stamp_of(path))
    with TemporaryDirectory(prefix=".score-", dir=output.parent) as work, engine(Path(work)) as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute("CREATE TABLE unreadable_lines (_table VARCHAR, _line_number BIGINT, _line VARCHAR)")
        table = read_file(connection, file, Path(work), wanted={*features, *carried})
        _demand_features(table, features)
        make_room(connection, row_group_mb=table.row_group_mb)
        carried = [column for column in carried if column in table.types]
        total = number(connection, f"SELECT count(*) FROM {table.sql}")  # noqa: S608 -- a path that was escaped
        total += number(connection, "SELECT count(*) FROM unreadable_lines")
        rows = (engines or Engines()).over(connection, Path(work))
        given = input_rows(rows, table, features, carried)
        wanted = ToScore(file, total, features, output, manifest, exported)
        if isinstance(rows, DuckdbRows):
            sums = _score_here(connection, rows.sql(given), wanted, told)
        else:
            from mlops_assets.adapters.spark_scoring import score_on_spark

            sums = score_on_spark(rows, connection, given, wanted)
            told(total, total)
    return replace(sums, seconds=time.perf_counter() - started)


def _score_here(
    connection: duckdb.DuckDBPyConnection, query: str, wanted: ToScore, told: Callable[[int, int], None]
) -> Scored:
    """Streams the rows through the model on this machine, in their order."""
    # The reader works when a batch is asked for, in the thread that asks: nothing is read ahead.
    connection.execute("SET threads = 1")
    manifest, name = wanted.manifest, wanted.file.name
    model = ServedModel(wanted.exported, manifest.features, threads=1)
    with file_in_one_piece(wanted.output) as beside, reading_from(name):
        reader = connection.sql(query).to_arrow_reader(BATCH_ROWS)
        answered = _Answers(pa.schema(list(reader.schema)[len(manifest.features) + 1 :]), manifest.model_version)
        with _writer(beside, wanted.output.suffix, answered.schema) as write:
            for batch in answered.of_rows(scored_batches(_read(reader, name), model)):
                write(batch)
                told(answered.rows, wanted.total)
            for batch in answered.of_lines(connection):
                write(batch)
                told(answered.rows, wanted.total)
        wanted.demand_all(answered.rows)
    return answered.sum()


def scoring_threads() -> int:
    """How many threads run the model, each on a batch of its own.

    The threads of one run wait for each other at its end, by spinning: on two cores with other work beside, one run of
    two threads took two to three times as long as two runs side by side.
    """
    return min(MOST_THREADS, os.cpu_count() or 1)


class _Answers:
    """Batches as they are written, and what they add up to."""

    def __init__(self, carried: pa.Schema, model_version: int) -> None:
        self._carried = carried
        self._version = model_version
        self.schema = output_schema(carried)
        self.rows = 0
        self._refused, self._by_reason = 0, Counter[str]()
        self._total = 0.0

    def of_rows(self, scored: Iterable[tuple[pa.RecordBatch, Scores]]) -> Iterator[pa.RecordBatch]:
        """The rows' answers."""
        for batch, scores in scored:
            reasons = batch.column(REASONS)
            if reasons.null_count < len(batch):
                self._refuse(reasons.drop_null())
            if not np.isfinite(scores).all():
                raise release.ReleaseInvalid(f"{release.MODEL}: an answer is not finite")
            self._total += float(scores.sum(where=np.asarray(reasons.is_null())))
            self.rows += len(batch)
            yield answers(batch, scores, self.schema, self._version)

    def of_lines(self, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        """Lines of a CSV file that are no rows, each as a row that was refused."""
        lines = connection.sql(f"SELECT {LINE_SAID} FROM unreadable_lines ORDER BY _line_number")  # noqa: S608
        for batch in lines.to_arrow_reader(BATCH_ROWS):
            self._refused += len(batch)
            self._by_reason[LINE_UNREADABLE.reason] += len(batch)
            self.rows += len(batch)
            empty = [pa.nulls(len(batch), field.type) for field in self.schema][:-2]
            version = pa.repeat(pa.scalar(self._version, pa.int32()), len(batch))
            yield pa.record_batch([*empty, version, batch.column(0)], schema=self.schema)

    def sum(self) -> Scored:
        """What all of them were."""
        scored = self.rows - self._refused
        return Scored(
            rows=self.rows,
            refused=self._refused,
            by_reason=dict(self._by_reason.most_common()),
            mean_probability=self._total / scored if scored else None,
            seconds=0,
        )

    def _refuse(self, reasons: pa.Array) -> None:
        self._refused += len(reasons)
        for counted in pc.value_counts(pc.list_flatten(pc.split_pattern(reasons, BETWEEN_REASONS))).to_pylist():
            self._by_reason[counted["values"]] += counted["counts"]


def scored_batches(reader: Iterable[pa.RecordBatch], model: ServedModel) -> Iterator[tuple[pa.RecordBatch, Scores]]:
    """Batches with their scores, in their order; as many are held as keep all threads busy while one is written."""
    threads = scoring_threads()
    held: deque[tuple[pa.RecordBatch, Future[Scores]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for batch in reader:
            held.append((batch, pool.submit(scores_of, batch, model)))
            if len(held) > 2 * threads:
                batch, scores = held.popleft()
                yield batch, scores.result()
        while held:
            batch, scores = held.popleft()
            yield batch, scores.result()


def _read(reader: pa.RecordBatchReader, of: str) -> Iterator[pa.RecordBatch]:
    """The engine's batches; what it meets on the way comes as Arrow's errors, without a class of its own."""
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        if any(words in str(error) for words in DISK_FAULTS):
            raise
        raise WindowUnfit(f"{of} cannot be read to its end: {str(error).splitlines()[0]}") from error


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    if suffix == ".csv":
        with pyarrow.csv.CSVWriter(path, schema) as writer:
            yield writer.write_batch
        return
    # Ids and probabilities are all different: a dictionary of them is made in vain.
    repeated = [name for name in schema.names[1:] if name != PROBABILITY]
    with pq.ParquetWriter(path, schema, use_dictionary=repeated) as writer:
        yield writer.write_batch


def _demand_features(table: Table, features: Mapping[str, Feature]) -> None:
    if missing := [name for name in features if name not in table.types]:
        raise WindowUnfit(
            f"{table.name} lacks columns that the model takes: {', '.join(missing)}; it has {', '.join(table.types)}"
        )
    wrong = [
        f"{name} is {table.types[name]}, the model takes {feature.type}"
        for name, feature in features.items()
        if not table.is_text and not can_hold(table.types[name], feature.type)
    ]
    if wrong:
        raise WindowUnfit(f"columns of {table.name} are of another type: {'; '.join(wrong)}")


def _as_contract(feature: release.Feature) -> Feature:
    """The model's word on a feature, as the rules know features."""
    known = feature.minimum is not None and feature.maximum is not None
    return Feature(
        type=feature.type,
        nullable=feature.nullable,
        range=(feature.minimum, feature.maximum) if known else None,
        categories=feature.categories,
        new_categories=feature.new_categories,
    )

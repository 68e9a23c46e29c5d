"""One segment of the prediction log as a pair of Parquet files: its answers and its labels.

Features and context are JSON texts, so that the rows of every model version fit the same columns. Here belong the
columns and the way from lines to them; which segments are gathered, and when, belongs to `prediction_log`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord, SegmentInvalid

PREDICTIONS, LABELS = "predictions.parquet", "labels.parquet"
BATCH_BYTES = 8 << 20
"""Lines that are in memory at a time; as Python objects and Arrow columns they take some ten times that."""
TIME = pa.timestamp("us", tz="UTC")
PLACE = (("segment", pa.string()), ("number", pa.int64()))
"""Of a record: its segment, and the how manieth it is there."""
PREDICTION_COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("request_id", pa.string()),
        ("at", TIME),
        ("model_version", pa.int64()),
        ("epoch", pa.int64()),
        ("probability", pa.float64()),
        ("features", pa.string()),
        ("features_sha256", pa.string()),
        ("context", pa.string()),
        *PLACE,
    ]
)
LABEL_COLUMNS = pa.schema([("id", pa.string()), ("label", pa.bool_()), ("at", TIME), *PLACE])
Record = PredictionRecord | LabelRecord
_READ = msgspec.json.Decoder(PredictionRecord | BatchRecord | LabelRecord)
_AS_JSON = msgspec.json.Encoder()


@dataclass(frozen=True)
class SegmentRows:
    """What a segment held."""

    predictions: int
    labels: int
    first: datetime | None
    """The time of its oldest record; None where it has none."""
    last: datetime | None


def write_rows(segment: Path, folder: Path) -> SegmentRows:
    """Writes the records of a segment into `folder`, in bounded memory.

    Raises:
        SegmentInvalid: a line is no record; the message says which.
    """
    counts = {PREDICTIONS: 0, LABELS: 0}
    times: list[datetime] = []
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(pq.ParquetWriter(folder / name, schema, compression="zstd"))
            for name, schema in ((PREDICTIONS, PREDICTION_COLUMNS), (LABELS, LABEL_COLUMNS))
        }
        counted = 0
        for number, lines in _batches(segment):
            read = chain.from_iterable(_records(line, segment, at) for at, line in enumerate(lines, start=number))
            records = list(enumerate(read, start=counted + 1))
            counted += len(records)
            answered = [(at, one) for at, one in records if isinstance(one, PredictionRecord)]
            labels = [(at, one) for at, one in records if isinstance(one, LabelRecord)]
            try:
                tables = {
                    PREDICTIONS: _predictions(answered, segment.stem),
                    LABELS: _labels(labels, segment.stem),
                }
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
                raise SegmentInvalid(
                    f"{segment.name}: lines {number} to {number + len(lines) - 1}: a value is not what it is to be: "
                    f"{error}"
                ) from error
            for name, table in tables.items():
                if table.num_rows:
                    writers[name].write_table(table)
                    counts[name] += table.num_rows
                    found = pc.min_max(table["at"]).as_py()
                    times += [found["min"], found["max"]]
    return SegmentRows(counts[PREDICTIONS], counts[LABELS], min(times, default=None), max(times, default=None))


def newest(folder: Path) -> datetime | None:
    """The time of the newest record of a gathered segment; None where it has none."""
    found = [pc.max(pq.read_table(folder / name, columns=["at"])["at"]).as_py() for name in (PREDICTIONS, LABELS)]
    return max((time for time in found if time is not None), default=None)


def _batches(segment: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Lines, and the number (from 1) of the first of them."""
    number = 1
    with segment.open("rb") as file:
        while lines := file.readlines(BATCH_BYTES):
            yield number, lines
            number += len(lines)


def _records(line: bytes, segment: Path, number: int) -> Sequence[Record]:
    try:
        read: Record | BatchRecord = _READ.decode(line)
        return read.records() if isinstance(read, BatchRecord) else [read]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SegmentInvalid(f"{segment.name}: line {number} is no record: {error}") from error


def _predictions(numbered: Sequence[tuple[int, PredictionRecord]], segment: str) -> pa.Table:
    records = [record for _, record in numbered]
    return _table(
        PREDICTION_COLUMNS,
        numbered,
        segment,
        request_id=[record.request_id for record in records],
        model_version=[record.model_version for record in records],
        epoch=[record.epoch for record in records],
        probability=[record.probability for record in records],
        features=[None if record.features is None else _json(record.features) for record in records],
        features_sha256=[record.features_sha256 for record in records],
        context=[_json(record.context) for record in records],
    )


def _labels(numbered: Sequence[tuple[int, LabelRecord]], segment: str) -> pa.Table:
    return _table(LABEL_COLUMNS, numbered, segment, label=[record.label for _, record in numbered])


def _table(schema: pa.Schema, numbered: Sequence[tuple[int, Record]], segment: str, **columns: object) -> pa.Table:
    """Adds the columns that every record has."""
    columns |= {
        "id": [record.id for _, record in numbered],
        "at": _times(record.at for _, record in numbered),
        "segment": [segment] * len(numbered),
        "number": [number for number, _ in numbered],
    }
    return pa.table(columns, schema=schema)


def _times(texts: Iterable[str]) -> pa.Array:
    """Demands a zone of each: a time without one could be any of 26 hours."""
    return pa.array(list(texts), pa.string()).cast(TIME)


def _json(values: object) -> str:
    return _AS_JSON.encode(values).decode()

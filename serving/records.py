"""Puts answers and labels on record, by the operator's policy.

The lines' format belongs to `serving.log_segments`, writing them to `serving.prediction_log`.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time_ns

import msgspec

from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord
from serving.metrics import Metrics
from serving.prediction_log import CannotRecord, PredictionLog
from serving.rows import Values
from serving.segment import Segment
from serving.settings import Settings
from serving.slot import Slot

ENDS_OF_LINES = bytes.maketrans(b"\r\n", b"  ")


class Answer(msgspec.Struct, frozen=True):
    """What was found for a request; a struct, for there is one for each."""

    slot: Slot
    request_id: str
    ids: list[str]
    """By which labels may come, one for each row."""
    probabilities: list[float]


class Answered(msgspec.Struct, frozen=True):
    """What is to be recorded of a request."""

    answer: Answer
    rows: Sequence[Values]
    as_sent: bytes | None
    """Its body, where that is its rows by the names of their columns."""


class Recorder:
    """Of one app. What it gives back is where the record is, for `sync`; None where it is counted instead."""

    def __init__(self, settings: Settings, metrics: Metrics, log: PredictionLog) -> None:
        self._metrics = metrics
        self._log = log
        self._serves_unrecorded = settings.log_full == "serve-and-count"
        self._encoder = msgspec.json.Encoder()
        self._hashes = settings.log_features == "hash"
        self._second = (0, "")
        self.syncs_each_answer = log.syncs_each_answer

    @property
    def failure(self) -> str | None:
        """Why nothing can be recorded now, as far as is known, where answers must be."""
        return None if self._serves_unrecorded else self._log.failure

    def record(self, answered: Sequence[Answered]) -> Segment | None:
        """Records requests, all of them or none.

        Raises:
            CannotRecord: they are not recorded, and must be.
        """
        at = self._now()
        lines = b"".join([self._lines(one, at) for one in answered])
        try:
            return self._log.append(lines)
        except CannotRecord:
            if not self._serves_unrecorded:
                raise
            self._metrics.count_unrecorded(sum(len(one.rows) for one in answered))
            return None

    def record_labels(self, labels: Sequence[tuple[str, bool]]) -> Segment:
        """Records labels by their rows' ids, whatever the policy says of answers.

        Raises:
            CannotRecord: they are not recorded.
        """
        at = self._now()
        records = [LabelRecord(id=id_, label=label, at=at) for id_, label in labels]
        return self._log.append(self._encoder.encode_lines(records))

    def sync(self, segment: Segment, rows: int | None) -> None:
        """Forces rows to the disk; None are labels.

        Raises:
            CannotRecord: the disk failed, and they must be on it.
        """
        try:
            self._log.sync(segment)
        except CannotRecord:
            if rows is None or not self._serves_unrecorded:
                raise
            self._metrics.count_unrecorded(rows)

    def _now(self) -> str:
        """RFC 3339 in UTC, with microseconds; all of it but these is kept for a second, for it takes long to make."""
        second, rest = divmod(time_ns(), 1_000_000_000)
        known, text = self._second
        if second != known:
            text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._second = second, text
        return f"{text}.{rest // 1000:06}Z"

    def _lines(self, one: Answered, at: str) -> bytes:
        answer = one.answer
        pointer, of = answer.slot.pointer, answer.slot.rows
        if one.as_sent is not None and not self._hashes:
            record = BatchRecord(
                request_id=answer.request_id,
                at=at,
                model_version=pointer.model_version,
                epoch=pointer.epoch,
                row_id=answer.slot.manifest.row_id,
                features=of.features,
                rows=msgspec.Raw(_on_one_line(one.as_sent)),
                probabilities=answer.probabilities,
            )
            return self._encoder.encode(record) + b"\n"
        records = []
        for id_, row, probability in zip(answer.ids, one.rows, answer.probabilities, strict=True):
            features = dict(zip(of.features, row, strict=False))
            digest = hashlib.sha256(self._encoder.encode(features)).hexdigest() if self._hashes else None
            records.append(
                PredictionRecord(
                    id=id_,
                    request_id=answer.request_id,
                    at=at,
                    model_version=pointer.model_version,
                    epoch=pointer.epoch,
                    probability=probability,
                    features=None if self._hashes else features,
                    features_sha256=digest,
                    context=of.context(row),
                )
            )
        return self._encoder.encode_lines(records)


def _on_one_line(body: bytes) -> bytes:
    """In JSON an end of line stands between values alone; within a text it is escaped."""
    return body.translate(ENDS_OF_LINES) if b"\n" in body or b"\r" in body else body

"""Puts answers and labels on record, by the operator's policy.

The lines' format belongs to `serving.log_segments`, writing them to `serving.prediction_log`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord
from serving.metrics import Metrics
from serving.prediction_log import CannotRecord, PredictionLog
from serving.rows import Values
from serving.segment import Segment
from serving.settings import Settings
from serving.slot import Slot

ENDS_OF_LINES = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for a request."""

    slot: Slot
    request_id: str
    ids: list[str]
    """By which labels may come, one for each row."""
    probabilities: list[float]


class Recorder:
    """Of one app. What it gives back is where the record is, for `sync`; None where it is counted instead."""

    def __init__(self, settings: Settings, metrics: Metrics, log: PredictionLog) -> None:
        self._metrics = metrics
        self._log = log
        self._serves_unrecorded = settings.log_full == "serve-and-count"
        self._encoder = msgspec.json.Encoder()
        self.hashes = settings.log_features == "hash"
        self.syncs_each_answer = log.syncs_each_answer

    @property
    def failure(self) -> str | None:
        """Why nothing can be recorded now, as far as is known, where answers must be."""
        return None if self._serves_unrecorded else self._log.failure

    def record(self, answered: Sequence[tuple[Answer, Sequence[Values]]]) -> Segment | None:
        """Records requests row by row, all of them or none.

        Raises:
            CannotRecord: they are not recorded, and must be.
        """
        at = _now()
        lines = b"".join(self._lines(answer, rows, at) for answer, rows in answered)
        return self._append(lines, sum(len(rows) for _, rows in answered))

    def record_as_sent(self, answer: Answer, body: bytes) -> Segment | None:
        """Records a request whose body is its rows on one line, as the client wrote them.

        Raises:
            CannotRecord: it is not recorded, and must be.
        """
        record = BatchRecord(
            request_id=answer.request_id,
            at=_now(),
            model_version=answer.slot.pointer.model_version,
            epoch=answer.slot.pointer.epoch,
            row_id=answer.slot.manifest.row_id,
            features=answer.slot.rows.features,
            # In JSON an end of line stands between values alone; within a text it is written as \n.
            rows=msgspec.Raw(body.translate(ENDS_OF_LINES)),
            probabilities=answer.probabilities,
        )
        return self._append(self._encoder.encode_lines([record]), len(answer.ids))

    def record_labels(self, labels: Sequence[tuple[str, bool]]) -> Segment:
        """Records labels by their rows' ids, whatever the policy says of answers.

        Raises:
            CannotRecord: they are not recorded.
        """
        at = _now()
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

    def _append(self, lines: bytes, rows: int) -> Segment | None:
        try:
            return self._log.append(lines)
        except CannotRecord:
            if not self._serves_unrecorded:
                raise
            self._metrics.count_unrecorded(rows)
            return None

    def _lines(self, answer: Answer, rows: Sequence[Values], at: str) -> bytes:
        pointer, of = answer.slot.pointer, answer.slot.rows
        records = []
        for id_, row, probability in zip(answer.ids, rows, answer.probabilities, strict=True):
            features = dict(zip(of.features, row, strict=False))
            digest = hashlib.sha256(self._encoder.encode(features)).hexdigest() if self.hashes else None
            records.append(
                PredictionRecord(
                    id=id_,
                    request_id=answer.request_id,
                    at=at,
                    model_version=pointer.model_version,
                    epoch=pointer.epoch,
                    probability=probability,
                    features=None if self.hashes else features,
                    features_sha256=digest,
                    context=of.context(row),
                )
            )
        return self._encoder.encode_lines(records)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

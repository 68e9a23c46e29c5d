"""What the prediction log says of answered rows and of labels, as lines.

The format belongs to `serving.log_segments`.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord
from serving.rows import Values
from serving.slot import Slot

ENDS_OF_LINES = bytes.maketrans(b"\r\n", b"  ")


class Recorder:
    """Makes lines of answers."""

    def __init__(self, *, hashes: bool) -> None:
        self.hashes = hashes
        self._encoder = msgspec.json.Encoder()

    def labels(self, labels: Sequence[tuple[str, bool]], at: str) -> bytes:
        """A line for each label of a row's id."""
        return self._encoder.encode_lines([LabelRecord(id=id_, label=label, at=at) for id_, label in labels])

    def batch(self, slot: Slot, request_id: str, at: str, body: bytes, probabilities: list[float]) -> bytes:
        """One line for a request whose body is its rows: as the client wrote them, less the ends of its lines."""
        return self._encoder.encode_lines(
            [
                BatchRecord(
                    request_id=request_id,
                    at=at,
                    model_version=slot.pointer.model_version,
                    epoch=slot.pointer.epoch,
                    row_id=slot.manifest.row_id,
                    features=slot.rows.features,
                    # In JSON an end of line stands between values alone; within a text it is written as \n.
                    rows=msgspec.Raw(body.translate(ENDS_OF_LINES)),
                    probabilities=probabilities,
                )
            ]
        )

    def lines(
        self,
        slot: Slot,
        request_id: str,
        at: str,
        ids: Sequence[str],
        rows: Sequence[Values],
        probabilities: Sequence[float],
    ) -> bytes:
        """A line for each row of a request."""
        version, epoch, of = slot.pointer.model_version, slot.pointer.epoch, slot.rows
        records = []
        for id_, row, probability in zip(ids, rows, probabilities, strict=True):
            features = dict(zip(of.features, row, strict=False))
            digest = hashlib.sha256(self._encoder.encode(features)).hexdigest() if self.hashes else None
            records.append(
                PredictionRecord(
                    id=id_,
                    request_id=request_id,
                    at=at,
                    model_version=version,
                    epoch=epoch,
                    probability=probability,
                    features=None if self.hashes else features,
                    features_sha256=digest,
                    context=of.context(row),
                )
            )
        return self._encoder.encode_lines(records)

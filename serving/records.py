"""What the prediction log says of an answered row, as a line. The format belongs to `serving.log_segments`."""

import hashlib
from collections.abc import Sequence

import msgspec

from serving.log_segments import PredictionRecord
from serving.rows import Values
from serving.slot import Slot


class Recorder:
    """Makes lines of answers."""

    def __init__(self, *, hashes: bool) -> None:
        self._hashes = hashes
        self._encoder = msgspec.json.Encoder()

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
            digest = hashlib.sha256(self._encoder.encode(features)).hexdigest() if self._hashes else None
            records.append(
                PredictionRecord(
                    id=id_,
                    request_id=request_id,
                    at=at,
                    model_version=version,
                    epoch=epoch,
                    probability=probability,
                    features=None if self._hashes else features,
                    features_sha256=digest,
                    context=of.context(row),
                )
            )
        return self._encoder.encode_lines(records)

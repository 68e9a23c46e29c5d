"""Segments as the service leaves them, and records to fill them with: what the tests of the gathered log start from."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.log_segments import LabelRecord, PredictionRecord, sealed_name, stem_of
from serving.release import FeatureValue

DAY = datetime(2024, 3, 5, tzinfo=UTC)
ANSWERED = "2024-03-05T12:00:00.000000Z"
FEATURES: dict[str, FeatureValue] = {"amount": 1.5, "visits": 3, "age": None, "colour": "red", "plan": "paid"}
"""Of the small contract."""


def answer(
    id_: str,
    *,
    at: str = ANSWERED,
    features: dict[str, FeatureValue] | None = FEATURES,
    context: dict[str, FeatureValue] | None = None,
) -> PredictionRecord:
    """An answered row; of a customer of its own where no context is given."""
    return PredictionRecord(
        id=id_,
        request_id=f"request-{id_}",
        at=at,
        model_version=1,
        epoch=1,
        probability=0.25,
        features=features,
        features_sha256=None if features is not None else "0" * 64,
        context={"customer": f"customer of {id_}"} if context is None else context,
    )


def label(id_: str, value: bool, *, at: str = "2024-03-06T08:00:00.000000Z") -> LabelRecord:
    """What came true of a row."""
    return LabelRecord(id=id_, label=value, at=at)


def lines_of(records: Iterable[PredictionRecord | LabelRecord]) -> bytes:
    """Records as a segment holds them."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def seal(
    log: Path,
    records: Iterable[PredictionRecord | LabelRecord] = (),
    *,
    number: int = 0,
    began: datetime = DAY,
    content: bytes | None = None,
) -> Path:
    """Writes a sealed segment; of these bytes where any are given."""
    content = lines_of(records) if content is None else content
    log.mkdir(parents=True, exist_ok=True)
    stem = stem_of(began=began, writer="0123456789abcdef", number=number)
    path = log / sealed_name(stem, hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    return path

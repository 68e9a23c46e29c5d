"""The prediction log's format: what the service writes and the graph gathers.

A log is a folder of segments, each an append-only file of JSON lines. The one that is being written ends in `.open`; it
is sealed by a rename to a name that holds the SHA-256 of its bytes, and never changes again. Here belong the names, the
records and the verification. Writing belongs to `serving.prediction_log`, gathering to `mlops_assets`.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.entity_key import key_text
from serving.release import FeatureValue, Row, sha256_of

OPEN = ".open"
SEALED = ".jsonl"
PROBE = "probe-"
"""Begins the request ids of what came by `/probe`: a check of the service's, and no traffic."""
_SEALED_NAME = re.compile(r"(?P<stem>[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8,16}-[0-9]+)\.(?P<sha256>[0-9a-f]{64})\.jsonl")


class SegmentInvalid(Exception):
    """A sealed segment is not what its name says; the message names it."""


def row_id_of(given: FeatureValue, request_id: str, position: int) -> str:
    """The id that a row has in the log: the client's as text, the same for 5, 5.0 and "5", else one by its request."""
    return (None if given is None else key_text(given)) or f"{request_id}.{position}"


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True, tag="prediction", tag_field="kind"):
    """One answered row."""

    id: str
    """The row's id in the contract's `row_id` column if the client gave it, else `<request_id>.<position>`."""
    request_id: str
    at: str
    """When it was answered: RFC 3339 in UTC, with microseconds and a `Z`."""
    model_version: int
    epoch: int
    probability: float
    features: dict[str, FeatureValue] | None = None
    """What the model saw, by name; None where the log keeps hashes alone."""
    features_sha256: str | None = None
    context: dict[str, FeatureValue] = {}
    """The contract's columns beside the features, as far as the client gave them: split key, entity, time, segments."""


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True, tag="batch", tag_field="kind"):
    """The answered rows of one request, as they were sent: taking them apart is left to whoever reads the log."""

    request_id: str
    at: str
    model_version: int
    epoch: int
    row_id: str | None
    """The column with a row's id, if the contract has one."""
    features: tuple[str, ...]
    """The columns that the model saw; one that a row does not have was null. All others are context."""
    rows: msgspec.Raw
    """A JSON list of rows, or one row, on one line."""
    probabilities: list[float]

    def records(self) -> list[PredictionRecord]:
        """A record for each row.

        Raises:
            msgspec.ValidationError: there are not as many rows as probabilities.
        """
        read = msgspec.json.decode(self.rows, type=list[Row] | Row)
        rows = read if isinstance(read, list) else [read]
        if len(rows) != len(self.probabilities):
            raise msgspec.ValidationError(f"{len(rows)} rows, {len(self.probabilities)} probabilities")
        return [self._record(*one) for one in enumerate(zip(rows, self.probabilities, strict=True))]

    def _record(self, position: int, answered: tuple[Row, float]) -> PredictionRecord:
        row, probability = answered
        id_ = None if self.row_id is None else row.pop(self.row_id, None)
        return PredictionRecord(
            id=row_id_of(id_, self.request_id, position),
            request_id=self.request_id,
            at=self.at,
            model_version=self.model_version,
            epoch=self.epoch,
            probability=probability,
            features={name: row.pop(name, None) for name in self.features},
            context={name: value for name, value in row.items() if value is not None},
        )


class LabelRecord(msgspec.Struct, frozen=True, kw_only=True, tag="label", tag_field="kind"):
    """What came true of a row that was answered before; of several for one id the last one holds."""

    id: str
    label: bool
    at: str


def stem_of(*, began: datetime, writer: str, number: int) -> str:
    """The name of a segment without its ending.

    Args:
        began: When it was opened.
        writer: 8 to 16 hex digits that no other process of this log has.
        number: Counts the writer's segments.
    """
    return f"{began.astimezone(UTC):%Y%m%dT%H%M%S%f}Z-{writer}-{number}"


def sealed_name(stem: str, sha256: str) -> str:
    """What an open segment is renamed to."""
    return f"{stem}.{sha256}{SEALED}"


def sealed(log: Path) -> list[Path]:
    """The sealed segments of a log, in the order in which they were opened; none where there is no log."""
    return sorted(path for path in log.glob(f"*{SEALED}") if _SEALED_NAME.fullmatch(path.name))


def demand_whole(segment: Path) -> None:
    """Demands that a sealed segment's bytes are the ones that were sealed.

    Raises:
        SegmentInvalid: they are not, or the name is none of a sealed segment.
    """
    found = _SEALED_NAME.fullmatch(segment.name)
    if found is None:
        raise SegmentInvalid(f"{segment.name}: is not named as a sealed segment")
    if segment.is_symlink() or not segment.is_file():
        raise SegmentInvalid(f"{segment.name}: not a regular file")
    if (actual := sha256_of(segment)) != found["sha256"]:
        raise SegmentInvalid(f"{segment.name}: its sha256 is {actual}")

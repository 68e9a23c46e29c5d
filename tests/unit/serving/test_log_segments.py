"""Prevents that a changed segment passes for a whole one, and that two forms of a record say different things."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies

from serving.log_segments import (
    BatchRecord,
    PredictionRecord,
    SegmentInvalid,
    demand_whole,
    sealed,
    sealed_name,
    stem_of,
)
from serving.release import Row, sha256_of

NAMES = ("hour", "dep delay", "flight", "day")
ROWS = strategies.lists(
    strategies.dictionaries(
        strategies.sampled_from(NAMES), strategies.none() | strategies.integers(0, 99) | strategies.text(max_size=5)
    ),
    min_size=1,
    max_size=5,
)


def _sealed(log: Path, content: bytes) -> Path:
    log.mkdir(exist_ok=True)
    written = log / "new"
    written.write_bytes(content)
    stem = stem_of(began=datetime(2026, 1, 2, tzinfo=UTC), writer="0123456789abcdef", number=1)
    return written.rename(log / sealed_name(stem, sha256_of(written)))


def test_a_sealed_segment_is_found_and_whole(tmp_path: Path) -> None:
    """Prevents that what was sealed is not gathered."""
    segment = _sealed(tmp_path / "log", b"{}\n")
    (tmp_path / "log" / "other.jsonl").touch()
    assert sealed(tmp_path / "log") == [segment]
    assert sealed(tmp_path / "nowhere") == []
    demand_whole(segment)


def test_a_changed_link_or_misnamed_segment_is_refused(tmp_path: Path) -> None:
    """Prevents that a record is changed after it was sealed, and learned from."""
    segment = _sealed(tmp_path / "log", b"{}\n")
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"{}\n")
    with pytest.raises(SegmentInvalid, match="not named as a sealed segment"):
        demand_whole(other)
    segment.write_bytes(b"[]\n")
    with pytest.raises(SegmentInvalid, match="its sha256 is"):
        demand_whole(segment)
    segment.unlink()
    segment.symlink_to(other)
    with pytest.raises(SegmentInvalid, match="not a regular file"):
        demand_whole(segment)


def test_names_sort_by_when_segments_were_opened() -> None:
    """Prevents that a time zone or a length changes the order in which they are gathered."""
    began = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5)))
    names = [stem_of(began=began + timedelta(microseconds=more), writer="0" * 8, number=1) for more in (0, 1, 10**7)]
    assert names == sorted(names)
    assert names[0].startswith("20260101T220000000000Z-")


@given(rows=ROWS)
def test_a_batch_says_the_same_as_a_record_for_each_row(rows: list[Row]) -> None:
    """Prevents that rows of a large request are learned from otherwise than those of small ones."""
    batch = BatchRecord(
        request_id="r",
        at="2026-01-02T00:00:00.000000Z",
        model_version=1,
        epoch=2,
        row_id="flight",
        features=("hour", "dep delay"),
        rows=msgspec.Raw(msgspec.json.encode(rows)),
        probabilities=[0.5] * len(rows),
    )
    read = msgspec.json.decode(msgspec.json.encode(batch), type=BatchRecord | PredictionRecord)
    assert isinstance(read, BatchRecord)
    for row, record in zip(rows, read.records(), strict=True):
        assert record.features == {"hour": row.get("hour"), "dep delay": row.get("dep delay")}
        assert record.context == ({"day": row["day"]} if row.get("day") is not None else {})
        assert record.epoch == 2


def test_a_batch_with_other_rows_than_answers_is_no_record() -> None:
    """Prevents that answers are put to other rows."""
    batch = BatchRecord(
        request_id="r",
        at="",
        model_version=1,
        epoch=1,
        row_id=None,
        features=(),
        rows=msgspec.Raw(b"[{}]"),
        probabilities=[0.1, 0.2],
    )
    with pytest.raises(msgspec.ValidationError, match="1 rows, 2 probabilities"):
        batch.records()

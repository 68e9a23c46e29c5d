from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.adapters import gathered_segment
from mlops_assets.adapters.gathered_segment import LABELS, PREDICTIONS, newest, write_rows
from serving.log_segments import SegmentInvalid
from tests.unit.mlops_assets.log_segments import FEATURES, answer, label, lines_of, seal

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """A Parquet file's rows by their line."""
    return duckdb.read_parquet(str(path)).order("number").project('* REPLACE ("at"::VARCHAR AS "at")').fetchall()


def test_answers_and_labels_go_to_a_file_each_and_nothing_of_them_is_lost(tmp_path: Path) -> None:
    """Prevents a gathered log from which a window could not be made again."""
    hashed = answer("b", features=None, at="2024-03-05T12:00:01.000002Z")
    segment = seal(tmp_path / "log", [answer("a"), label("a", True), hashed, label("b", False)])
    found = write_rows(segment, tmp_path)
    assert (found.predictions, found.labels) == (2, 2)
    assert found.first == datetime(2024, 3, 5, 12, tzinfo=UTC)
    assert found.last == newest(tmp_path) == datetime(2024, 3, 6, 8, tzinfo=UTC)
    first, second = rows_of(tmp_path / PREDICTIONS)
    assert first[:2] == ("a", "request-a")
    assert first[3:6] == (1, 1, 0.25)
    assert msgspec.json.decode(first[6]) == FEATURES
    assert msgspec.json.decode(first[8]) == {"customer": "customer of a"}
    assert first[9:] == (segment.stem, 1)
    assert second[6:8] == (None, "0" * 64)
    assert [row[:2] + row[3:] for row in rows_of(tmp_path / LABELS)] == [
        ("a", True, segment.stem, 2),
        ("b", False, segment.stem, 4),
    ]


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_features_of_any_name_and_value_come_back(tmp_path: Path, features: dict[str, Any]) -> None:
    """Prevents a column type of today's model from changing what an older model saw."""
    write_rows(seal(tmp_path / "log", [answer("a", features=features, context=features)]), tmp_path)
    (row,) = rows_of(tmp_path / PREDICTIONS)
    assert [msgspec.json.decode(row[at]) for at in (6, 8)] == [features, features]


def test_a_segment_is_read_in_batches_and_lines_are_counted_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a segment of a million rows from standing in memory, and errors that name a line of a batch."""
    monkeypatch.setattr(gathered_segment, "BATCH_BYTES", 600)
    records = [answer(f"r{number}") for number in range(20)]
    assert write_rows(seal(tmp_path / "log", records), tmp_path).predictions == 20
    assert [row[-1] for row in rows_of(tmp_path / PREDICTIONS)] == list(range(1, 21))
    broken = seal(tmp_path / "log", content=lines_of(records[:13]) + b"{}\n" + lines_of(records[13:]))
    with pytest.raises(SegmentInvalid, match=r"line 14 is no record: .*`kind`"):
        write_rows(broken, tmp_path)


def test_a_segment_without_records_is_none_the_worse(tmp_path: Path) -> None:
    """Prevents a service that sealed before it answered from filling the broken ones."""
    assert write_rows(seal(tmp_path / "log"), tmp_path).last is None
    assert newest(tmp_path) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"kind": "prediction", "id": "a"', "truncated"),
        (b'{"kind": "label", "id": 1, "label": true, "at": "2024-03-05T12:00:00Z"}\n', "Expected `str`"),
        (b'{"kind": "label", "id": "a", "label": 1, "at": "2024-03-05T12:00:00Z"}\n', "Expected `bool`"),
        (b'{"kind": "label", "id": "a", "label": true, "at": "2024-03-05T12:00:00"}\n', "zone offset"),
        (b'{"kind": "label", "id": "a", "label": true, "at": "soon"}\n', "soon"),
        (b'{"kind": "other", "id": "a"}\n', "Invalid value 'other'"),
        (b"\n", "truncated"),
        (b'{"kind": "label", "id": "\xff", "label": true, "at": "2024-03-05T12:00:00Z"}\n', "line 1 is no record"),
        (lines_of([answer("a")]).replace(b'"epoch":1', b'"epoch":99999999999999999999'), "lines 1 to 1"),
    ],
)
def test_a_line_that_is_no_record_is_told(tmp_path: Path, line: bytes, said: str) -> None:
    """Prevents half a record, or one with another meaning, from becoming a row."""
    with pytest.raises(SegmentInvalid, match=said):
        write_rows(seal(tmp_path / "log", content=line), tmp_path)

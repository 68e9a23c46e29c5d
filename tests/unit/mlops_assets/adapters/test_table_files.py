from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlops_assets.adapters import table_files
from mlops_assets.adapters.table_files import reading_from, write_parquet
from mlops_assets.adapters.window_store import QUARANTINED, WindowStore
from mlops_assets.domain.windows import WindowUnfit
from tests.unit.mlops_assets.landed_windows import fault_of, table_of, take, write
from tests.unit.mlops_assets.small_windows import land, land_small, small_frame

CSV = small_frame(20).to_csv(index=False)
LINES = CSV.splitlines(keepends=True)


def with_line(number: int, line: str | bytes) -> bytes:
    """The CSV file with one line replaced, counted as an editor does."""
    lines = [text.encode() for text in LINES]
    lines[number - 1] = line if isinstance(line, bytes) else line.encode()
    return b"".join(lines)


@pytest.mark.parametrize(
    "dialect",
    [
        lambda frame: frame.to_csv(index=False),
        lambda frame: "\ufeff" + frame.to_csv(index=False),
        lambda frame: frame.to_csv(index=False, lineterminator="\r\n"),
        lambda frame: frame.to_csv(index=False, sep=";"),
        lambda frame: frame.to_csv(index=False, sep="\t"),
        lambda frame: frame.to_csv(index=False, sep="|"),
        lambda frame: frame.to_csv(index=False, na_rep="NaN"),
        lambda frame: frame.to_csv(index=False, quoting=1),
        lambda frame: frame[sorted(frame)].to_csv(index=False),
    ],
    ids=["plain", "byte order mark", "CRLF", "semicolon", "tab", "bar", "NaN", "all quoted", "other order"],
)
def test_a_csv_file_and_a_parquet_file_of_the_same_rows_are_the_same_window(
    store: WindowStore, tmp_path: Path, dialect: Callable[[pd.DataFrame], str]
) -> None:
    """Which of them a source writes must not show in any model."""
    frame = small_frame(60)
    frame.loc[5, "case_id"] = 'two\nlines, "quoted"; ü'
    frame.loc[6, "amount"] = 0.1 + 0.2
    of_parquet = take(store, land(tmp_path / "rows.parquet", frame))
    # Read in bytes: Python's text mode would turn CRLF into what it thinks best.
    of_csv = take(store, write(tmp_path / "rows.csv", dialect(frame)))
    assert of_csv.counts == of_parquet.counts
    assert of_csv.counts.clean == 60
    pd.testing.assert_frame_equal(table_of(store, of_csv), table_of(store, of_parquet))


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("r,c\n", "r,c"),
        ("r000004,c1,True,1,1,,red,,7,8\n", "r000004,c1,True,1,1,,red,,7,8"),
        ('r000004,"c"x,True,1,1,,red,\n', 'r000004,"c"x,True,1,1,,red,'),
        (b"r\xff\xfe,c1,True,1,1,,red,\n", "c1,True,1,1,,red,"),
        (b"r\xff,c1\n", "c1"),
        ("r," + "x" * (3 << 20) + ",True,1,1,,red,\n", "xxx"),
    ],
    ids=["too few fields", "too many fields", "text behind a quote", "no UTF-8", "two faults", "too long"],
)
def test_a_line_that_is_no_row_is_quarantined_with_its_number(
    store: WindowStore, tmp_path: Path, line: str | bytes, kept: str
) -> None:
    """The user finds it in an editor; the other rows of the month are good."""
    stored = take(store, write(tmp_path / "rows.csv", with_line(6, line)))
    assert (stored.counts.rows, stored.counts.clean) == (20, 19)
    (row,) = table_of(store, stored, QUARANTINED).to_dict("records")
    assert list(row["_reasons"]) == ["line: cannot be read as a row of the file"]
    assert row["_line_number"] == 6
    assert kept in row["_line"]
    assert "r000004" not in set(table_of(store, stored)["case_id"])


def test_every_bad_line_counts_once(store: WindowStore, tmp_path: Path) -> None:
    """Rows in = clean + quarantined, whatever a file's lines are."""
    content = "".join([*LINES[:4], "a,b\n", *LINES[4:9], "\n", "1,2,3,4,5,6,7,8,9\n", *LINES[9:], "x\n"])
    stored = take(store, write(tmp_path / "rows.csv", content))
    assert (stored.counts.rows, stored.counts.clean, stored.counts.quarantined) == (23, 20, 3)
    assert sorted(table_of(store, stored, QUARANTINED)["_line_number"]) == [5, 12, 25]


def test_a_header_that_comes_again_is_a_bad_row(store: WindowStore, tmp_path: Path) -> None:
    """As files that were put together have it."""
    stored = take(store, write(tmp_path / "rows.csv", "".join([*LINES[:9], LINES[0], *LINES[9:]])))
    assert (stored.counts.clean, stored.counts.quarantined) == (20, 1)


@pytest.mark.parametrize("column", ["amount", "visits", "age"])
@pytest.mark.parametrize("text", ["1,5", "x", "1 000", "true", "--"])
def test_a_text_that_is_no_number_is_a_fault_of_its_row(
    store: WindowStore, tmp_path: Path, column: str, text: str
) -> None:
    """In a nullable column too: what cannot be read is not what is missing."""
    frame = small_frame(20).astype({column: object})
    frame.loc[3, column] = text
    stored = take(store, write(tmp_path / "rows.csv", frame.to_csv(index=False)))
    assert stored.counts.by_reason == {f"{column}: not a number": 1}
    (row,) = table_of(store, stored, QUARANTINED).to_dict("records")
    assert row[column] == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "rows.csv is empty"),
        (with_line(6, 'r,"c\n'), "rows.csv, line 6: a quote is opened and not closed, which hides what follows"),
        (with_line(21, 'r,"c\n'), "rows.csv, line 21: a quote is opened and not closed"),
        (CSV[:-1], "rows.csv does not end with a line end: it may have been cut off"),
        (CSV[:-20], "rows.csv does not end with a line end: it may have been cut off"),
        (CSV.encode("utf-16"), "rows.csv is not UTF-8 text: its first line holds zero bytes, as UTF-16 does"),
        (CSV.encode("utf-16-le"), "rows.csv is not UTF-8 text: its first line holds zero bytes, as UTF-16 does"),
        (CSV.encode("utf-16-be"), "rows.csv is not UTF-8 text: its first line holds zero bytes, as UTF-16 does"),
        (CSV.replace("plan", "plän", 1).encode("latin-1"), "rows.csv is not UTF-8 text"),
        (CSV.replace("age", "amount", 1), "rows.csv: the column 'amount' stands twice in its first line"),
        (CSV.replace("age", "Amount", 1), "rows.csv: the column 'amount' stands twice in its first line"),
        (CSV.replace("customer", "", 1), "rows.csv: column 2 has no name in its first line"),
        ("\n" + CSV, "rows.csv: column 1 has no name in its first line"),
        (CSV.replace("late", "Late", 1).replace("age", "years", 1), "columns are missing: age; rows.csv has case_id"),
        (bytes(100) + b"\n", "rows.csv is not UTF-8 text"),
        (b"PAR1\x15\x04\xff\n", "rows.csv is not UTF-8 text"),
    ],
)
def test_a_csv_file_that_is_wrong_as_a_whole_is_no_window(
    store: WindowStore, tmp_path: Path, content: str | bytes, said: str
) -> None:
    """In words that say what to do: one fault, and not one of each row."""
    assert said in fault_of(store, write(tmp_path / "rows.csv", content))


def test_a_csv_file_of_a_header_alone_has_no_rows(store: WindowStore, tmp_path: Path) -> None:
    """Whether no rows are enough is the limits' business."""
    assert take(store, write(tmp_path / "rows.csv", LINES[0])).counts.rows == 0


@pytest.mark.parametrize("content", [b"", b"PAR1", b"case_id,late\n1,true\n", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_no_window(store: WindowStore, tmp_path: Path, content: bytes) -> None:
    """A CSV that was renamed, an empty file, a file of zeros."""
    assert "rows.parquet cannot be read as Parquet" in fault_of(store, write(tmp_path / "rows.parquet", content))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999])
def test_a_truncated_parquet_file_is_no_window(store: WindowStore, landed: Path, share: float) -> None:
    """Half a month must never be stored as a month."""
    content = landed.read_bytes()
    landed.write_bytes(content[: int(len(content) * share)])
    assert "cannot be read" in fault_of(store, landed)


def damaged(content: bytes) -> bytes:
    """The pages inverted; the footer is whole."""
    return content[:100] + bytes(byte ^ 255 for byte in content[100:3000]) + content[3000:]


def without_its_middle(content: bytes) -> bytes:
    """Shorter than the footer says."""
    return content[:4] + content[len(content) // 2 :]


@pytest.mark.parametrize("how", [damaged, without_its_middle])
def test_a_parquet_file_whose_pages_are_broken_is_no_window(
    store: WindowStore, tmp_path: Path, how: Callable[[bytes], bytes]
) -> None:
    """Its footer can be read: only reading to the end finds it, and the engine has another error for each."""
    path = land_small(tmp_path / "rows.parquet", 2000)
    path.write_bytes(how(path.read_bytes()))
    assert "rows.parquet cannot be read to its end" in fault_of(store, path)


def test_a_row_group_that_unpacks_to_too_much_is_refused_by_its_footer(
    store: WindowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader holds a row group at a time: a small file may hold a row group larger than the memory."""
    frame = small_frame(3000)
    pq.write_table(pq.read_table(land(tmp_path / "one.parquet", frame)), tmp_path / "one.parquet", row_group_size=3000)
    pq.write_table(pq.read_table(tmp_path / "one.parquet"), tmp_path / "ten.parquet", row_group_size=300)
    monkeypatch.setattr(table_files, "ROW_GROUP_LIMIT", 60_000)
    assert "one.parquet has a row group that unpacks to 0 MB, 0 MB are read at most" in fault_of(
        store, tmp_path / "one.parquet"
    )
    assert take(store, tmp_path / "ten.parquet").counts.clean == 3000


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (duckdb.IOException, 'IO Error: Could not write file "/w/clean.parquet": No space left on device'),
        (duckdb.IOException, 'IO Error: Async write failed: {"exception_message":"Could not write file","errno":"28"}'),
        (duckdb.OutOfMemoryException, "Out of Memory Error: failed to offload data block of size 160.0 KiB"),
    ],
)
def test_a_full_disk_is_no_fault_of_the_window(kind: type[duckdb.Error], words: str) -> None:
    """Quarantining a good month would not free the disk; the run fails, and the window is taken up again."""
    with pytest.raises(kind, match=r"write|offload"), reading_from("rows.parquet"):
        raise kind(words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (duckdb.IOException, 'IO Error: Could not read from file "/workspace/rewritten.parquet"'),
        (duckdb.InvalidInputException, "Invalid Input Error: Snappy decompression failure"),
        (duckdb.Error, "Prefetch registered for bytes outside file"),
        (duckdb.OutOfMemoryException, "Out of Memory Error: could not allocate block of size 256.0 KiB"),
    ],
)
def test_every_other_error_of_the_engine_is_one_of_what_it_reads(kind: type[duckdb.Error], words: str) -> None:
    """Wherever the files lie: a path with `space` or `write` in it is not a full disk."""
    with pytest.raises(WindowUnfit, match=r"^rows\.parquet "), reading_from("rows.parquet"):
        raise kind(words)


def test_a_written_file_has_as_many_rows_as_are_said(tmp_path: Path) -> None:
    """The count is what rows in = clean + quarantined is held by."""
    with duckdb.connect() as connection:
        assert write_parquet(connection, "SELECT range AS a FROM range(7)", tmp_path / "a.parquet", of="a") == 7
        assert len(pq.read_table(tmp_path / "a.parquet")) == 7

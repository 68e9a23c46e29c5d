from collections.abc import Iterator

import duckdb
import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.domain.windows import (
    TRAIN,
    VALIDATION,
    WindowCounts,
    WindowNameInvalid,
    last_windows,
    missing_labels,
    split_of,
    split_side,
    unfit_for,
    window_name,
)
from tests.unit.mlops_assets.small_windows import small_dataset

WINDOWS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)


@pytest.mark.parametrize("name", ["2013-01", "month_000", "7", "a" * 64, "Q1-2020_b"])
def test_a_window_is_named_by_letters_digits_and_dashes(name: str) -> None:
    """Names that users already have must go on working."""
    assert window_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "2013-01\n",
        "2013/01",
        "..",
        ".",
        "-1",
        "_a",
        "a b",
        "2013.01",
        "a\\b",
        "a\x00",
        "jänner",
        "٣",
        "*",
    ],
)
def test_a_name_that_is_no_file_name_or_no_period_is_refused(name: str) -> None:
    """A window's name becomes a folder: `..` or a slash would write outside the store."""
    with pytest.raises(WindowNameInvalid, match="cannot name a window"):
        window_name(name)


@given(windows=st.sets(WINDOWS), until=WINDOWS, count=st.integers(1, 5))
def test_training_never_looks_at_windows_after_its_own(windows: set[str], until: str, count: int) -> None:
    """A replayed or late window must not learn from its future."""
    chosen = last_windows(windows, until=until, count=count)
    allowed = sorted(window for window in windows if window <= until)
    assert chosen == allowed[max(0, len(allowed) - count) :]
    assert all(window <= until for window in chosen)


def test_last_windows_takes_the_newest_oldest_first() -> None:
    """The plain case, to be read."""
    months = ["2013-03", "2013-01", "2013-04", "2013-02", "2012-12"]
    assert last_windows(months, until="2013-03", count=2) == ["2013-02", "2013-03"]
    assert last_windows(months, until="2013-03", count=9) == ["2012-12", "2013-01", "2013-02", "2013-03"]
    assert last_windows([], until="2013-03", count=2) == []


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, with nothing in it."""
    with duckdb.connect() as engine:
        yield engine


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(st.text(), min_size=1, max_size=20))
def test_every_engine_puts_a_key_on_the_same_side_of_the_split(
    engine: duckdb.DuckDBPyConnection, keys: list[str]
) -> None:
    """A row that Python and SQL disagree on would be trained on and validated on."""
    engine.register("given", pa.table({"place": range(len(keys)), "key": pa.array(keys, pa.string())}))
    rows = ibis.table({"place": "int64", "key": "string"}, name="given")
    said = engine.execute(ibis.to_sql(rows.select("place", side=split_side(rows["key"])), dialect="duckdb")).fetchall()
    assert [side for _, side in sorted(said)] == [split_of(key) for key in keys]


def test_the_split_is_the_one_that_stored_windows_were_written_with() -> None:
    """Changing the hash would move every row: models would be validated on what they were trained on."""
    known = {"2013-01-01": VALIDATION, "2013-01-02": TRAIN, "c0": TRAIN, "": TRAIN, "ü'\"": TRAIN}
    assert {key: split_of(key) for key in known} == known


def test_about_a_quarter_of_the_keys_is_kept_for_validation() -> None:
    """A split that is not even starves the comparison or the training."""
    share = sum(split_of(f"customer {number}") == VALIDATION for number in range(4000)) / 4000
    assert 0.22 < share < 0.28
    assert {split_of(str(number)) for number in range(100)} == {TRAIN, VALIDATION}


def counts(*, rows: int, quarantined: int, labelled: int = 0, **by_reason: int) -> WindowCounts:
    """Counts of a window."""
    clean = rows - quarantined
    return WindowCounts(
        rows=rows, clean=clean, labelled=labelled, validation=0, quarantined=quarantined, by_reason=by_reason
    )


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (counts(rows=100, quarantined=0), None),
        (counts(rows=100, quarantined=5, a=5), None),
        (counts(rows=100, quarantined=6, a=4, b=3, c=2, d=1), "6 of 100 rows break the contract"),
        (counts(rows=10, quarantined=0), None),
        (counts(rows=9, quarantined=0), "9 clean rows, the contract asks for 10 at least"),
        (counts(rows=0, quarantined=0), "0 clean rows, the contract asks for 10 at least"),
        (counts(rows=10, quarantined=10, a=10), "10 of 10 rows break the contract"),
    ],
)
def test_a_window_is_unfit_beyond_the_contracts_limits_and_not_at_them(of: WindowCounts, said: str | None) -> None:
    """An off-by-one here stops a good month or lets a broken one train."""
    dataset = small_dataset(limits={"min_rows": 10, "max_quarantined_share": 0.05})
    fault = unfit_for(dataset, of)
    assert (fault is None) == (said is None)
    assert said is None or said in str(fault)


def test_an_unfit_window_is_explained_by_its_most_frequent_faults() -> None:
    """The message is what the user repairs the window by."""
    fault = unfit_for(small_dataset(), counts(rows=100, quarantined=60, amount=40, visits=20, age=10, plan=5))
    assert fault is not None
    assert fault.endswith("most often: amount (40), visits (20), age (10)")


@pytest.mark.parametrize(
    ("labelled", "said"),
    [
        (0, "0 of 90 clean rows have a label, the contract asks for a share of 0.9"),
        (80, "80 of 90 clean rows have a label"),
        (81, None),
        (90, None),
    ],
)
def test_training_waits_until_enough_of_the_clean_rows_have_a_label(labelled: int, said: str | None) -> None:
    """At the share it goes on; quarantined rows are not asked for theirs."""
    waits = missing_labels(small_dataset(), counts(rows=100, quarantined=10, labelled=labelled))
    assert (waits is None) == (said is None)
    assert said is None or said in str(waits)


def test_a_window_may_be_fit_without_any_label() -> None:
    """Its drift can be measured today."""
    assert unfit_for(small_dataset(), counts(rows=100, quarantined=0)) is None

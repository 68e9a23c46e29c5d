import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.window_store import CLEAN, QUARANTINED, DataWindow, WindowStore
from mlops_assets.domain.windows import SPLIT_COLUMN, TRAIN, VALIDATION, WindowUnfit, split_of
from tests.unit.mlops_assets.small_windows import (
    COLOURS,
    PLANS,
    land,
    land_small,
    small_contract,
    small_dataset,
    small_frame,
)

NAN, INF = float("nan"), float("inf")
WINDOW = "2013-01"


def table_of(store: WindowStore, stored: DataWindow, name: str) -> pd.DataFrame:
    """A stored file as it is."""
    frame: pd.DataFrame = duckdb.read_parquet(str(store.folder / stored.window / stored.data_version / name)).df()
    return frame


def reasons_of(store: WindowStore, landed: Path) -> dict[str, list[str]]:
    """Why rows were quarantined, by row id; both rows of a doubled id are one entry."""
    quarantined = table_of(store, store.ingest(WINDOW, landed), QUARANTINED)
    return {row["_id"]: list(row["_reasons"]) for row in quarantined.to_dict("records")}


def left_behind(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def with_values(column: str, values: list[Any], kind: pa.DataType, rows: int = 20) -> tuple[pd.DataFrame, pa.Array]:
    """A small frame, and a column of it whose first values are replaced, as Arrow holds them."""
    frame = small_frame(rows)
    as_kind: Callable[[Any], Any] = {"string": lambda value: value if isinstance(value, str) else str(value)}.get(
        str(kind), lambda value: value
    )
    others = range(rows) if column == "customer" and kind == pa.float64() else frame[column].tolist()
    if pa.types.is_integer(kind):
        as_kind = int
    whole = [value if value is None else as_kind(value) for value in others[len(values) :]]
    return frame, pa.array([*values, *whole], kind, from_pandas=False)


# What becomes of the rows.


def test_a_window_that_holds_its_contract_is_stored_whole(store: WindowStore, landed: Path) -> None:
    """The plain case: every row, its values and its side of the split."""
    stored = store.ingest(WINDOW, landed)
    assert (stored.counts.rows, stored.counts.clean, stored.counts.quarantined) == (120, 120, 0)
    assert stored.counts.by_reason == {}
    clean = table_of(store, stored, CLEAN).set_index("case_id")
    frame = small_frame(120).set_index("case_id")
    assert list(clean.columns) == ["customer", "late", "amount", "visits", "age", "colour", "plan", SPLIT_COLUMN]
    for name in ("amount", "visits", "age"):
        assert clean[name].dtype == np.float32
        assert np.array_equal(clean[name], frame[name].astype("float32"), equal_nan=True)
    assert clean["late"].tolist() == frame["late"].tolist()
    assert clean["colour"].tolist() == frame["colour"].tolist()
    assert clean[SPLIT_COLUMN].tolist() == [split_of(key) for key in frame["customer"]]
    assert stored.counts.validation == (clean[SPLIT_COLUMN] == VALIDATION).sum() > 0
    assert left_behind(store.folder) == [
        f"{WINDOW}/{stored.data_version}/{name}" for name in ("clean.parquet", "quarantined.parquet", "window.json")
    ]


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "case_id": st.one_of(st.none(), st.sampled_from(["r1", "r2", ""]), st.text(max_size=3)),
    "customer": st.one_of(st.none(), st.text(max_size=3)),
    "late": st.sampled_from([None, "true", "False", "1", "0", "yes", "", "2"]),
    "amount": st.one_of(st.none(), st.floats(), st.sampled_from([1e300, -1e300, 3.5e38, 1000.0, 1000.1])),
    "visits": st.one_of(st.none(), st.floats(), st.integers(-5, 200).map(float), st.just(2.0**25)),
    "age": st.one_of(st.none(), st.floats(), st.just(1e39)),
    "colour": st.one_of(st.none(), st.sampled_from([*COLOURS, "RED", "'", ""])),
    "plan": st.one_of(st.none(), st.sampled_from([*PLANS, "none"])),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), max_size=12)


@settings(max_examples=30, deadline=None)
@given(broken=ROWS, whole=st.integers(0, 5))
def test_no_row_is_lost_and_none_is_made_up(broken: list[dict[str, Any]], whole: int) -> None:
    """Rows in = clean + quarantined, and each lies in one of them, whatever the file holds."""
    rows: list[dict[Any, Any]] = [
        *broken,
        *small_frame(whole).astype({"late": str, "visits": float}).to_dict("records"),
    ]
    arrays = {
        name: pa.array(
            [row[name] for row in rows], pa.float64() if name in ("amount", "visits", "age") else pa.string()
        )
        for name in CELLS
    }
    with TemporaryDirectory() as folder:
        store = WindowStore(Path(folder) / "windows", small_dataset())
        stored = store.ingest(WINDOW, land(Path(folder) / "landed.parquet", pd.DataFrame(), columns=arrays))
        clean, quarantined = (table_of(store, stored, name) for name in (CLEAN, QUARANTINED))
    counts = stored.counts
    assert counts.rows == len(rows) == counts.clean + counts.quarantined
    assert (len(clean), len(quarantined)) == (counts.clean, counts.quarantined)
    ids = [row["case_id"] for row in rows]
    assert sorted(map(str, [*clean["case_id"], *quarantined["_id"]])) == sorted(map(str, ids))
    row: dict[Any, Any]
    for row in clean.to_dict("records"):
        assert ids.count(row["case_id"]) == 1
        assert abs(row["amount"]) <= 1000
        assert 0 <= row["visits"] <= 100
        assert row["visits"] == int(row["visits"])
        assert row["colour"] in COLOURS
        assert row[SPLIT_COLUMN] == split_of(row["customer"])
    assert all(len(reasons) > 0 for reasons in quarantined["_reasons"])
    assert counts.by_reason == dict(pd.Series([r for of in quarantined["_reasons"] for r in of]).value_counts())


F64, TEXT = pa.float64(), pa.string()


@pytest.mark.parametrize(
    ("column", "value", "kind", "reasons"),
    [
        ("case_id", None, TEXT, ["case_id: missing"]),
        ("case_id", "r000007", TEXT, ["case_id: not unique"]),
        ("customer", None, TEXT, ["customer: missing"]),
        ("customer", NAN, F64, ["customer: missing"]),
        ("late", None, TEXT, ["late: missing"]),
        ("late", "yes", TEXT, ["late: not true or false"]),
        ("late", 2, pa.int64(), ["late: not true or false"]),
        ("late", NAN, F64, ["late: missing"]),
        ("late", 0.5, F64, ["late: not true or false"]),
        ("amount", None, F64, ["amount: missing"]),
        ("amount", NAN, F64, ["amount: missing"]),
        ("amount", INF, F64, ["amount: not finite", "amount: out of range"]),
        ("amount", -1e300, F64, ["amount: not finite", "amount: out of range"]),
        ("amount", 1000.0001, F64, ["amount: out of range"]),
        ("amount", -1000.0001, F64, ["amount: out of range"]),
        ("visits", 1.5, F64, ["visits: not a whole number"]),
        ("visits", 2**25, F64, ["visits: not a whole number", "visits: out of range"]),
        ("visits", 2**53 + 1, pa.int64(), ["visits: not a whole number", "visits: out of range"]),
        ("visits", INF, F64, ["visits: not finite", "visits: out of range"]),
        ("age", INF, F64, ["age: not finite"]),
        ("age", 1e300, F64, ["age: not finite"]),
        ("age", 3.4028236e38, F64, ["age: not finite"]),
        ("colour", None, TEXT, ["colour: missing"]),
        ("colour", "violet", TEXT, ["colour: unknown category"]),
        ("colour", "Red", TEXT, ["colour: unknown category"]),
        ("colour", "", TEXT, ["colour: unknown category"]),
        ("plan", "gold", TEXT, ["plan: unknown category"]),
    ],
)
def test_a_row_that_breaks_a_rule_is_kept_apart_with_the_reason(
    store: WindowStore, tmp_path: Path, column: str, value: object, kind: pa.DataType, reasons: list[str]
) -> None:
    """The reason is what the user repairs the source by."""
    frame, values = with_values(column, [value], kind)
    found = reasons_of(store, land(tmp_path / "landed.parquet", frame, columns={column: values}))
    assert list(found.values()) == [reasons]


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("age", NAN, F64),
        ("age", None, F64),
        ("age", 3.4028235e38, F64),
        ("plan", None, TEXT),
        ("amount", 1000, F64),
        ("amount", -1000, F64),
        ("visits", 0, F64),
        ("visits", 100, F64),
        ("visits", 7, pa.int8()),
        ("amount", 0.1, pa.float32()),
        ("late", "TRUE", TEXT),
        ("late", "0", TEXT),
        ("late", 1, pa.int64()),
        ("late", 1.0, F64),
        ("colour", COLOURS[2], TEXT),
        ("case_id", 'o\'neil "x" ü', TEXT),
    ],
)
def test_a_row_at_the_edge_of_a_rule_is_clean(
    store: WindowStore, tmp_path: Path, column: str, value: object, kind: pa.DataType
) -> None:
    """A limit that is included must be, and a null or NaN in a nullable column is a null."""
    frame, values = with_values(column, [value], kind)
    assert reasons_of(store, land(tmp_path / "landed.parquet", frame, columns={column: values})) == {}


def test_nan_is_stored_as_null(store: WindowStore, tmp_path: Path) -> None:
    """Two kinds of missing would be drawn, counted and served in two ways."""
    frame, values = with_values("age", [NAN, None, 30.0], F64)
    stored = store.ingest(WINDOW, land(tmp_path / "landed.parquet", frame, columns={"age": values}))
    clean = str(store.folder / WINDOW / stored.data_version / CLEAN)
    nulls = duckdb.read_parquet(clean).order("case_id").limit(3).project("age IS NULL").fetchall()
    assert nulls == [(True,), (True,), (False,)]


def test_both_rows_of_a_doubled_id_are_kept_apart(store: WindowStore, tmp_path: Path) -> None:
    """Keeping one of them would be a choice by chance."""
    frame = small_frame(20)
    doubled = pd.concat([frame, frame.iloc[[3]].assign(amount=1.0)])
    stored = store.ingest(WINDOW, land(tmp_path / "landed.parquet", doubled))
    assert stored.counts.by_reason == {"case_id: not unique": 2}
    assert (stored.counts.rows, stored.counts.clean) == (21, 19)


def test_a_row_that_breaks_two_rules_counts_once_and_names_both(store: WindowStore, tmp_path: Path) -> None:
    """Counting it twice would overstate the quarantine."""
    frame = small_frame(20)
    frame.loc[[0, 1], "colour"] = "violet"
    frame.loc[0, "amount"] = 5000.0
    stored = store.ingest(WINDOW, land(tmp_path / "landed.parquet", frame))
    assert stored.counts.quarantined == 2
    assert list(stored.counts.by_reason.items()) == [("colour: unknown category", 2), ("amount: out of range", 1)]


def test_quarantined_rows_keep_their_values(store: WindowStore, tmp_path: Path) -> None:
    """The user finds the row in the source by them."""
    frame = small_frame(20)
    frame.loc[4, "amount"] = 5000.5
    stored = store.ingest(WINDOW, land(tmp_path / "landed.parquet", frame))
    (row,) = table_of(store, stored, QUARANTINED).to_dict("records")
    assert (row["_id"], row["_key"], row["amount"], row["colour"]) == ("r000004", "c1", 5000.5, frame.loc[4, "colour"])


def test_columns_that_the_contract_does_not_name_are_left_out_and_said(store: WindowStore, tmp_path: Path) -> None:
    """A forgotten feature must be visible; a leaking one must not reach the model."""
    frame = small_frame(20).assign(arr_delay=1.0, Note="x")
    stored = store.ingest(WINDOW, land(tmp_path / "landed.parquet", frame))
    assert stored.ignored_columns == ("Note", "arr_delay")
    assert not {"Note", "arr_delay"} & set(table_of(store, stored, CLEAN).columns)


def test_an_empty_window_is_stored_as_empty(store: WindowStore, tmp_path: Path) -> None:
    """Whether no rows are enough is the limits' business."""
    stored = store.ingest(WINDOW, land_small(tmp_path / "landed.parquet", 0))
    assert (stored.counts.rows, stored.counts.clean, stored.counts.quarantined) == (0, 0, 0)


@pytest.mark.parametrize("column", ["age", "plan"])
def test_a_nullable_column_may_be_null_throughout(store: WindowStore, tmp_path: Path, column: str) -> None:
    """Pandas writes such a column without a type; it breaks nothing."""
    landed = land(tmp_path / "landed.parquet", small_frame(20), columns={column: pa.nulls(20)})
    assert reasons_of(store, landed) == {}


def test_a_column_that_must_not_be_null_is_quarantined_where_it_is_null_throughout(
    store: WindowStore, tmp_path: Path
) -> None:
    """The same column without the right to be null."""
    landed = land(tmp_path / "landed.parquet", small_frame(20), columns={"colour": pa.nulls(20)})
    assert store.ingest(WINDOW, landed).counts.by_reason == {"colour: missing": 20}


def test_names_with_quotes_and_keywords_are_columns_like_others(tmp_path: Path) -> None:
    """Real sources name columns so; each name is pasted into SQL."""
    names = {"amount": "the amount %s", "visits": "select", "age": "it's; --", "colour": "reason", "plan": "Größe [x]"}
    features = {names[name]: feature for name, feature in small_contract()["features"].items()}  # type: ignore[attr-defined]
    dataset = small_dataset(features=features, target="the 'truth'", row_id='"id"', split_by="order by")
    renamed = {**names, "late": "the 'truth'", "case_id": '"id"', "customer": "order by"}
    frame = small_frame(40).rename(columns=renamed)
    frame.loc[0, names["colour"]] = "violet"
    store = WindowStore(tmp_path / "o'neil" / "windows [1]*", dataset)
    stored = store.ingest(WINDOW, land(tmp_path / "o'neil [2]" / "2013-01.parquet", frame))
    assert stored.counts.by_reason == {"reason: unknown category": 1}
    drawn = store.draw({WINDOW: stored.data_version}, split=None, max_rows=100)
    assert sorted(drawn.columns) == sorted(dataset.columns)
    assert len(drawn) == len(store.preview(stored, 100)) == 39


# What is no window at all.


def unfit(store: WindowStore, landed: Path, said: str) -> None:
    """The file is refused with a reason, and nothing of it is kept."""
    with pytest.raises(WindowUnfit, match=said):
        store.ingest(WINDOW, landed)
    assert left_behind(store.folder) == []
    assert [path.name for path in store.folder.glob(f"{WINDOW}/*")] == []


@pytest.mark.parametrize("column", ["case_id", "customer", "late", "amount", "plan"])
def test_a_file_without_a_column_is_no_window(store: WindowStore, tmp_path: Path, column: str) -> None:
    """All rows would be quarantined one by one for one fault."""
    landed = land(tmp_path / "landed.parquet", small_frame(20).drop(columns=column))
    unfit(store, landed, f"columns are missing: {column}; the file has")


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("amount", pa.array(["1.5"] * 20), "amount is VARCHAR, the contract says float"),
        ("visits", pa.array([True] * 20), "visits is BOOLEAN, the contract says integer"),
        ("colour", pa.array([1] * 20), "colour is BIGINT, the contract says category"),
        ("colour", pa.array([True] * 20), "colour is BOOLEAN, the contract says category"),
        ("colour", pa.array([b"red"] * 20), "colour is BLOB, the contract says category"),
        ("amount", pa.array([[1.0]] * 20), r"amount is DOUBLE\[\], the contract says float"),
        ("colour", pa.array([["red"]] * 20), r"colour is VARCHAR\[\], the contract says category"),
        ("visits", pa.array([[1]] * 20), r"visits is BIGINT\[\], the contract says integer"),
        ("age", pa.array([{"x": 1}] * 20), "age is STRUCT.*the contract says float"),
        ("age", pa.array([0] * 20, pa.timestamp("us")), "age is TIMESTAMP, the contract says float"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(
    store: WindowStore, tmp_path: Path, column: str, values: pa.Array, said: str
) -> None:
    """Casting would turn a wrong export into numbers that look right."""
    unfit(store, land(tmp_path / "landed.parquet", small_frame(20), columns={column: values}), said)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"case_id,late\n1,true\n", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_no_window(store: WindowStore, tmp_path: Path, content: bytes) -> None:
    """A CSV that was renamed, an empty file, a file of zeros."""
    landed = tmp_path / "landed.parquet"
    landed.write_bytes(content)
    unfit(store, landed, r"landed\.parquet cannot be read as Parquet")


def test_a_file_that_is_gone_is_no_window(store: WindowStore, tmp_path: Path) -> None:
    """Users take files back; the run must say so, and not fail and retry."""
    unfit(store, tmp_path / "gone.parquet", r"gone\.parquet cannot be read: .*No such file")


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999])
def test_a_truncated_file_is_no_window(store: WindowStore, landed: Path, share: float) -> None:
    """Half a month must never be stored as a month."""
    content = landed.read_bytes()
    landed.write_bytes(content[: int(len(content) * share)])
    unfit(store, landed, "cannot be read")


def test_a_file_that_changes_while_it_is_read_is_no_window(
    store: WindowStore, landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the new bytes must not be kept under the old bytes' version, which may land again."""
    other = land_small(landed.with_name("other.parquet"), 60, seed=9).read_bytes()
    original, judge = landed.read_bytes(), store._judge_rows

    def overwritten_before_it_is_read(engine: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, ...]:
        path.write_bytes(other)
        return judge(engine, path)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_judge_rows", overwritten_before_it_is_read)
        unfit(store, landed, "was written to while it was read")
    landed.write_bytes(original)
    stored = store.ingest(WINDOW, landed)
    assert len(table_of(store, stored, CLEAN)) == stored.counts.clean == 120


# Which version of it.


def test_the_same_bytes_are_the_same_version(store: WindowStore, landed: Path) -> None:
    """Landing a file twice must not look like new data."""
    first = store.ingest(WINDOW, landed)
    copy = landed.with_name("copy.parquet")
    copy.write_bytes(landed.read_bytes())
    again = store.ingest(WINDOW, copy)
    assert again == first
    assert [path.name for path in (store.folder / WINDOW).iterdir()] == [first.data_version]


def test_other_bytes_or_another_contract_are_another_version(store: WindowStore, landed: Path, tmp_path: Path) -> None:
    """Evidence names versions: one that stands for two contents proves nothing."""
    versions = {store.ingest(WINDOW, landed).data_version}
    other = land_small(tmp_path / "other.parquet", 120, seed=1)
    versions.add(store.ingest(WINDOW, other).data_version)
    stricter = small_dataset(limits={"min_rows": 11})
    versions.add(WindowStore(tmp_path / "stricter", stricter).ingest(WINDOW, landed).data_version)
    assert len(versions) == 3


def test_an_ingested_version_is_used_only_once_it_is_made_current(store: WindowStore, landed: Path) -> None:
    """An unfit window must not replace the fit one that is there."""
    assert store.current(WINDOW) is None
    first = store.ingest(WINDOW, landed)
    assert store.current(WINDOW) is None
    store.make_current(first)
    assert store.current(WINDOW) == first
    second = store.ingest(WINDOW, land_small(landed, 60, seed=1))
    assert store.current(WINDOW) == first
    store.make_current(second)
    assert store.current(WINDOW) == second


def test_a_candidate_learns_from_the_newest_current_windows_up_to_its_own(store: WindowStore, landed: Path) -> None:
    """Neither later windows nor ones that were never fit."""
    for window in ("2013-04", "2013-01", "2013-03", "2013-02"):
        store.make_current(store.ingest(window, landed))
    store.ingest("2013-02b", landed)
    assert [part.window for part in store.training_windows("2013-03")] == ["2013-02", "2013-03"]
    assert [part.window for part in store.training_windows("2013-01")] == ["2013-01"]
    assert store.training_windows("2012-12") == []


# The split, for ever.


KEYS: dict[str, Callable[[int], pa.Array]] = {
    "text": lambda rows: pa.array([str(row // 3) for row in range(rows)]),
    "whole numbers": lambda rows: pa.array([row // 3 for row in range(rows)], pa.int32()),
    "doubles": lambda rows: pa.array([float(row // 3) for row in range(rows)], F64),
    "doubles with a null": lambda rows: pa.array([None, *(float(row // 3) for row in range(1, rows))], F64),
    "floats": lambda rows: pa.array([row // 3 for row in range(rows)], pa.float32()),
    "decimals": lambda rows: pa.array([row // 3 for row in range(rows)], pa.decimal128(12, 2)),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_has_one_side_however_its_column_is_typed(store: WindowStore, tmp_path: Path, kind: str) -> None:
    """Pandas turns whole numbers into doubles in the month with the first null: `5` and `5.0` are one customer."""
    landed = land(tmp_path / "landed.parquet", small_frame(60), columns={"customer": KEYS[kind](60)})
    clean = table_of(store, store.ingest(WINDOW, landed), CLEAN)
    expected = {str(row // 3): split_of(str(row // 3)) for row in range(60)}
    assert dict(zip(clean["customer"], clean[SPLIT_COLUMN], strict=True)) == expected


def test_a_day_has_one_side_however_its_column_is_typed(store: WindowStore, tmp_path: Path) -> None:
    """Text in one month, a date from SQL in the next, midnight from pandas in the third."""
    days = [row // 3 for row in range(60)]
    sides = []
    for kind in (pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms", tz="UTC")):
        keys = pa.array(days, pa.date32()).cast(kind)
        landed = land(tmp_path / "landed.parquet", small_frame(60), columns={"customer": keys})
        clean = table_of(store, store.ingest(WINDOW, landed), CLEAN)
        sides.append(dict(zip(clean["customer"], clean[SPLIT_COLUMN], strict=True)))
        assert sides[-1] == sides[0]
    assert sides[0]["1970-01-02"] == split_of("1970-01-02")
    hours = pa.array([row * 3600 for row in range(60)], pa.timestamp("s"))
    landed = land(tmp_path / "landed.parquet", small_frame(60), columns={"customer": hours})
    clean = table_of(store, store.ingest(WINDOW, landed), CLEAN)
    assert clean["customer"].nunique() == 60


def test_a_key_that_is_a_fraction_is_a_key_of_its_own(store: WindowStore, tmp_path: Path) -> None:
    """Rounding would throw groups together."""
    keys = pa.array([0.5, 1.5, 1e300, INF, 2.0**60] * 4, F64)
    landed = land(tmp_path / "landed.parquet", small_frame(20), columns={"customer": keys})
    clean = table_of(store, store.ingest(WINDOW, landed), CLEAN)
    assert clean["customer"].nunique() == 5


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_key_that_is_a_time_has_one_side_in_every_time_zone(
    store: WindowStore, tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop and a server must not split the same window in two ways."""
    days = pa.array([row // 3 * 86_400 for row in range(60)], pa.timestamp("s", tz="UTC"))
    landed = land(tmp_path / "landed.parquet", small_frame(60), columns={"customer": days})
    here = table_of(store, store.ingest(WINDOW, landed), CLEAN)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        there_store = WindowStore(tmp_path / "there", store.dataset)
        there = table_of(there_store, there_store.ingest(WINDOW, landed), CLEAN)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert here["customer"].tolist() == there["customer"].tolist()
    assert here[SPLIT_COLUMN].tolist() == there[SPLIT_COLUMN].tolist()


def test_no_key_is_on_both_sides_in_any_window(store: WindowStore, tmp_path: Path) -> None:
    """A customer who is trained on in May and validated on in June makes every comparison a lie."""
    versions = {}
    for month in ("2013-01", "2013-02", "2013-03"):
        landed = land_small(tmp_path / f"{month}.parquet", 300, seed=int(month[-1]), prefix=month)
        versions[month] = store.ingest(month, landed).data_version
    sides = {split: store.draw(versions, split=split, max_rows=10_000) for split in (TRAIN, VALIDATION)}
    assert len(sides[TRAIN]) + len(sides[VALIDATION]) == 900
    assert len(sides[VALIDATION]) > 0
    assert not set(sides[TRAIN]["customer"]) & set(sides[VALIDATION]["customer"])


# Bounded frames.


def test_a_drawn_frame_holds_the_contracts_columns_and_types(store: WindowStore, landed: Path) -> None:
    """scikit-learn and Evidently get what the contract names, and nothing that leaks the split."""
    stored = store.ingest(WINDOW, landed)
    drawn = store.draw({WINDOW: stored.data_version}, split=None, max_rows=1000)
    assert list(drawn.columns) == ["case_id", "customer", "late", "amount", "visits", "age", "colour", "plan"]
    assert [str(drawn[name].dtype) for name in ("late", "amount", "visits", "age")] == ["bool", *["float32"] * 3]
    assert drawn["case_id"].is_monotonic_increasing
    assert drawn["age"].isna().sum() == small_frame(120)["age"].isna().sum() > 0
    assert drawn["plan"].isna().sum() == small_frame(120)["plan"].isna().sum() > 0


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 80), max_rows=st.integers(1, 100), seed=st.integers(0, 99))
def test_a_draw_is_bounded_and_the_same_every_time(rows: int, max_rows: int, seed: int) -> None:
    """A sample by chance, or by the order of a file, would make every report and model another."""
    frame = small_frame(rows)
    shuffled = frame.sample(frac=1, random_state=seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = WindowStore(folder / "windows", small_dataset())
        draws = []
        for order, of in enumerate((frame, shuffled)):
            stored = store.ingest(f"w{order}", land(folder / f"{order}.parquet", of))
            draws += [store.draw({f"w{order}": stored.data_version}, split=None, max_rows=max_rows) for _ in range(2)]
    assert len(draws[0]) == min(rows, max_rows)
    for drawn in draws[1:]:
        pd.testing.assert_frame_equal(drawn, draws[0])


@pytest.mark.parametrize("split", [TRAIN, VALIDATION])
def test_a_draw_never_mixes_the_sides(store: WindowStore, landed: Path, split: str) -> None:
    """Training rows among the validation rows flatter the model that saw them."""
    stored = store.ingest(WINDOW, landed)
    drawn = store.draw({WINDOW: stored.data_version}, split=split, max_rows=1000)
    assert len(drawn) > 0
    assert {split_of(key) for key in drawn["customer"]} == {split}


def test_a_larger_draw_holds_the_smaller_one(store: WindowStore, landed: Path) -> None:
    """The sample grows; it is not drawn anew."""
    version = {WINDOW: store.ingest(WINDOW, landed).data_version}
    small, large = (set(store.draw(version, split=None, max_rows=rows)["case_id"]) for rows in (10, 50))
    assert small < large
    assert len(large) == 50


def test_an_id_that_comes_back_each_month_does_not_leave_the_order_to_chance(tmp_path: Path) -> None:
    """Row ids are unique in a window, and often the customer's: the window must settle who comes first."""
    dataset = small_dataset(split_by="case_id", limits={"min_rows": 1})
    store = WindowStore(tmp_path / "windows", dataset)
    rows = 3000
    versions = {}
    for month in range(1, 4):
        frame = small_frame(rows, seed=month)
        stored = store.ingest(f"2013-{month:02d}", land(tmp_path / f"{month}.parquet", frame))
        versions[stored.window] = stored.data_version
    backwards = dict(reversed(versions.items()))
    for max_rows in (1000, 10_000):
        first = store.draw(versions, split=None, max_rows=max_rows)
        for other in (versions, backwards):
            pd.testing.assert_frame_equal(store.draw(other, split=None, max_rows=max_rows), first)
        amounts = np.concatenate([small_frame(rows, seed=month)["amount"].to_numpy("float32") for month in (1, 2, 3)])
        by_month = amounts.reshape(3, rows).T.ravel()
        if max_rows > rows:
            assert np.array_equal(first["amount"].to_numpy(), by_month)


def test_the_preview_is_short(store: WindowStore, landed: Path) -> None:
    """It goes into the metadata of a run."""
    assert len(store.preview(store.ingest(WINDOW, landed), 5)) == 5


def test_a_second_version_does_not_touch_the_first(store: WindowStore, landed: Path) -> None:
    """A production model's training rows must stay as they were."""
    first = store.ingest(WINDOW, landed)
    path = store.folder / WINDOW / first.data_version / CLEAN
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    store.make_current(store.ingest(WINDOW, land_small(landed, 60, seed=1)))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before

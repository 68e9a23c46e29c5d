from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.window_store import CLEAN, QUARANTINED, WindowStore
from mlops_assets.domain.windows import SPLIT_COLUMN, TRAIN, VALIDATION, split_of, split_side
from tests.unit.mlops_assets.landed_windows import landed_window, reasons_of, table_of, take, write
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
F64, TEXT = pa.float64(), pa.string()
Values = Any  # an Arrow array, typed as in Parquet, or a list of texts as in CSV


def with_values(column: str, values: list[Any], kind: pa.DataType, rows: int = 20) -> tuple[pd.DataFrame, pa.Array]:
    """A small frame, and a column of it whose first values are replaced, as Arrow holds them."""
    frame = small_frame(rows)
    as_kind: Callable[[Any], Any] = {"string": lambda value: value if isinstance(value, str) else str(value)}.get(
        str(kind), lambda value: value
    )
    others = range(rows) if column == "customer" and kind == F64 else frame[column].tolist()
    if pa.types.is_integer(kind):
        as_kind = int
    whole = [value if value is None else as_kind(value) for value in others[len(values) :]]
    return frame, pa.array([*values, *whole], kind, from_pandas=False)


def test_a_window_that_holds_its_contract_is_stored_whole(store: WindowStore, landed: Path) -> None:
    """The plain case: every row, its values and its side of the split."""
    stored = take(store, landed)
    assert (stored.counts.rows, stored.counts.clean, stored.counts.quarantined) == (120, 120, 0)
    assert (stored.counts.by_reason, stored.counts.labelled) == ({}, 120)
    clean = table_of(store, stored).set_index("case_id")
    frame = small_frame(120).set_index("case_id")
    assert list(clean.columns) == ["customer", "late", "amount", "visits", "age", "colour", "plan", SPLIT_COLUMN]
    for name in ("amount", "visits", "age"):
        assert clean[name].dtype == np.float32
        assert np.array_equal(clean[name], frame[name].astype("float32"), equal_nan=True)
    assert clean["late"].tolist() == frame["late"].tolist()
    assert clean["colour"].tolist() == frame["colour"].tolist()
    assert clean[SPLIT_COLUMN].tolist() == [split_of(key) for key in frame["customer"]]
    assert stored.counts.validation == (clean[SPLIT_COLUMN] == VALIDATION).sum() > 0


# Rows in = clean + quarantined.


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


def arrays_of(rows: list[dict[Any, Any]]) -> dict[str, pa.Array]:
    """Rows as the columns of a Parquet file."""
    kinds = dict.fromkeys(("amount", "visits", "age"), F64)
    return {name: pa.array([row[name] for row in rows], kinds.get(name, TEXT)) for name in CELLS}


def good_rows(rows: int) -> list[dict[Any, Any]]:
    """Rows that hold the contract, with labels as text."""
    found: list[dict[Any, Any]] = small_frame(rows).astype({"late": str, "visits": float}).to_dict("records")
    return found


@settings(max_examples=15, deadline=None)
@given(broken=ROWS, whole=st.integers(0, 5))
def test_no_row_is_lost_and_none_is_made_up(broken: list[dict[str, Any]], whole: int) -> None:
    """Rows in = clean + quarantined, and each lies in one of them, whatever the file holds."""
    rows = [*broken, *good_rows(whole)]
    with TemporaryDirectory() as folder:
        store = WindowStore(Path(folder) / "windows", small_dataset())
        stored = take(store, land(Path(folder) / "rows.parquet", pd.DataFrame(), columns=arrays_of(rows)))
        clean, quarantined = (table_of(store, stored, name) for name in (CLEAN, QUARANTINED))
    counts = stored.counts
    assert counts.rows == len(rows) == counts.clean + counts.quarantined
    assert (len(clean), len(quarantined)) == (counts.clean, counts.quarantined)
    ids = [row["case_id"] for row in rows]
    assert sorted(map(str, [*clean["case_id"], *quarantined["case_id"]])) == sorted(map(str, ids))
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
    assert counts.labelled == clean["late"].notna().sum()


CSV_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["a,b", "1,2,3,4,5,6,7,8,9", 'x,"y"z,1,1,1,,red,', ",,,,,,,", "r9,c1,true,1,1,,red,", "é,ü,0,1,1,,red,"]
        ),
        st.lists(
            st.sampled_from(["", "r1", "1", "true", "red", '"q ""r"""', "1e999", "NaN"]), min_size=1, max_size=10
        ).map(",".join),
    ).filter(bool),
    max_size=20,
)


@settings(max_examples=15, deadline=None)
@given(lines=CSV_LINES)
def test_no_line_of_a_csv_file_is_lost(lines: list[str]) -> None:
    """Lines that are no rows are rows in quarantine: each once, whatever is wrong with it."""
    header = ",".join(CELLS)
    with TemporaryDirectory() as folder:
        store = WindowStore(Path(folder) / "windows", small_dataset())
        stored = take(store, write(Path(folder) / "rows.csv", "\n".join([header, *lines, ""])))
        assert len(table_of(store, stored)) + len(table_of(store, stored, QUARANTINED)) == len(lines)
    assert stored.counts.rows == len(lines)


# The split, for ever.


@settings(max_examples=10, deadline=None)
@given(
    broken=ROWS,
    keys=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4), min_size=1, max_size=12),
    seed=st.integers(0, 99),
    group=st.integers(1, 40),
)
def test_the_split_is_stable_under_row_order_chunking_and_engine(
    broken: list[dict[str, Any]], keys: list[str], seed: int, group: int
) -> None:
    """The same rows in another order and in other row groups are the same two files, and no key is on both sides."""
    rows = [*broken, *({**row, "customer": keys[at % len(keys)]} for at, row in enumerate(good_rows(30)))]
    table = pa.table(arrays_of(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    found = []
    with TemporaryDirectory() as folder:
        for at, (landed, size) in enumerate([(table, len(rows)), (table.take(order), group)]):
            pq.write_table(landed, path := Path(folder) / f"{at}.parquet", row_group_size=size)
            store = WindowStore(Path(folder) / f"w{at}", small_dataset())
            stored = take(store, path)
            found.append((table_of(store, stored), stored.counts))
        sides = []
        for threads in (1, 4):
            with duckdb.connect() as connection:
                connection.execute(f"SET threads = {threads}")
                engine = DuckdbRows(connection)
                keyed = engine.of_query(f"SELECT customer FROM '{path}' WHERE customer IS NOT NULL")  # noqa: S608
                sides.append(dict(engine.answers(keyed.mutate(side=split_side(keyed["customer"])))))
    (clean, counts), (other, other_counts) = found
    pd.testing.assert_frame_equal(other, clean)
    assert other_counts == counts
    assert sides[0] == sides[1] == {key: split_of(key) for key in sides[0]}
    assert (clean[SPLIT_COLUMN] == clean["customer"].map(sides[0])).all()
    by_side = {side: set(clean.loc[clean[SPLIT_COLUMN] == side, "customer"]) for side in (TRAIN, VALIDATION)}
    assert not by_side[TRAIN] & by_side[VALIDATION]
    assert len(clean) == len(clean[clean[SPLIT_COLUMN].isin([TRAIN, VALIDATION])])


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
    landed = land(tmp_path / "rows.parquet", small_frame(60), columns={"customer": KEYS[kind](60)})
    clean = table_of(store, take(store, landed))
    expected = {str(row // 3): split_of(str(row // 3)) for row in range(60)}
    assert dict(zip(clean["customer"], clean[SPLIT_COLUMN], strict=True)) == expected


def test_a_day_has_one_side_however_its_column_is_typed(store: WindowStore, tmp_path: Path) -> None:
    """Text in one month, a date from SQL in the next, midnight from pandas in the third."""
    days = [row // 3 for row in range(60)]
    sides = []
    zoned = (pa.timestamp("ms", tz="UTC"), pa.timestamp("ns", tz="UTC"))
    for kind in (pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), *zoned):
        keys = pa.array(days, pa.date32()).cast(kind)
        clean = table_of(store, take(store, land(tmp_path / "r.parquet", small_frame(60), columns={"customer": keys})))
        sides.append(dict(zip(clean["customer"], clean[SPLIT_COLUMN], strict=True)))
        assert sides[-1] == sides[0]
    assert sides[0]["1970-01-02"] == split_of("1970-01-02")
    hours = pa.array([row * 3600 for row in range(60)], pa.timestamp("s"))
    clean = table_of(store, take(store, land(tmp_path / "r.parquet", small_frame(60), columns={"customer": hours})))
    assert clean["customer"].nunique() == 60


def test_a_key_that_is_a_fraction_is_a_key_of_its_own(store: WindowStore, tmp_path: Path) -> None:
    """Rounding would throw groups together."""
    keys = pa.array([0.5, 1.5, 1e300, INF, 2.0**60] * 4, F64)
    clean = table_of(store, take(store, land(tmp_path / "r.parquet", small_frame(20), columns={"customer": keys})))
    assert clean["customer"].nunique() == 5


def test_no_key_is_on_both_sides_in_any_window(store: WindowStore, tmp_path: Path) -> None:
    """A customer who is trained on in May and validated on in June makes every comparison a lie."""
    versions = {}
    for month in ("2013-01", "2013-02", "2013-03"):
        landed = land_small(tmp_path / f"{month}.parquet", 300, seed=int(month[-1]), prefix=month)
        intake, _ = store.take(landed_window(landed, window=month))
        versions[month] = intake.data_version
    sides = {split: store.draw(versions, split=split, max_rows=10_000) for split in (TRAIN, VALIDATION)}
    assert len(sides[TRAIN]) + len(sides[VALIDATION]) == 900
    assert len(sides[VALIDATION]) > 0
    assert not set(sides[TRAIN]["customer"]) & set(sides[VALIDATION]["customer"])


# What a row must hold.


@pytest.mark.parametrize(
    ("column", "value", "kind", "reasons"),
    [
        ("case_id", None, TEXT, ["case_id: missing"]),
        ("case_id", NAN, F64, ["case_id: missing"]),
        ("customer", None, TEXT, ["customer: missing"]),
        ("customer", NAN, F64, ["customer: missing"]),
        ("late", "yes", TEXT, ["late: not true or false"]),
        ("late", 2, pa.int64(), ["late: not true or false"]),
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
    if column == "case_id" and kind == F64:
        values = pa.array([value, *range(1, 20)], F64, from_pandas=False)
        frame = small_frame(20)
    else:
        frame, values = with_values(column, [value], kind)
    assert reasons_of(store, land(tmp_path / "r.parquet", frame, columns={column: values})) == [reasons]


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
        ("late", None, TEXT),
        ("late", NAN, F64),
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
    """A limit that is included must be, a null or NaN in a nullable column is a null, and a label may be late."""
    frame, values = with_values(column, [value], kind)
    assert reasons_of(store, land(tmp_path / "r.parquet", frame, columns={column: values})) == []


@pytest.mark.parametrize("first", [NAN, None])
def test_nan_is_stored_as_null(store: WindowStore, tmp_path: Path, first: float | None) -> None:
    """Two kinds of missing would be drawn, counted and served in two ways; NaN beside null, and without any null."""
    frame, values = with_values("age", [first, NAN, 30.0], F64)
    stored = take(store, land(tmp_path / "r.parquet", frame, columns={"age": values}))
    clean = str(store.folder / stored.window / stored.data_version / CLEAN)
    nulls = duckdb.read_parquet(clean).order("case_id").limit(3).project("age IS NULL").fetchall()
    assert nulls == [(True,), (True,), (False,)]


def test_both_rows_of_a_doubled_id_are_kept_apart(store: WindowStore, tmp_path: Path) -> None:
    """Keeping one of them would be a choice by chance; 5 and 5.0 are one id, and two nulls are none."""
    frame = small_frame(20)
    doubled = pd.concat([frame, frame.iloc[[3]].assign(amount=1.0), frame.iloc[[4, 5]].assign(case_id=None)])
    stored = take(store, land(tmp_path / "r.parquet", doubled))
    assert stored.counts.by_reason == {"case_id: missing": 2, "case_id: not unique": 2}
    assert (stored.counts.rows, stored.counts.clean) == (23, 19)


def test_a_row_that_breaks_two_rules_counts_once_and_names_both(store: WindowStore, tmp_path: Path) -> None:
    """Counting it twice would overstate the quarantine."""
    frame = small_frame(20)
    frame.loc[[0, 1], "colour"] = "violet"
    frame.loc[0, "amount"] = 5000.0
    stored = take(store, land(tmp_path / "r.parquet", frame))
    assert stored.counts.quarantined == 2
    assert list(stored.counts.by_reason.items()) == [("colour: unknown category", 2), ("amount: out of range", 1)]


def test_quarantined_rows_keep_their_values(store: WindowStore, tmp_path: Path) -> None:
    """The user finds the row in the source by them."""
    frame = small_frame(20)
    frame.loc[4, "amount"] = 5000.5
    stored = take(store, land(tmp_path / "r.parquet", frame))
    (row,) = table_of(store, stored, QUARANTINED).to_dict("records")
    found = (row["case_id"], row["customer"], row["amount"], row["visits"], row["colour"])
    assert found == ("r000004", "c1", 5000.5, frame.loc[4, "visits"], frame.loc[4, "colour"])
    assert list(store.quarantined(stored, rows=5)["amount"]) == ["5000.5"]


@pytest.mark.parametrize("column", ["age", "plan", "late"])
def test_a_nullable_column_may_be_null_throughout(store: WindowStore, tmp_path: Path, column: str) -> None:
    """Pandas writes such a column without a type; it breaks nothing."""
    landed = land(tmp_path / "r.parquet", small_frame(20), columns={column: pa.nulls(20)})
    assert reasons_of(store, landed) == []


def test_a_column_that_must_not_be_null_is_quarantined_where_it_is_null_throughout(
    store: WindowStore, tmp_path: Path
) -> None:
    """The same column without the right to be null."""
    landed = land(tmp_path / "r.parquet", small_frame(20), columns={"colour": pa.nulls(20)})
    assert take(store, landed).counts.by_reason == {"colour: missing": 20}


def test_an_empty_window_is_stored_as_empty(store: WindowStore, tmp_path: Path) -> None:
    """Whether no rows are enough is the limits' business."""
    stored = take(store, land_small(tmp_path / "r.parquet", 0))
    assert (stored.counts.rows, stored.counts.clean, stored.counts.quarantined) == (0, 0, 0)


def test_names_with_quotes_and_keywords_are_columns_like_others(tmp_path: Path) -> None:
    """Real sources name columns so; each name is pasted into SQL."""
    names = {"amount": "the amount %s", "visits": "select", "age": "it's; --", "colour": "reason", "plan": "Größe [x]"}
    features = {names[name]: feature for name, feature in small_contract()["features"].items()}  # type: ignore[attr-defined]
    dataset = small_dataset(features=features, target="the 'truth'", row_id='"id"', split_by="order by")
    renamed = {**names, "late": "the 'truth'", "case_id": '"id"', "customer": "order by"}
    frame = small_frame(40).rename(columns=renamed)
    frame.loc[0, names["colour"]] = "violet"
    folder = tmp_path / "o'neil [2]"
    files = [land(folder / "x'.parquet", frame), write(folder / "x'.csv", frame.to_csv(index=False))]
    for at, path in enumerate(files):
        store = WindowStore(tmp_path / "o'neil" / f"windows [{at}]*", dataset)
        stored = take(store, path)
        assert stored.counts.by_reason == {"reason: unknown category": 1}
        drawn = store.draw({stored.window: stored.data_version}, split=None, max_rows=100)
        assert sorted(drawn.columns) == sorted(dataset.columns)
        assert len(drawn) == 39


# What a contract may ask for beyond numbers and categories.


def column_of(tmp_path: Path, column: str, values: Values, **contract: object) -> tuple[list[Any], dict[str, int]]:
    """A column of the clean rows, with the counts by reason: of an Arrow array in Parquet, or of texts in CSV."""
    store = WindowStore(tmp_path / "w", small_dataset(limits={"min_rows": 1}, **contract))
    frame = small_frame(len(values))
    if isinstance(values, pa.Array):
        path = land(tmp_path / "r.parquet", frame, columns={column: values})
    else:
        path = write(tmp_path / "r.csv", frame.assign(**{column: values}).to_csv(index=False))
    stored = take(store, path)
    found = table_of(store, stored)[column].astype(object)
    return [None if pd.isna(value) else value for value in found], dict(stored.counts.by_reason)


@pytest.mark.parametrize(
    ("values", "clean", "broken"),
    [
        (pa.array([True, False, None]), [1.0, 0.0], {"member: missing": 1}),
        (pa.array([1, 0, 2], pa.int8()), [1.0, 0.0], {"member: not true or false": 1}),
        (["true", "FALSE", " 1 ", "0", "0.0", "1.0"], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0], {}),
        (["True", "yes", "2", ""], [1.0], {"member: not true or false": 2, "member: missing": 1}),
    ],
)
def test_a_boolean_feature_is_0_or_1_however_it_is_written(
    tmp_path: Path, values: Values, clean: list[float], broken: dict[str, int]
) -> None:
    """And what is neither is no boolean, rather than false."""
    assert column_of(tmp_path, "member", values, features={"member": {"type": "boolean"}}) == (clean, broken)


@pytest.mark.parametrize("values", [pa.array(["red", "violet", None, ""]), ["red", "violet", "", "NA"]])
def test_a_new_category_is_read_as_missing_where_the_contract_says_so(tmp_path: Path, values: Values) -> None:
    """Counted, so that a category that the model never learnt shows before its share grows."""
    colour = {"type": "category", "categories": ["red"], "nullable": True, "new_categories": "as_missing"}
    dataset = small_dataset(limits={"min_rows": 1}, features={"colour": colour})
    frame = small_frame(4)
    path = (
        land(tmp_path / "r.parquet", frame, columns={"colour": values})
        if isinstance(values, pa.Array)
        else write(tmp_path / "r.csv", frame.assign(colour=values).to_csv(index=False))
    )
    store = WindowStore(tmp_path / "w", dataset)
    stored = take(store, path)
    # The empty text is a value in Parquet, and null in a CSV file.
    assert stored.new_categories == {"colour": 2 if path.suffix == ".parquet" else 1}
    assert table_of(store, stored)["colour"].tolist() == ["red", None, None, None]


@pytest.mark.parametrize("values", [pa.array([1, 2, 3]), ["1", "2", "3"]])
def test_a_category_may_be_written_as_a_number(tmp_path: Path, values: Values) -> None:
    """Codes are."""
    features = {"code": {"type": "category", "categories": ["1", "2"]}}
    assert column_of(tmp_path, "code", values, features=features) == (["1", "2"], {"code: unknown category": 1})


def test_null_words_are_values_where_the_contract_names_them(tmp_path: Path) -> None:
    """NA is Namibia where it is a category, and null where it is none."""
    features = {"land": {"type": "category", "categories": ["DE", "NA"], "nullable": True}}
    assert column_of(tmp_path, "land", ["DE", "NA", "nan", ""], features=features) == (["DE", "NA", None, None], {})


NOON = pd.Timestamp("2013-01-01 12:00")


@pytest.mark.parametrize(
    ("values", "clean", "broken"),
    [
        (pa.array([NOON, None], pa.timestamp("us")), [NOON], {"at: missing": 1}),
        (pa.array([NOON, NOON], pa.timestamp("ns", tz="America/New_York")), [NOON, NOON], {}),
        (pa.array([15706], pa.date32()), [pd.Timestamp("2013-01-01")], {}),
        (
            ["2013-01-01 12:00", "2013-01-01T12:00:00Z", "2013-01-01 14:00:00+02", "2013-01-01T07:00:00-05:00"],
            [NOON] * 4,
            {},
        ),
        (["2013-01-01", "soon", ""], [pd.Timestamp("2013-01-01")], {"at: not a time": 1, "at: missing": 1}),
    ],
)
def test_the_event_time_is_utc_however_it_is_written(
    tmp_path: Path, values: Values, clean: list[pd.Timestamp], broken: dict[str, int]
) -> None:
    """A time without a zone is UTC, and one with a zone is the same instant."""
    assert column_of(tmp_path, "at", values, event_time="at") == (clean, broken)


def test_kept_columns_are_stored_beside_the_features(tmp_path: Path) -> None:
    """Segments, the entity and the time are what a model is judged by, and no inputs of it."""
    dataset = small_dataset(entity_key="machine", event_time="at", segments=("plan", "site"))
    frame = small_frame(20).assign(machine=[7.0] * 19 + [NAN], at=NOON, site=pd.Series(["a", None] * 10, dtype=object))
    store = WindowStore(tmp_path / "w", dataset)
    stored = take(store, land(tmp_path / "r.parquet", frame))
    assert stored.counts.by_reason == {"machine: missing": 1}
    clean = table_of(store, stored)
    assert (set(clean["machine"]), set(clean["at"]), clean["site"].tolist()[:2]) == ({"7"}, {NOON}, ["a", None])
    assert not {"machine", "at", "site"} & set(dataset.features)


@pytest.mark.parametrize(
    ("values", "truths"),
    [
        (["stayed", "LEFT", "", "left "], [False, True, None, True]),
        (pa.array(["stayed", None, "Left"]), [False, None, True]),
    ],
)
def test_the_target_may_say_no_and_yes_in_its_own_words(
    tmp_path: Path, values: Values, truths: list[bool | None]
) -> None:
    """And true and false are then none of them."""
    assert column_of(tmp_path, "late", values, target_values=["stayed", "left"]) == (truths, {})
    found = column_of(tmp_path, "late", pa.array(["stayed", "true"]), target_values=["stayed", "left"])
    assert found == ([False], {"late: not stayed or left": 1})


@pytest.mark.parametrize(
    ("said", "meant"),
    [("5.0", "5"), ("-12.000", "-12"), ("2024-01-31 00:00:00", "2024-01-31"), ("5.5", "5.5"), ("1.0.0", "1.0.0")],
)
def test_a_key_in_csv_is_the_key_that_it_is_in_a_typed_file(
    store: WindowStore, tmp_path: Path, said: str, meant: str
) -> None:
    """On another side of the split in the month that came as CSV, it would be judged by rows that it trained on."""
    frame = small_frame(30).assign(customer=said)
    frame.to_csv(tmp_path / "2013-01.csv", index=False)
    assert set(table_of(store, take(store, tmp_path / "2013-01.csv"))["customer"]) == {meant}

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.adapters.window_store import QUARANTINED, WindowStore
from mlops_assets.domain.dataset import Dataset
from tests.unit.mlops_assets.landed_windows import fault_of, reasons_of, table_of, take, write
from tests.unit.mlops_assets.small_windows import land, small_dataset, small_frame

BASE = ["case_id", "customer", "late", "amount", "visits"]
SIDE = ["customer", "age", "colour", "plan"]


def joined_dataset(**source: object) -> Dataset:
    """The contract of two tables: cases, and what is known of their customers."""
    return small_dataset(source={"tables": ["cases", "people"], "key": "customer", **source})


def two_tables(rows: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cases, customers, and both as one table."""
    frame = small_frame(rows)
    frame["customer"] = [str(row // 3) for row in range(rows)]
    people = frame[SIDE].drop_duplicates("customer", ignore_index=True)
    return frame[BASE], people, frame[BASE].merge(people, on="customer")


def written(path: Path, frame: pd.DataFrame) -> Path:
    """A table as CSV or Parquet, as its name says."""
    return write(path, frame.to_csv(index=False)) if path.suffix == ".csv" else land(path, frame)


# Several tables.


@pytest.mark.parametrize("first", ["cases.csv", "cases.parquet"])
@pytest.mark.parametrize("second", ["people.csv", "people.parquet"])
@pytest.mark.parametrize("kind", ["str", "int32", "float64"])
def test_tables_are_joined_by_their_key_in_whatever_file_and_type_they_hold_it(
    tmp_path: Path, first: str, second: str, kind: str
) -> None:
    """A customer is 5 in the one table and "5" in the other: text where a CSV file is read."""
    cases, people, together = two_tables(30)
    plain = WindowStore(tmp_path / "plain", small_dataset())
    expected = table_of(plain, take(plain, land(tmp_path / "rows.parquet", together)))
    store = WindowStore(tmp_path / "joined", joined_dataset())
    in_parquet = people.astype({"customer": kind}) if second.endswith("parquet") else people
    files = {"cases": written(tmp_path / first, cases), "people": written(tmp_path / second, in_parquet)}
    stored = take(store, files)
    assert (stored.counts.clean, stored.unmatched, stored.ignored_columns) == (30, {}, ())
    pd.testing.assert_frame_equal(table_of(store, stored), expected)


def test_rows_with_several_rows_in_another_table_are_quarantined(tmp_path: Path) -> None:
    """Taking one of them would be a choice by chance, taking both would double the row."""
    cases, people, _ = two_tables(30)
    doubled = pd.concat([people, people.iloc[[2]].assign(age=33.0)])
    store = WindowStore(tmp_path / "w", joined_dataset())
    files = {"cases": land(tmp_path / "cases.parquet", cases), "people": land(tmp_path / "people.parquet", doubled)}
    stored = take(store, files)
    assert (stored.counts.rows, stored.counts.clean) == (30, 27)
    assert stored.counts.by_reason == {"people: several rows for one customer": 3}
    assert set(table_of(store, stored, QUARANTINED)["customer"]) == {"2"}


def test_what_belongs_to_no_row_is_counted_and_what_a_row_lacks_is_missing(tmp_path: Path) -> None:
    """Nothing is dropped silently: a window of the wrong month shows as orphans."""
    cases, people, _ = two_tables(30)
    orphans = people.iloc[[0, 1]].assign(customer=["91", "92"])
    nobody = people.iloc[[0]].assign(customer=None)
    others = pd.concat([people.iloc[1:], orphans, orphans, nobody])
    store = WindowStore(tmp_path / "w", joined_dataset())
    files = {"cases": land(tmp_path / "cases.parquet", cases), "people": land(tmp_path / "people.parquet", others)}
    stored = take(store, files)
    assert stored.unmatched == {"people": 5}
    assert stored.counts.by_reason == {"colour: missing": 3}
    assert stored.counts.rows == 30


def test_a_row_without_its_key_is_joined_to_nothing(tmp_path: Path) -> None:
    """Null is no key: two of them are not the same customer."""
    cases, people, _ = two_tables(30)
    cases.loc[0, "customer"] = None
    others = pd.concat([people, people.iloc[[0]].assign(customer=None)])
    store = WindowStore(tmp_path / "w", joined_dataset())
    reasons = reasons_of(
        store, {"cases": land(tmp_path / "c.parquet", cases), "people": land(tmp_path / "p.parquet", others)}
    )
    assert reasons == [["customer: missing", "colour: missing"]]


@pytest.mark.parametrize(
    ("cases", "people", "said"),
    [
        ({}, {"customer": "who"}, "columns are missing: people.parquet lacks customer, which joins the tables"),
        ({"customer": "who"}, {}, "columns are missing: cases.parquet lacks customer, which joins the tables"),
        (
            {"visits": "age"},
            {},
            "the column age is in cases.parquet and people.parquet: which one is meant cannot be told",
        ),
        ({}, {"plan": "late"}, "the column late is in cases.parquet and people.parquet"),
        (
            {},
            {"plan": "tariff"},
            "columns are missing: plan; cases.parquet has case_id, customer, late, amount, visits; ",
        ),
        ({"case_id": "id"}, {}, "columns are missing: case_id; "),
    ],
)
def test_tables_that_cannot_be_one_are_no_window(
    tmp_path: Path, cases: dict[str, str], people: dict[str, str], said: str
) -> None:
    """With the names that the user knows the tables by."""
    first, second, _ = two_tables(30)
    store = WindowStore(tmp_path / "w", joined_dataset())
    files = {
        "cases": land(tmp_path / "cases.parquet", first.rename(columns=cases)),
        "people": land(tmp_path / "people.parquet", second.rename(columns=people)),
    }
    assert said in fault_of(store, files)


def test_a_bad_line_of_another_table_stops_the_window(tmp_path: Path) -> None:
    """Its values belong to good rows of the first one, which would read them as missing."""
    cases, people, _ = two_tables(30)
    content = people.to_csv(index=False).splitlines(keepends=True)
    content[3] = "x\n"
    files = {
        "cases": land(tmp_path / "cases.parquet", cases),
        "people": write(tmp_path / "people.csv", "".join(content)),
    }
    store = WindowStore(tmp_path / "w", joined_dataset())
    assert fault_of(store, files) == "people.csv: 1 lines cannot be read, the first is line 4"


def test_a_broken_page_of_another_table_is_no_window(tmp_path: Path) -> None:
    """It is read while its orphans are counted, before any row is written."""
    cases, people, _ = two_tables(3000)
    path = land(tmp_path / "people.parquet", people)
    path.write_bytes(path.read_bytes()[:4] + path.read_bytes()[2000:])
    store = WindowStore(tmp_path / "w", joined_dataset())
    said = fault_of(store, {"cases": land(tmp_path / "cases.parquet", cases), "people": path})
    assert "people.parquet cannot be read" in said


def test_columns_and_files_that_the_contract_does_not_name_are_said(tmp_path: Path) -> None:
    """A forgotten feature must be visible; a leaking one must not reach the model."""
    cases, people, _ = two_tables(30)
    store = WindowStore(tmp_path / "w", joined_dataset())
    files = {
        "cases": land(tmp_path / "cases.parquet", cases.assign(note="x")),
        "people": land(tmp_path / "people.parquet", people.assign(Arrears=1)),
    }
    stored = take(store, files)
    assert stored.ignored_columns == ("Arrears", "note")
    assert not {"note", "Arrears"} & set(table_of(store, stored).columns)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("amount", pa.array(["1.5"] * 20), "amount is VARCHAR, the contract says float"),
        ("visits", pa.array([True] * 20), "visits is BOOLEAN, the contract says integer"),
        ("colour", pa.array([0] * 20, pa.timestamp("us")), "colour is TIMESTAMP, the contract says category"),
        ("colour", pa.array([b"red"] * 20), "colour is BLOB, the contract says category"),
        ("amount", pa.array([[1.0]] * 20), "amount is DOUBLE[], the contract says float"),
        ("colour", pa.array([["red"]] * 20), "colour is VARCHAR[], the contract says category"),
        ("age", pa.array([{"x": 1}] * 20), "the contract says float"),
        ("age", pa.array([0] * 20, pa.timestamp("us")), "age is TIMESTAMP, the contract says float"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(
    store: WindowStore, tmp_path: Path, column: str, values: pa.Array, said: str
) -> None:
    """Casting would turn a wrong export into numbers that look right."""
    assert said in fault_of(store, land(tmp_path / "rows.parquet", small_frame(20), columns={column: values}))


@pytest.mark.parametrize("column", ["case_id", "customer", "amount", "plan"])
def test_a_file_without_a_column_is_no_window(store: WindowStore, tmp_path: Path, column: str) -> None:
    """All rows would be quarantined one by one for one fault."""
    landed = land(tmp_path / "rows.parquet", small_frame(20).drop(columns=column))
    assert f"columns are missing: {column}; rows.parquet has" in fault_of(store, landed)


# Labels.


def labels_file(path: Path, labels: dict[str, object], *, key: str = "case_id") -> Path:
    """Labels by key."""
    return written(path, pd.DataFrame({key: list(labels), "late": pd.Series(list(labels.values()), dtype=object)}))


def truths(store: WindowStore, landed: Path, labels: Path | None) -> list[bool | None]:
    """The stored target by row, in the order of their ids."""
    found = table_of(store, take(store, landed, labels))["late"]
    return [None if pd.isna(value) else bool(value) for value in found]


def test_a_window_may_come_without_labels(store: WindowStore, tmp_path: Path) -> None:
    """They often come months later; a prediction's rows and their drift are there today."""
    for frame in (small_frame(20).drop(columns="late"), small_frame(20).assign(late=None)):
        stored = take(store, land(tmp_path / "rows.parquet", frame))
        assert (stored.counts.clean, stored.counts.labelled) == (20, 0)
        assert table_of(store, stored)["late"].isna().all()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_that_come_later_are_joined_by_the_row_id(store: WindowStore, tmp_path: Path, suffix: str) -> None:
    """All of them, some of them, and some that belong to no row."""
    frame = small_frame(20)
    landed = land(tmp_path / "rows.parquet", frame.drop(columns="late"))
    said = dict(zip(frame["case_id"], frame["late"].map(bool), strict=True))
    every = labels_file(tmp_path / f"all.{suffix}", dict(said))
    assert truths(store, landed, every) == list(said.values())
    some = labels_file(tmp_path / f"some.{suffix}", {**dict(list(said.items())[:5]), "r000006": None, "other": True})
    stored = take(store, landed, some)
    assert (stored.counts.clean, stored.counts.labelled, stored.unmatched) == (20, 5, {"labels": 1})
    assert truths(store, landed, some) == [*list(said.values())[:5], *[None] * 15]


def test_a_late_label_corrects_what_the_row_said(store: WindowStore, tmp_path: Path) -> None:
    """And one that says nothing leaves it as it was."""
    frame = small_frame(3).assign(late=pd.Series([True, False, None], dtype=object))
    labels = labels_file(tmp_path / "labels.csv", {"r000000": False, "r000001": None, "r000002": True})
    assert truths(store, land(tmp_path / "rows.parquet", frame), labels) == [False, False, True]


def test_labels_that_contradict_each_other_quarantine_their_row(store: WindowStore, tmp_path: Path) -> None:
    """The same label twice does not, in whatever words."""
    labels = write(
        tmp_path / "labels.csv", "late,case_id\ntrue,r000001\nfalse,r000001\n1,r000002\n1,r000002\n,r000002\n"
    )
    frame = small_frame(20).drop(columns="late")
    stored = take(store, land(tmp_path / "rows.parquet", frame), labels)
    assert stored.counts.by_reason == {"late: contradictory labels": 1}
    assert (stored.counts.clean, stored.counts.labelled) == (19, 1)


def test_every_label_that_belongs_to_no_row_is_counted(store: WindowStore, tmp_path: Path) -> None:
    """One by one, the empty ones with them: labels of the wrong month must show."""
    labels = write(tmp_path / "labels.csv", "case_id,late\nx,1\nx,1\ny,\n,0\nr000001,1\n")
    assert take(store, land(tmp_path / "rows.parquet", small_frame(20)), labels).unmatched == {"labels": 4}


def test_a_label_that_is_no_truth_is_a_fault_of_its_row(store: WindowStore, tmp_path: Path) -> None:
    """Reading `maybe` as no would teach the model something wrong."""
    labels = write(tmp_path / "labels.csv", "case_id,late\nr000001,maybe\n")
    landed = land(tmp_path / "rows.parquet", small_frame(20).drop(columns="late"))
    assert reasons_of(store, landed, labels) == [["late: not true or false"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,late\n1,1\n", "columns are missing: labels.csv lacks case_id, which its labels are joined by"),
        ("case_id,truth\n1,1\n", "columns are missing: labels.csv lacks late"),
        ("case_id,late\n1,1\n2\n", "labels.csv: 1 lines cannot be read, the first is line 3"),
        ("case_id,late\n1,1", "labels.csv does not end with a line end"),
    ],
)
def test_labels_that_cannot_be_read_stop_the_window(
    store: WindowStore, tmp_path: Path, content: str, said: str
) -> None:
    """Half of the labels must not pass for all of them."""
    landed = land(tmp_path / "rows.parquet", small_frame(20))
    assert said in fault_of(store, landed, write(tmp_path / "labels.csv", content))


def test_labels_are_joined_by_the_sources_key_where_one_is_named(tmp_path: Path) -> None:
    """A label of a customer is the label of each of the customer's rows."""
    cases, people, _ = two_tables(6)
    store = WindowStore(tmp_path / "w", joined_dataset(labels="outcome"))
    files = {
        "cases": land(tmp_path / "cases.parquet", cases.drop(columns="late")),
        "people": land(tmp_path / "people.parquet", people.astype({"customer": int})),
    }
    labels = labels_file(tmp_path / "outcome.parquet", {"0": True, "1": False}, key="customer")
    assert table_of(store, take(store, files, labels))["late"].tolist() == [True] * 3 + [False] * 3


def test_quarantine_says_the_same_whatever_the_order_of_the_tables_rows(tmp_path: Path) -> None:
    """The reasons are stored under a version that is a hash of the content: they must not come by chance."""
    cases, people, _ = two_tables(30)
    odd = people.assign(colour="violet")
    labels = pd.DataFrame({"customer": ["0", "0", "1", "1"], "late": ["1", "maybe", "0", "maybe"]})
    found = set()
    for at, sign in enumerate((1, -1)):
        store = WindowStore(tmp_path / f"w{at}", joined_dataset(labels="outcome"))
        doubled = pd.concat([people, odd])[::sign]
        files = {"cases": land(tmp_path / "c.parquet", cases), "people": land(tmp_path / f"p{at}.parquet", doubled)}
        stored = take(store, files, written(tmp_path / f"outcome{at}.csv", labels[::sign]))
        found.add(tuple(stored.counts.by_reason.items()))
    assert len(found) == 1


def test_rows_without_a_row_in_another_table_are_counted(tmp_path: Path) -> None:
    """Half an export of it looks like a month of customers who never called; whoever looks must see it."""
    cases, people, _ = two_tables(30)
    store = WindowStore(tmp_path / "w", joined_dataset())
    half = people.head(4)
    files = {"cases": land(tmp_path / "cases.parquet", cases), "people": land(tmp_path / "people.parquet", half)}
    stored = take(store, files)
    assert stored.absent == {"people": 30 - 4 * 3}

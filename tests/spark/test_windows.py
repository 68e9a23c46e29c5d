"""Both engines must store the same: clean rows, reasons, split and sample."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.window_sample import SAMPLE, write_sample
from mlops_assets.adapters.window_store import CLEAN, WindowStore
from mlops_assets.domain.windows import TRAIN, VALIDATION, split_of
from tests.spark.both_engines import agree, break_column, take_with_both
from tests.unit.mlops_assets.adapters.test_window_rows import CELLS, KEYS, arrays_of, good_rows
from tests.unit.mlops_assets.landed_windows import landed_window, table_of, write
from tests.unit.mlops_assets.small_windows import COLOURS, land, small_contract, small_dataset, small_frame

NAN, INF = float("nan"), float("inf")
OPEN = {"min_rows": 1, "max_quarantined_share": 1}

MUTATED: dict[str, list[Any]] = {
    "case_id": [None, "", "NA", " nan ", "r1", "r1", 'o\'neil "x" ü', "\u00a0", "a\\b", "\x1f"],
    "customer": [None, "5", "5.0", "2013-01-02T00:00:00Z", "2013-01-02 03:00:00+01:00", "2013-01-02 at 03:00", "n/a"],
    "late": [None, "yes", "2", "TRUE", "0", " 1.0 ", "False", "none", "İ", "ΑΣ"],
    "amount": [None, NAN, INF, -INF, 1e300, -1e300, 1000.0, 1000.0001, -1000.0, 0.1, -0.0, 5e-324],
    "visits": [None, NAN, INF, 1.5, 2.5, 2.0**25, 2.0**24, 2.0**31, 2.0**63, -1.0, 100.0, 100.5],
    "age": [None, NAN, INF, 1e39, 3.4028235e38, 3.4028235677973362e38, 3.4028235677973366e38, -1e300],
    "colour": [None, "violet", "Red", "", COLOURS[2], "na", "red "],
    "plan": [None, "gold", "free", "none", "NULL"],
}
"""A column's values that are odd, each in a row that is good otherwise."""


def mutated_rows() -> list[dict[Any, Any]]:
    """A row for each."""
    total = sum(len(values) for values in MUTATED.values())
    rows = good_rows(total + 20)
    places = iter(range(total))
    for column, values in MUTATED.items():
        for value in values:
            rows[next(places)][column] = value
    return rows


def test_mutated_rows_come_out_alike(spark: Engines, tmp_path: Path) -> None:
    """Prevents that a row is clean on one engine and set aside on the other, or for another reason."""
    rows = land(tmp_path / "rows.parquet", pd.DataFrame(), columns=arrays_of(mutated_rows()))
    _, stored = take_with_both(spark, tmp_path, small_dataset(limits=OPEN), rows)
    assert stored.counts.clean > 20
    assert len(stored.counts.by_reason) > 12
    assert 0 < stored.counts.validation < stored.counts.clean


def test_mutated_texts_of_a_csv_file_come_out_alike(spark: Engines, tmp_path: Path) -> None:
    """Prevents that `1.5f`, `1e400`, `NA` or a broken line is something else on the other engine."""
    texts = [
        "1.5f",
        "1.5d",
        "1e400",
        "0x10",
        "1_0",
        " 7 ",
        "+7",
        ".5",
        "5.",
        "Infinity",
        "-inf",
        "nan",
        "NA",
        "1,5",
        "x",
    ]
    frame = small_frame(60).astype(object)
    for at, text in enumerate(texts):
        frame.loc[at, "amount"] = text
        frame.loc[at + len(texts), "visits"] = text
    lines = frame.to_csv(index=False).splitlines(keepends=True)
    rows = write(tmp_path / "rows.csv", "".join([*lines[:9], "too,few\n", *lines[9:]]))
    _, stored = take_with_both(spark, tmp_path, small_dataset(limits=OPEN), rows)
    assert {"line: cannot be read as a row of the file", "amount: not a number"} <= set(stored.counts.by_reason)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.fixed_dictionaries(CELLS), min_size=30, max_size=80), whole=st.integers(0, 30))
def test_whatever_rows_hold_both_engines_agree(spark: Engines, rows: list[dict[Any, Any]], whole: int) -> None:
    """Prevents a difference that nobody thought of."""
    with TemporaryDirectory() as folder:
        path = land(Path(folder) / "r.parquet", pd.DataFrame(), columns=arrays_of([*rows, *good_rows(whole)]))
        agree(spark, small_dataset(limits=OPEN), path)


CSV_CELLS = st.sampled_from(
    [
        "",
        "r1",
        "1",
        "1.50",
        "true",
        "red",
        "NA",
        "1e999",
        "1E5",
        "NaN",
        "2013-01-02 00:00",
        "5.0",
        "\u00a0na",
        "-0",
        "\u017f",
    ]
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(st.lists(CSV_CELLS, min_size=7, max_size=9).map(",".join), min_size=20, max_size=60))
def test_whatever_lines_hold_both_engines_agree(spark: Engines, lines: list[str]) -> None:
    """Prevents the same of texts, which DuckDB alone reads, also on Spark."""
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "r.csv", "\n".join([",".join(CELLS), *lines, ""]))
        agree(spark, small_dataset(limits=OPEN), path)


TYPED: dict[str, pa.Array] = {
    **{kind: make(60) for kind, make in KEYS.items()},
    "fractions": pa.array([0.5, 1.5, 1e300, INF, NAN, 2.0**60, 2.0**63, -(2.0**63), 1e-7, 123456.75, -0.0, None] * 5),
    "small fractions": pa.array([0.1, 2.5, 1e30, 1e-7, 33554432.0, None] * 10, pa.float32()),
    "long decimals": pa.array(["0.10", "5.00", "12345678901234567890.00", None] * 15).cast(pa.decimal128(24, 2)),
    "small whole numbers": pa.array([*range(59), None], pa.int8()),
    "unsigned": pa.array([*range(58), 2**64 - 1, None], pa.uint64()),
    "booleans": pa.array([True, False, None] * 20),
    "days": pa.array([*range(59), None], pa.date32()),
    "midnights": pa.array([*(day * 86_400_000_000 for day in range(59)), None], pa.timestamp("us")),
    "moments": pa.array([*(day * 3_600_500_000 for day in range(59)), None], pa.timestamp("us")),
    "moments of a zone": pa.array([*(day * 3_600_500 for day in range(59)), None], pa.timestamp("ms", tz="Asia/Tokyo")),
    "nanoseconds": pa.array([*(day * 3_600_500_000_000 for day in range(59)), None], pa.timestamp("ns")),
    "nanoseconds of a zone": pa.array([*(day * 10**12 for day in range(59)), None], pa.timestamp("ns", tz="UTC")),
    "repeated texts": pa.array(["a", "b", None] * 20).dictionary_encode(),
    "nothing": pa.nulls(60),
    "bytes": pa.array([b"a", b"\xff", None] * 20),
    "lists": pa.array([[1], [1, 2], None] * 20),
}


@pytest.mark.parametrize("kind", TYPED)
def test_a_key_of_any_type_has_one_text_and_one_side(spark: Engines, tmp_path: Path, kind: str) -> None:
    """Prevents that a row trains a model on one engine which it validates on the other."""
    rows = land(tmp_path / "rows.parquet", small_frame(60), columns={"customer": TYPED[kind]})
    stores, stored = take_with_both(spark, tmp_path, small_dataset(limits=OPEN), rows)
    clean = table_of(stores[1], stored)
    assert clean["_split"].tolist() == [split_of(key) for key in clean["customer"]]


@pytest.mark.parametrize("kind", ["texts", "moments", "moments of a zone", "nanoseconds", "days", "nothing"])
def test_a_time_of_any_type_is_the_same_in_utc(spark: Engines, tmp_path: Path, kind: str) -> None:
    """Prevents that a row's age depends on the engine: texts, zones, years beyond a frame's, infinite ones."""
    texts = [
        "2013-01-01 12:00",
        "2013-01-01T12:00:00+02:00",
        "soon",
        "",
        "infinity",
        "0031-01-01",
        "9999-12-31",
        "24:00",
    ]
    times = pa.array([*texts, *["2013-01-01 12:00:00.123456"] * 52]) if kind == "texts" else TYPED[kind]
    frame = small_frame(60).assign(machine=pd.Series(["m", None, "5.0"] * 20, dtype=object))
    rows = land(tmp_path / "rows.parquet", frame, columns={"at": times})
    take_with_both(spark, tmp_path, small_dataset(limits=OPEN, event_time="at", entity_key="machine"), rows)


def test_joined_tables_and_late_labels_come_out_alike(spark: Engines, tmp_path: Path) -> None:
    """Prevents that what DuckDB joined is read otherwise by Spark."""
    frame = small_frame(60)
    side = frame[["case_id", "age", "colour", "plan"]]
    tables = {
        "a": land(tmp_path / "a.parquet", frame[["case_id", "customer", "amount", "visits"]]),
        "b": land(tmp_path / "b.parquet", pd.concat([side, side.loc[[3, 4]]])),
    }
    labels = write(tmp_path / "labels.csv", "case_id,late\nr000001,1\nr000002,0\nr000002,1\nr000005,maybe\n")
    dataset = small_dataset(limits=OPEN, source={"tables": ["a", "b"], "key": "case_id"})
    _, stored = take_with_both(spark, tmp_path, dataset, tables, labels)
    assert stored.counts.by_reason == {
        "b: several rows for one case_id": 2,
        "late: contradictory labels": 1,
        "late: not true or false": 1,
    }


def test_new_categories_and_booleans_come_out_alike(spark: Engines, tmp_path: Path) -> None:
    """Prevents that what is let through as missing is counted otherwise."""
    features: dict[str, Any] = {
        **small_contract()["features"],  # type: ignore[dict-item]
        "plan": {"type": "category", "categories": ["free"], "nullable": True, "new_categories": "as_missing"},
        "code": {"type": "category", "categories": ["1", "2", "2.5"]},
        "member": {"type": "boolean", "nullable": True},
    }
    columns = {"code": pa.array([1.0, 2.0, 2.5, 3.0, NAN, None] * 10), "member": pa.array([True, False, None] * 20)}
    rows = land(tmp_path / "rows.parquet", small_frame(60), columns=columns)
    _, stored = take_with_both(spark, tmp_path, small_dataset(limits=OPEN, features=features), rows)
    assert stored.new_categories.keys() == {"plan"}
    assert stored.counts.by_reason == {"code: missing": 20, "code: unknown category": 10}


def test_the_sample_and_every_draw_hold_the_same_rows(spark: Engines, tmp_path: Path) -> None:
    """Prevents that a drift report or a training depends on the engine."""
    most = 100
    rows = land(tmp_path / "rows.parquet", small_frame(600))
    stores, stored = take_with_both(spark, tmp_path, small_dataset(), rows)
    versions = {stored.window: stored.data_version}
    for store, engines in zip(stores, (Engines(), spark), strict=True):
        clean = store.folder / stored.window / stored.data_version / CLEAN
        with engine() as connection:
            write_sample(
                engines.over(connection, tmp_path), store.dataset, stored.counts,
                clean=clean, sample=clean.with_name(SAMPLE), of="rows", most=most,
            )  # fmt: skip
    samples = [table_of(store, stored, SAMPLE).sort_values("case_id", ignore_index=True) for store in stores]
    pd.testing.assert_frame_equal(samples[1], samples[0])
    assert samples[0]["_split"].value_counts().to_dict() == {TRAIN: most, VALIDATION: most}
    for draw in ({"split": None, "max_rows": 50}, {"split": TRAIN, "max_rows": 90, "labelled": True}):
        frames = [store.draw(versions, **draw) for store in stores]
        pd.testing.assert_frame_equal(frames[1], frames[0])


def test_an_id_that_comes_back_in_another_window_is_drawn_alike(spark: Engines, tmp_path: Path) -> None:
    """Prevents that the window, which settles the order then, is another one on Spark."""
    drawn = []
    for name, engines in (("duckdb", Engines()), ("spark", spark)):
        store, versions = WindowStore(tmp_path / name, small_dataset(), engines), {}
        for seed, month in enumerate(("2013-01", "2013-02")):
            path = land(tmp_path / f"{month}.parquet", small_frame(60, seed=seed))
            intake, _ = store.take(landed_window(path, window=month))
            versions[month] = intake.data_version
        drawn.append(store.draw(versions, split=None, max_rows=31))
    pd.testing.assert_frame_equal(drawn[1], drawn[0])


@pytest.mark.parametrize("name", ["a window.parquet", "per cent 20%.parquet", "star*[1]{a,b}?.parquet"])
def test_a_file_may_have_any_name(spark: Engines, tmp_path: Path, name: str) -> None:
    """Prevents that a name is taken for a pattern: other files would be read, or none."""
    folder = tmp_path / "region=eu, é"
    land(folder / "star1a1.parquet", small_frame(60, prefix="other"))
    _, stored = take_with_both(spark, folder, small_dataset(), land(folder / name, small_frame(60)))
    assert stored.counts.clean == 60


def test_a_file_that_is_broken_further_down_is_unfit_on_both(spark: Engines, tmp_path: Path) -> None:
    """Prevents that a broken file is taken for a fault of the engine, and its run tried again for ever."""
    path = break_column(land(tmp_path / "rows.parquet", small_frame(6000)), "amount")
    faults = []
    for name, engines in (("duckdb", Engines()), ("spark", spark)):
        intake, stored = WindowStore(tmp_path / name, small_dataset(), engines).take(landed_window(path))
        assert stored is None
        assert list((tmp_path / name).rglob("*.parquet")) == []
        faults.append(str(intake.fault))
    assert all("rows.parquet cannot be read to its end" in fault for fault in faults), faults


def test_text_that_is_no_utf8_is_unfit_on_both(spark: Engines, tmp_path: Path) -> None:
    """Prevents that Spark, which looks at no letter, keeps a key that nothing else can read."""
    frame = small_frame(60).assign(customer="c~")
    path = land(tmp_path / "rows.parquet", frame)
    path.write_bytes(path.read_bytes().replace(b"c~", b"c\xff"))
    for name, engines in (("duckdb", Engines()), ("spark", spark)):
        intake, stored = WindowStore(tmp_path / name, small_dataset(), engines).take(landed_window(path))
        assert stored is None, intake
        assert "cannot be read to its end" in str(intake.fault)


def test_a_window_that_both_engines_took_is_one_version(spark: Engines, tmp_path: Path) -> None:
    """Prevents that changing the engine looks like new data to a training."""
    path = land(tmp_path / "rows.parquet", small_frame(60))
    first, _ = WindowStore(tmp_path / "w", small_dataset(), spark).take(landed_window(path))
    second, _ = WindowStore(tmp_path / "w", small_dataset()).take(landed_window(path))
    assert second == first
    assert np.isfinite(second.landed_at)

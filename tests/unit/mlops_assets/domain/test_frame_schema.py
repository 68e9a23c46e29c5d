from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.frame_schema import FAILURE_COLUMNS, failure_cases, frame_schema
from mlops_assets.domain.row_rules import row_rules
from tests.unit.mlops_assets.landed_windows import landed_window
from tests.unit.mlops_assets.small_windows import (
    COLOURS,
    PLANS,
    as_drawn,
    land,
    small_contract,
    small_dataset,
    small_frame,
)

NAN, INF = float("nan"), float("inf")
# Every kind of feature, and a column that tells rows apart where their ids do not.
FULL: dict[str, Any] = {
    "features": {**small_contract()["features"], "member": {"type": "boolean", "nullable": True}},  # type: ignore[dict-item]
    "entity_key": "line",
    "limits": {"min_rows": 1, "max_quarantined_share": 1},
}
NUMBERS = ("amount", "visits", "age")
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "case_id": st.sampled_from([None, "r1", "r2", "r3"]),
    "customer": st.sampled_from([None, "c1"]),
    "late": st.sampled_from([None, "true", "False", "1", "0", "yes", "2"]),
    "amount": st.one_of(
        st.none(), st.floats(), st.sampled_from([1e308, -1e308, 1000.0, np.nextafter(1000.0, 2000.0), -1000.1, 0.0])
    ),
    "visits": st.one_of(st.none(), st.floats(), st.integers(-2, 102).map(float), st.sampled_from([0.5, 2.0**24 + 2])),
    "age": st.one_of(
        st.none(), st.floats(), st.sampled_from([1e39, 3.4028234e38, 3.4028235677973362e38, 3.4028235677973366e38])
    ),
    "colour": st.sampled_from([None, *COLOURS, "RED", "'", ""]),
    "plan": st.sampled_from([None, *PLANS, "none"]),
    "member": st.sampled_from([None, 0, 1, 2, -1]),
}
ROWS = st.lists(
    st.one_of(
        st.fixed_dictionaries(CELLS),
        # Broken rows alone would hide a rule that breaks all rows: most have one odd cell.
        st.tuples(st.sampled_from(list(CELLS)), st.fixed_dictionaries(CELLS)).map(lambda odd: {odd[0]: odd[1][odd[0]]}),
    ),
    min_size=5,
    max_size=40,
)
GOOD = {
    "customer": "c",
    "late": "1",
    "amount": 1.0,
    "visits": 2.0,
    "age": None,
    "colour": "red",
    "plan": None,
    "member": 1,
}
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def whole(dirty: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with good values where nothing is said of a column."""
    return [{"case_id": f"id{at}", **GOOD, **row, "line": f"line{at}"} for at, row in enumerate(dirty)]


def as_landed(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """The columns as a Parquet file holds them."""
    kinds = {**dict.fromkeys(NUMBERS, pa.float64()), "member": pa.int64()}
    names = [*CELLS, "line"]
    return {name: pa.array([row[name] for row in rows], kinds.get(name, pa.string())) for name in names}


def as_read(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The same columns as a frame: numbers and booleans float64, the target as what it says."""
    frame = pd.DataFrame(rows).astype(dict.fromkeys([*NUMBERS, "member"], "float64"))
    truths = [said if said is None else TRUTHS.get(said.lower(), said) for said in frame["late"]]
    return frame.assign(late=pd.Series(truths, dtype=object))


@settings(max_examples=20, deadline=None)
@given(dirty=ROWS)
def test_engine_and_pandera_fault_the_same_rows_for_the_same_reasons(dirty: list[dict[str, Any]]) -> None:
    """One contract, two executors: where they part, a check says of a frame what was never held of the window."""
    dataset = small_dataset(**FULL)
    rows = whole(dirty)
    kinds = {rule.reason: (rule.reason.split(":")[0], rule.kind) for rule in row_rules(dataset)}
    with TemporaryDirectory() as folder:
        store = WindowStore(Path(folder) / "windows", dataset)
        path = land(Path(folder) / "landed.parquet", pd.DataFrame(), columns=as_landed(rows))
        _, stored = store.take(landed_window(path))
        assert stored is not None
        set_aside = store.quarantined(stored, rows=100)
        drawn = store.draw({stored.window: stored.data_version}, split=None, max_rows=100)
    by_engine = {(row["line"], *kinds[reason]) for row in set_aside.to_dict("records") for reason in row["_reasons"]}
    frame = as_read(rows)
    schema = frame_schema(dataset)
    cases = failure_cases(schema, frame)
    by_pandera = {
        (frame["line"].iloc[int(at)], column, check)
        for column, check, at in zip(cases["column"], cases["check"], cases["index"], strict=True)
    }
    assert by_pandera == by_engine
    assert failure_cases(schema, drawn).empty


def faults(frame: pd.DataFrame, dataset: Dataset | None = None) -> list[tuple[str, str, Any]]:
    """Column, kind and index of each fault."""
    cases = failure_cases(frame_schema(dataset or small_dataset()), frame)
    assert list(cases.columns) == FAILURE_COLUMNS
    return [(row["column"], row["check"], row["index"]) for row in cases.to_dict("records")]


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_a_frame_of_clean_rows_holds_in_both_precisions(rows: int) -> None:
    """An empty frame too: pandera would otherwise judge the types that pandas guesses for it."""
    frame = small_frame(rows)
    frame["visits"] = frame["visits"].astype("float64")
    assert faults(frame) == []
    assert faults(as_drawn(frame)) == []
    assert faults(frame.assign(late=None, colour=frame["colour"].astype(object), extra=1)) == []


@pytest.mark.parametrize(
    ("column", "value", "kinds"),
    [
        ("case_id", None, ["missing"]),
        ("case_id", 5, ["type"]),
        ("customer", None, ["missing"]),
        ("late", "yes", ["label"]),
        ("late", 1, ["label"]),
        ("amount", NAN, ["missing"]),
        ("amount", INF, ["finite", "range"]),
        ("amount", -1e308, ["finite", "range"]),
        ("amount", 1000.5, ["range"]),
        ("visits", 1.5, ["type"]),
        ("visits", -1.0, ["range"]),
        ("visits", 2.0**24 + 2, ["type", "range"]),
        ("age", INF, ["finite"]),
        ("age", 1e300, ["finite"]),
        ("colour", None, ["missing"]),
        ("colour", "Red", ["category"]),
        ("plan", "gold", ["category"]),
        ("plan", 1.0, ["type", "category"]),
    ],
)
def test_a_value_that_breaks_the_contract_is_named_with_its_kind_and_place(
    column: str, value: str | float | None, kinds: list[str]
) -> None:
    """The kinds are those of the quarantine, so that both can be read side by side."""
    frame = small_frame(20).astype({"visits": "float64", "late": object})
    frame.loc[7, column] = value
    assert faults(frame) == [(column, kind, 7) for kind in kinds]


def test_both_rows_of_a_doubled_id_are_faults_and_two_nulls_are_not_one_id() -> None:
    """Pandera's own `unique` takes two nulls for one value."""
    frame = small_frame(20).astype({"visits": "float64"})
    frame.loc[[3, 9], "case_id"] = "same"
    frame.loc[[4, 5], "case_id"] = None
    assert sorted(faults(frame)) == [("case_id", kind, at) for kind, at in
                                     [("missing", 4), ("missing", 5), ("unique", 3), ("unique", 9)]]  # fmt: skip


def test_a_column_of_another_type_is_one_fault_of_the_column() -> None:
    """Not one of each value, and no exception: whole numbers, text and times are no floats."""
    frame = small_frame(20)
    assert faults(frame) == [("visits", "type", None)]
    frame = small_frame(20).astype({"visits": "float64", "amount": str})
    assert faults(frame) == [("amount", "type", None)]
    frame["amount"] = pd.Timestamp("2013-01-01")
    assert faults(frame) == [("amount", "type", None)]


def test_a_missing_and_a_doubled_column_are_named() -> None:
    """Pandera puts their names where the value should be."""
    frame = as_drawn(small_frame(20))
    assert faults(frame.drop(columns="age")) == [("age", "missing", None)]
    assert ("age", "unique", None) in faults(pd.concat([frame, frame[["age"]]], axis="columns"))


def test_a_limit_that_float32_rounds_up_is_still_a_limit() -> None:
    """0.1 as float32 is larger than 0.1: a window that was clean when it was stored must not break when it is drawn."""
    features = {"rate": {"type": "float", "range": [-0.3, 0.1]}, "size": {"type": "float", "range": [0, 1e300]}}
    dataset = small_dataset(features=features)
    frame = pd.DataFrame(
        {"case_id": ["a", "b"], "customer": "c", "late": None, "rate": [0.1, -0.3], "size": [0.0, 3e38]}
    )
    stored = frame.astype({"rate": "float32", "size": "float32"})
    assert float(stored["rate"].iloc[0]) > 0.1
    assert faults(stored, dataset) == []
    assert faults(stored.assign(rate=np.float32(0.1000001)), dataset) == [("rate", "range", 0), ("rate", "range", 1)]


@pytest.mark.parametrize(
    ("value", "kinds"), [(0.0, []), (1.0, []), (NAN, ["missing"]), (2.0, ["type"]), (INF, ["type"])]
)
def test_a_boolean_is_nothing_but_0_and_1(value: float, kinds: list[str]) -> None:
    """As the model gets it."""
    dataset = small_dataset(features={"member": {"type": "boolean"}})
    frame = pd.DataFrame({"case_id": ["a"], "customer": ["c"], "late": [True], "member": np.array([value], "float32")})
    assert faults(frame, dataset) == [("member", kind, 0) for kind in kinds]


def test_kept_columns_are_judged_where_they_are_there() -> None:
    """A frame for a model leaves them out; one with them must hold what a clean row holds of them."""
    dataset = small_dataset(entity_key="machine", event_time="at", segments=("plan", "site"))
    frame = as_drawn(small_frame(3))
    assert faults(frame, dataset) == []
    kept = frame.assign(
        machine=pd.Series(["m", None, "n"], dtype=object),
        at=pd.to_datetime(["2013-01-01", "NaT", "2013-01-02"]),
        site=None,
    )
    assert faults(kept, dataset) == [("machine", "missing", 1), ("at", "missing", 1)]
    assert faults(frame.assign(at="2013-01-01"), dataset) == [("at", "type", None)]


def test_a_split_key_that_is_also_the_id_or_the_entity_is_judged_once() -> None:
    """Roles may share a column."""
    frame = as_drawn(small_frame(3)).drop(columns="customer")
    frame.loc[1, "case_id"] = None
    assert faults(frame, small_dataset(split_by="case_id", entity_key="case_id")) == [("case_id", "missing", 1)]

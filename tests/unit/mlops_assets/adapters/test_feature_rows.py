"""Prevents that the table has another row of an entity than its newest, or other values than a client would send."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd

from mlops_assets.adapters.feature_rows import newest_rows
from mlops_assets.adapters.release_store import features_of
from mlops_assets.adapters.window_store import WindowStore
from serving.feature_table import rfc3339
from serving.rows import Rows
from tests.unit.mlops_assets.landed_windows import landed_window, take
from tests.unit.mlops_assets.small_windows import land, small_dataset, small_frame

LANDED = "1970-01-01T00:16:40Z"
"""When `landed_window` says that its windows land."""


def rows_of(folder: Path, frame: pd.DataFrame, **roles: object) -> dict[str, tuple[str, dict[str, object]]]:
    """By entity `as_of` and features, of a window of these rows."""
    store = WindowStore(folder / "windows", small_dataset(**{"limits": {"min_rows": 1}, **roles}))
    stored = take(store, land(folder / "2013-01.parquet", frame))
    with newest_rows(store, stored) as batches:
        rows = [row for batch in batches for row in batch]
    keys = [entity for entity, _, _ in rows]
    assert keys == sorted(set(keys), key=str.encode)
    return {entity: (rfc3339(as_of), msgspec.json.decode(features)) for entity, as_of, features in rows}


def test_the_newest_row_by_event_time_is_an_entitys_row(tmp_path: Path) -> None:
    frame = small_frame(4).assign(
        customer=["a", "a", "b", "a"],
        visits=[1, 2, 3, 4],
        at=["1970-01-01 00:03", "1970-01-01 00:05", "1970-01-01 00:01:00.5", "1970-01-01 00:04"],
    )
    rows = rows_of(tmp_path, frame, entity_key="customer", event_time="at")
    assert {entity: (as_of, row["visits"]) for entity, (as_of, row) in rows.items()} == {
        "a": ("1970-01-01T00:05:00Z", 2),
        "b": ("1970-01-01T00:01:00.500000Z", 3),
    }


def test_without_an_event_time_the_last_row_id_is_the_newest_and_is_as_old_as_its_landing(tmp_path: Path) -> None:
    frame = small_frame(3).assign(customer=["a", "a", "b"], visits=[1, 2, 3]).iloc[::-1]
    rows = rows_of(tmp_path, frame, entity_key="customer")
    assert {entity: (as_of, row["visits"]) for entity, (as_of, row) in rows.items()} == {
        "a": (LANDED, 2),
        "b": (LANDED, 3),
    }


def test_two_rows_of_one_moment_are_settled_by_their_id(tmp_path: Path) -> None:
    """Prevents that the same window makes one table today and another tomorrow."""
    at = pd.to_datetime(["1970-01-01"] * 3)
    frame = small_frame(3).assign(customer="a", visits=[1, 2, 3], at=at).iloc[[1, 2, 0]]
    assert rows_of(tmp_path, frame, entity_key="customer", event_time="at")["a"][1]["visits"] == 3


def test_no_row_is_younger_than_its_landing(tmp_path: Path) -> None:
    """Prevents that a year which was mistyped keeps an entity's features young for ever."""
    at = ["2999-01-01 00:00", "infinity", "0044-03-15 (BC)", "1970-01-01 00:01"]
    frame = small_frame(4).assign(customer=["a", "b", "c", "d"], at=at)
    rows = rows_of(tmp_path, frame, entity_key="customer", event_time="at")
    assert {entity: as_of for entity, (as_of, _) in rows.items()} == {
        "a": LANDED,
        "b": LANDED,
        "c": "0001-01-01T00:00:00Z",
        "d": "1970-01-01T00:01:00Z",
    }


def test_an_event_time_that_is_the_split_key_dates_rows_too(tmp_path: Path) -> None:
    """It is stored as text then: the newest text is not always the newest time."""
    frame = small_frame(2).assign(colour=["red", "green"], customer=["1970-01-01", "1970-01-01 00:02:00"], site="x")
    rows = rows_of(tmp_path, frame, entity_key="site", event_time="customer")
    as_of, features = rows["x"]
    assert (as_of, features["colour"]) == ("1970-01-01T00:02:00Z", "green")


def test_values_are_what_a_client_sends(tmp_path: Path) -> None:
    """Prevents that the service's own strict row type refuses what the table gives it."""
    frame = small_frame(2).assign(
        customer=["a", "b"],
        amount=[39.02, 1e-20],
        visits=[7, 0],
        age=[float("nan"), 18.5],
        colour=['it\'s "blue"', "red"],
        plan=pd.Series([None, "paid"], dtype=object),
        member=[True, False],
    )
    features = {**small_dataset().model_dump()["features"], "member": {"type": "boolean"}}
    features["amount"]["range"] = None
    rows = rows_of(tmp_path, frame, entity_key="customer", features=features)
    assert rows["a"][1] == {
        "amount": 39.02, "visits": 7, "age": None, "colour": 'it\'s "blue"', "plan": None, "member": True,
    }  # fmt: skip
    assert rows["b"][1] == {
        "amount": 1e-20, "visits": 0, "age": 18.5, "colour": "red", "plan": "paid", "member": False,
    }  # fmt: skip
    of_the_service = Rows(features_of(small_dataset(features=features)))
    of_the_service.convert([row for _, row in rows.values()])


def test_keys_are_the_stores_texts_and_what_no_client_can_ask_for_is_left_out(tmp_path: Path) -> None:
    customers = ["5.0", "2024-01-31 00:00", "ü" * 500, "x" * 501, "a\0b"]
    rows = rows_of(tmp_path, small_frame(5).assign(customer=customers), entity_key="customer")
    assert set(rows) == {"5", "2024-01-31", "ü" * 500}


def test_a_row_id_that_is_the_entity_gives_every_row(tmp_path: Path) -> None:
    assert len(rows_of(tmp_path, small_frame(50), entity_key="case_id")) == 50


def test_the_landing_is_the_first_of_these_rows(tmp_path: Path) -> None:
    """Prevents that labels which come weeks later make an entity's features young again."""
    store = WindowStore(tmp_path / "windows", small_dataset(entity_key="customer"))
    frame = small_frame(30)
    rows = land(tmp_path / "2013-01.parquet", frame.drop(columns="late"))
    labels = land(tmp_path / "2013-01.labels.parquet", frame[["case_id", "late"]])
    first, labelled, again, corrected = (
        replace(landed, landed_at=at)
        for landed, at in (
            (landed_window(rows), 1000.0),
            (landed_window(rows, labels), 2000.0),
            (landed_window(rows), 3000.0),
            (landed_window(land(tmp_path / "corrected.parquet", frame.drop(columns="late").head(29))), 4000.0),
        )
    )
    dated = []
    for landed in (first, labelled, again, corrected):
        _, stored = store.take(landed)
        assert stored is not None
        dated.append(store.rows_landed_at(stored))
    assert dated == [1000, 1000, 1000, 4000]

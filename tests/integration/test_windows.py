"""Landed files in the graph: a bad one is never taken for a good one, and the others go on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlops_assets.cli.history import window_histories
from mlops_assets.cli.status import promoted_versions
from tests.integration.conftest import Loop, new_loop

pytestmark = pytest.mark.integration


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _not_parquet(path: Path) -> None:
    path.write_text("visit,customer\n1,2\n")


def _no_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def _column_missing(path: Path) -> None:
    pd.read_parquet(path).drop(columns="price").to_parquet(path)


def _mostly_broken(path: Path) -> None:
    pd.read_parquet(path).assign(shop="west").to_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncated, "cannot be read as Parquet"),
        (_empty, "cannot be read as Parquet"),
        (_not_parquet, "cannot be read as Parquet"),
        (_no_rows, "0 clean rows, the contract asks for 200"),
        (_column_missing, "columns are missing: price"),
        (_mostly_broken, "800 of 800 rows break the contract"),
    ],
)
def test_a_bad_window_shows_a_red_check_and_the_next_one_flows(
    loop: Loop, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(loop.land("2024-01"))
    bad = loop.ingest("2024-01")
    loop.land("2024-02")
    good = loop.ingest("2024-02")

    assert bad.success, "a bad window is no broken system: nothing is to be retried"
    (stored,) = bad.get_asset_materialization_events()
    assert said in str(stored.materialization.metadata["fault"].value)
    red = [e for e in bad.get_asset_check_evaluations() if not e.passed and said in str(e.description)]
    assert red, "the check says why"
    assert red[0].severity == dg.AssetCheckSeverity.ERROR
    assert red[0].partition == "2024-01", "the next window's checks leave it red"
    assert (loop.settings.landing / "2024-01.parquet").exists(), "the landed file stays"
    assert len(good.get_asset_materialization_events()) == 2
    assert all(evaluation.passed for evaluation in good.get_asset_check_evaluations())


def test_the_same_windows_give_the_same_table_twice(tmp_path: Path, empty_mlflow: Path) -> None:
    tables = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        with new_loop(folder, empty_mlflow) as loop:
            for window, shift in (("2024-01", 0), ("2024-02", 3), ("2024-03", 3)):
                loop.land(window, shift=shift, flipped=shift > 0)
                loop.ingest(window)
                loop.train(window)
            promoted = promoted_versions(loop.ledger)
            histories = window_histories(loop.instance, promoted)
        tables.append([replace(history, landed_at=None, run_id=None) for history in histories])

    assert tables[0] == tables[1]
    assert [history.verdict for history in tables[0]] == ["promoted", "promoted", "refused"]


def test_the_same_bytes_are_the_same_data_version(loop: Loop) -> None:
    loop.land("2024-01")
    first, second = (loop.ingest("2024-01") for _ in range(2))
    versions = [
        (event.materialization.tags or {})["dagster/data_version"]
        for result in (first, second)
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.to_user_string() == "data_window"
    ]
    assert versions[0] == versions[1]

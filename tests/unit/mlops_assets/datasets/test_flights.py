from pathlib import Path

import duckdb
import pytest

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.datasets.flights import WINDOWS, write_windows

CONTRACT = read_dataset(FLIGHTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth flight of January, in a folder whose name holds a quote."""
    folder = tmp_path_factory.mktemp("o'neil") / "landing"
    assert list(write_windows(folder, ("2013-01",), one_row_in=20)) == [folder / "2013-01.parquet"]
    return folder


@pytest.fixture(scope="module")
def january(folder: Path) -> Path:
    """The landed file."""
    return folder / "2013-01.parquet"


def test_a_window_a_month() -> None:
    """Twelve of them, in the order of time."""
    assert (len(WINDOWS), WINDOWS[0], WINDOWS[-1]) == (12, "2013-01", "2013-12")
    assert sorted(WINDOWS) == list(WINDOWS)


def test_the_files_columns_are_the_contracts(january: Path) -> None:
    """A column that the contract does not know would be ignored, a missing one would stop the window."""
    assert set(duckdb.read_parquet(str(january)).columns) == set(CONTRACT.columns)


def test_every_row_holds_the_contract(january: Path, tmp_path: Path) -> None:
    """The built-in data must start green."""
    with FolderLanding(january.parent, CONTRACT).fetch("2013-01") as landed:
        _, stored = WindowStore(tmp_path, CONTRACT).take(landed)
    assert stored is not None
    assert stored.counts.by_reason == {}
    assert stored.counts.quarantined == 0
    assert 1000 < stored.counts.clean == stored.counts.rows < 2000
    assert 0.1 < stored.counts.validation / stored.counts.rows < 0.5
    assert stored.ignored_columns == ()


def test_flights_are_told_apart(january: Path) -> None:
    """The weather and plane tables must not multiply a flight."""
    ids = duckdb.read_parquet(str(january)).select("flight_id").fetchall()
    assert len(ids) == len(set(ids))


def test_nothing_but_whole_files_is_left(folder: Path) -> None:
    """A `.part` file would be half a window, or be ignored with a warning for ever."""
    assert [path.name for path in folder.iterdir()] == ["2013-01.parquet"]


def test_a_smaller_window_is_part_of_the_larger_one(january: Path, tmp_path: Path) -> None:
    """Small windows must be the same rows each time, or a test that trains on them would flicker."""
    (fewer,) = write_windows(tmp_path, ("2013-01",), one_row_in=40)
    few = {row[0] for row in duckdb.read_parquet(str(fewer)).select("flight_id").fetchall()}
    many = {row[0] for row in duckdb.read_parquet(str(january)).select("flight_id").fetchall()}
    assert few < many

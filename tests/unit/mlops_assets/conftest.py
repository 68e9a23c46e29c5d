"""What the tests of the graph's side start from."""

from pathlib import Path

import pytest

from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from tests.unit.mlops_assets.small_windows import land_small, small_dataset


@pytest.fixture
def dataset() -> Dataset:
    """The small contract."""
    return small_dataset()


@pytest.fixture
def store(tmp_path: Path, dataset: Dataset) -> WindowStore:
    """An empty window store."""
    return WindowStore(tmp_path / "windows", dataset)


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    """A landed file of 120 rows that hold the contract."""
    return land_small(tmp_path / "landing" / "2013-01.parquet", 120)

"""Contracts of a window that is one file, and of one that is several tables."""

from mlops_assets.domain.dataset import Dataset
from tests.unit.mlops_assets.small_windows import small_dataset

SOURCE = {"tables": ["users", "usage"], "key": "case_id", "labels": "truth"}


def one_file() -> Dataset:
    """A window is one file."""
    return small_dataset()


def tables(**source: object) -> Dataset:
    """A window is the tables `users` and `usage`, and later `truth`."""
    return small_dataset(source={**SOURCE, **source})

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mlops_assets.adapters.landing.landed_window import ROWS, SourceDown
from mlops_assets.adapters.landing.object_store import ObjectStoreLanding
from mlops_assets.domain.windows import WindowUnfit
from tests.unit.mlops_assets.adapters.landing.contracts import one_file, tables


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """The store in memory of fsspec, which is one for the process."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def test_an_empty_store_holds_no_windows(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """The sensor looks before anything was ever uploaded."""
    for dataset in (one_file(), tables()):
        landing = ObjectStoreLanding("memory://landing", dataset, tmp_path)
        assert landing.landed(now=0) == []
        assert landing.ignored() == []
    assert store.store == {}


def test_a_window_is_copied_while_it_is_read_and_no_longer(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """Also where reading it fails."""
    store.pipe("/landing/2024-01.csv", b"rows")
    store.pipe("/landing/2024-01.labels.csv", b"labels")
    store.pipe("/landing/not a window.csv", b"")
    landing = ObjectStoreLanding("memory://landing/", one_file(), tmp_path / "spool")
    assert landing.landed(now=0)[0].is_ready
    assert landing.ignored() == ["not a window.csv"]
    with landing.fetch("2024-01") as window:
        assert window.tables[ROWS].path.read_bytes() == b"rows"
        assert window.tables[ROWS].name == "2024-01.csv"
        assert window.labels is not None
        assert window.labels.path.read_bytes() == b"labels"
    assert list((tmp_path / "spool").iterdir()) == []
    with pytest.raises(ZeroDivisionError), landing.fetch("2024-01"):
        1 / 0  # noqa: B018
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("change", ["replace", "remove"])
def test_an_object_that_changes_while_it_is_read_is_noticed(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Half of one and half of another are no window."""
    store.pipe("/landing/2024-01.csv", b"old")
    landing = ObjectStoreLanding("memory://landing", one_file(), tmp_path / "spool")
    open_object = type(store).open

    def open_and_change(self: fsspec.AbstractFileSystem, path: str, *args: object, **kwargs: object) -> object:
        file = open_object(self, path, *args, **kwargs)
        store.rm(path)
        if change == "replace":
            store.pipe(path, b"new")
        return file

    monkeypatch.setattr(type(store), "open", open_and_change)
    with (
        pytest.raises(SourceDown, match=r"2024-01\.csv was replaced while it was read"),
        landing.fetch("2024-01"),
    ):
        pass
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_checksum_is_compared(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """As in a folder."""
    store.pipe("/landing/2024-01/users.csv", b"rows")
    store.pipe("/landing/2024-01/usage.csv", b"rows")
    store.pipe("/landing/2024-01/usage.csv.sha256", b"0" * 64)
    landing = ObjectStoreLanding("memory://landing", tables(), tmp_path / "spool")
    with pytest.raises(WindowUnfit, match=r"2024-01/usage\.csv has the SHA-256"), landing.fetch("2024-01"):
        pass

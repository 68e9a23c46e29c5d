"""Prevents that half a table is served, or that what a crash left is taken for one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mlops_assets.adapters.feature_rows import FeatureRow
from mlops_assets.adapters.feature_store import FileFeatureStore
from serving.feature_file import FeatureFile
from serving.feature_table import FILE
from tests.unit.serving.feature_tables import AS_OF, META, ROW, manifest, write_table

STORED = msgspec.json.encode(ROW).decode()


def row(entity: str, as_of: float = AS_OF) -> FeatureRow:
    """A row of the table."""
    return entity, round(as_of * 1e6), STORED


def test_batches_become_one_table_that_says_what_was_counted(tmp_path: Path) -> None:
    store = FileFeatureStore(tmp_path / "releases")
    with store.taken() as table:
        assert table.meta is None
        written = table.replace(META, [[row("a", 30), row("b", 10)], [row("c", 20)]])
    assert (written.entities, written.oldest_as_of, written.newest_as_of) == (
        3, "1970-01-01T00:00:10Z", "1970-01-01T00:00:30Z",
    )  # fmt: skip
    with store.taken() as table:
        assert table.meta == written
    found = FeatureFile(store.path).find("c", manifest(), now=20)
    assert found.features == ROW


def test_a_window_without_entities_makes_an_empty_table(tmp_path: Path) -> None:
    with FileFeatureStore(tmp_path).taken() as table:
        assert table.replace(META, []).entities == 0
    assert FeatureFile(tmp_path / FILE).meta.oldest_as_of is None


def test_a_build_that_fails_leaves_the_table_before_and_nothing_else(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    before = path.read_bytes()

    def failing() -> Iterator[list[FeatureRow]]:
        yield [row("a")]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), FileFeatureStore(tmp_path).taken() as table:
        table.replace(META, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_that_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    """Prevents that a person must delete what the graph can build anew."""
    (tmp_path / FILE).write_text("no database")
    with FileFeatureStore(tmp_path).taken() as table:
        assert table.meta is None
        table.replace(META, [[row("a")]])
    assert FeatureFile(tmp_path / FILE).meta.entities == 1


def test_of_two_who_want_to_replace_it_one_waits_and_sees_the_others(tmp_path: Path) -> None:
    """Prevents that a late window which began first ends last, over a newer one."""
    store = FileFeatureStore(tmp_path)
    seen: list[object] = []

    def second() -> None:
        with store.taken() as table:
            seen.append(table.meta and table.meta.window)

    with store.taken() as table:
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        assert not seen
        table.replace(META, [[row("a")]])
    waiting.join(10)
    assert seen == ["2023-11"]

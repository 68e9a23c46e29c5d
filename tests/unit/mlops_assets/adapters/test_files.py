import os
from pathlib import Path

import pytest

from mlops_assets.adapters.files import file_in_one_piece, folder_in_one_piece, write_atomically


def names_in(folder: Path) -> set[str]:
    """What lies in a folder, hidden names too."""
    return {path.name for path in folder.iterdir()}


def test_a_written_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    """Temporary files would fill the folder, and a reader of the folder would meet them."""
    for content in (b"first", b"second, and longer", b""):
        write_atomically(tmp_path / "pointer.json", content)
        assert (tmp_path / "pointer.json").read_bytes() == content
        assert names_in(tmp_path) == {"pointer.json"}


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not cost what was there."""
    path = tmp_path / "pointer.json"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == {"pointer.json"}


def test_a_large_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Prevents that a reader meets a part of it, or that a failure costs what was there before."""
    target = tmp_path / "scores.parquet"
    for content in (b"first", b"second"):
        before = target.read_bytes() if target.exists() else None
        with file_in_one_piece(target) as beside:
            beside.write_bytes(content)
            assert (target.read_bytes() if target.exists() else None) == before
        assert target.read_bytes() == content
    with pytest.raises(FileNotFoundError), file_in_one_piece(target) as beside:
        (beside.parent / "away").rename(beside)
    assert target.read_bytes() == b"second"
    assert names_in(tmp_path) == {"scores.parquet"}


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    """A reader must never see half of it."""
    target = tmp_path / "releases" / "1"
    with folder_in_one_piece(target) as folder:
        (folder / "a").write_bytes(b"a")
        assert not target.exists()
        (folder / "b").write_bytes(b"b")
    assert names_in(target) == {"a", "b"}
    assert names_in(target.parent) == {"1"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    """A cancelled run must not leave a folder that the next one takes for a whole one."""

    def fill_half() -> None:
        with folder_in_one_piece(tmp_path / "1") as folder:
            (folder / "a").write_bytes(b"a")
            raise failure

    with pytest.raises(failure):
        fill_half()
    assert names_in(tmp_path) == set()


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Folders are named by what they hold: a reader may have the old one open."""
    target = tmp_path / "1"
    target.mkdir()
    (target / "a").write_bytes(b"old")
    with folder_in_one_piece(target) as folder:
        (folder / "a").write_bytes(b"new")
    assert (target / "a").read_bytes() == b"old"
    assert names_in(tmp_path) == {"1"}


def test_a_folder_that_is_not_whole_is_replaced(tmp_path: Path) -> None:
    """One that is stays, be it that it became so meanwhile."""
    target = tmp_path / "1"
    target.mkdir()
    (target / "b").write_bytes(b"old")
    for content, left in ((b"new", b"new"), (b"newer", b"new")):
        with folder_in_one_piece(target, is_whole=lambda folder: (folder / "a").exists()) as folder:
            (folder / "a").write_bytes(content)
            assert not (target / "a").exists() or left != content
        assert (target / "a").read_bytes() == left
        assert names_in(target) == {"a"}
        assert names_in(tmp_path) == {"1"}


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a crash of the machine leaves the name, and less than the files under it."""
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr("os.fsync", lambda opened: synced.append((os.fstat(opened).st_ino, (tmp_path / "1").exists())))
    with folder_in_one_piece(tmp_path / "1") as folder:
        (folder / "a").write_bytes(b"a")
        (folder / "b").write_bytes(b"b")
        inside = {path.stat().st_ino for path in (folder, *folder.iterdir())}
    assert {inode for inode, has_its_name in synced if not has_its_name} == inside
    assert synced[-1] == (tmp_path.stat().st_ino, True)

import os
import shutil
from pathlib import Path
from typing import IO, Any

import pytest

from mlops_assets.adapters.landing import Landing
from mlops_assets.domain.landing import next_to_take
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit
from tests.unit.mlops_assets.small_windows import land_small


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """An empty landing folder."""
    (tmp_path / "landing").mkdir()
    return Landing(tmp_path / "landing")


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A window's file, elsewhere."""
    return land_small(tmp_path / "elsewhere" / "2013-01.parquet", 20)


def test_a_folder_that_is_not_there_holds_no_windows(tmp_path: Path) -> None:
    """The sensor looks before the user ever dropped anything."""
    landing = Landing(tmp_path / "not" / "yet")
    assert landing.files(now=0) == []
    assert landing.ignored() == []


def test_windows_are_listed_oldest_period_first(landing: Landing, month: Path) -> None:
    """Whatever the order they were dropped in."""
    for window in ("2013-03", "2013-01", "2013-02"):
        landing.add(month, window)
    assert [file.window for file in landing.files(now=0)] == ["2013-01", "2013-02", "2013-03"]
    assert landing.ignored() == []


def test_what_can_name_no_window_is_ignored_and_said(landing: Landing, month: Path, tmp_path: Path) -> None:
    """A wrong name must be visible as such; a hidden file is a tool's own and is not."""
    for name in ("2013 01.parquet", "2013-01.csv", "2013-02.parquet.part", "jänner.parquet", "a.b.parquet"):
        (landing.folder / name).write_bytes(month.read_bytes())
    (landing.folder / "2013-03.parquet").mkdir()
    (landing.folder / "2013-04.parquet").symlink_to(month)
    (landing.folder / "2013-05.parquet").symlink_to(tmp_path / "nowhere")
    for hidden in (".2013-01.parquet", ".2013-01.parquet.tmp", ".DS_Store"):
        (landing.folder / hidden).write_bytes(month.read_bytes())
    assert landing.files(now=0) == []
    assert landing.ignored() == [
        "2013 01.parquet",
        "2013-01.csv",
        "2013-02.parquet.part",
        "2013-03.parquet",
        "2013-04.parquet",
        "2013-05.parquet",
        "a.b.parquet",
        "jänner.parquet",
    ]


def test_a_file_is_told_from_its_former_self(landing: Landing, month: Path) -> None:
    """A corrected window is seen by its fingerprint, and only then."""
    target = landing.add(month)
    first, again = landing.files(now=0)[0], landing.files(now=99)[0]
    assert first.fingerprint == again.fingerprint
    stat = target.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert landing.files(now=0)[0].fingerprint != first.fingerprint
    target.write_bytes(month.read_bytes() + b"x")
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert landing.files(now=0)[0].fingerprint != first.fingerprint


def test_a_files_age_counts_from_its_last_write(landing: Landing, month: Path) -> None:
    """The rule waits by it for a writer to finish."""
    target = landing.add(month)
    os.utime(target, (1000, 1000))
    assert landing.files(now=1007.5)[0].age_seconds == 7.5


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR", b"PAR1....", b"....PAR1"])
def test_half_a_file_does_not_look_complete(landing: Landing, content: bytes) -> None:
    """A Parquet file begins and ends with its mark; a CSV cut in two would read silently."""
    (landing.folder / "2013-01.parquet").write_bytes(content)
    assert landing.files(now=0)[0].looks_complete is False


def test_a_file_written_in_pieces_is_taken_when_it_is_whole(landing: Landing, month: Path) -> None:
    """`cp` into the folder is how users drop files."""
    target = landing.folder / "2013-01.parquet"
    content = month.read_bytes()
    for end in (1, len(content) // 2, len(content) - 1):
        target.write_bytes(content[:end])
        assert next_to_take(landing.files(now=target.stat().st_mtime), {}) is None
    target.write_bytes(content)
    taken = next_to_take(landing.files(now=target.stat().st_mtime), {})
    assert taken is not None
    assert taken.looks_complete


def test_an_added_file_lands_whole_under_its_windows_name(landing: Landing, month: Path, tmp_path: Path) -> None:
    """Nothing else is left in the folder, which is made where it is missing."""
    fresh = Landing(tmp_path / "fresh" / "landing")
    for into in (landing, fresh):
        assert into.add(month) == into.folder / "2013-01.parquet"
        assert into.add(month, "2014-01") == into.folder / "2014-01.parquet"
        assert (into.folder / "2013-01.parquet").read_bytes() == month.read_bytes()
        assert sorted(path.name for path in into.folder.iterdir()) == ["2013-01.parquet", "2014-01.parquet"]


def test_a_file_that_is_no_parquet_is_not_added(landing: Landing, month: Path, tmp_path: Path) -> None:
    """It would only fail later, in a run."""
    csv = tmp_path / "2013-01.csv"
    csv.write_bytes(month.read_bytes())
    truncated = tmp_path / "2013-02.parquet"
    truncated.write_bytes(month.read_bytes()[:-1])
    for file, said in ((csv, "its name must end in .parquet"), (truncated, "is not a complete Parquet file")):
        with pytest.raises(WindowUnfit, match=said):
            landing.add(file)
    with pytest.raises(WindowUnfit, match="there is no such file"):
        landing.add(tmp_path / "missing.parquet")
    assert list(landing.folder.iterdir()) == []


@pytest.mark.parametrize("window", ["../2013-01", "a/b", "", "2013-01\n"])
def test_a_window_lands_in_the_folder_and_nowhere_else(landing: Landing, month: Path, window: str) -> None:
    """A name with a way in it would overwrite files elsewhere."""
    with pytest.raises(WindowNameInvalid):
        landing.path_of(window)
    if window:
        with pytest.raises(WindowNameInvalid):
            landing.add(month, window)
    assert list(landing.folder.iterdir()) == []


def test_a_landed_window_is_not_overwritten(landing: Landing, month: Path, tmp_path: Path) -> None:
    """Its bytes may be what production learned from."""
    target = landing.add(month)
    before = target.read_bytes()
    other = land_small(tmp_path / "other" / "2013-01.parquet", 30)
    with pytest.raises(WindowUnfit, match=r"2013-01\.parquet has landed already; remove it"):
        landing.add(other)
    assert target.read_bytes() == before
    assert len(list(landing.folder.iterdir())) == 1


def test_a_name_that_is_taken_while_the_file_is_copied_is_not_overwritten(
    landing: Landing, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that add a window at the same time one must be told, and not with a bare OSError."""
    copy = shutil.copyfile

    def copy_while_another_lands(source: Path, to: Path) -> None:
        copy(source, to)
        landing.path_of("2013-01").write_bytes(b"theirs")

    monkeypatch.setattr("shutil.copyfile", copy_while_another_lands)
    with pytest.raises(WindowUnfit, match="has landed already"):
        landing.add(month)
    assert [path.name for path in landing.folder.iterdir()] == ["2013-01.parquet"]
    assert landing.path_of("2013-01").read_bytes() == b"theirs"


def test_two_that_add_a_window_at_the_same_time_do_not_mix(
    landing: Landing, month: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was first lands whole, while the other is still writing."""
    other = land_small(tmp_path / "other" / "2013-01.parquet", 30)
    copy = shutil.copyfile

    def copy_slowly(source: Path, to: Path) -> None:
        monkeypatch.setattr("shutil.copyfile", copy)
        content = source.read_bytes()
        with to.open("wb") as file:
            file.write(content[:100])
            file.flush()
            landing.add(month)
            file.write(content[100:])

    monkeypatch.setattr("shutil.copyfile", copy_slowly)
    with pytest.raises(WindowUnfit, match="has landed already"):
        landing.add(other)
    assert landing.path_of("2013-01").read_bytes() == month.read_bytes()
    assert [path.name for path in landing.folder.iterdir()] == ["2013-01.parquet"]


@pytest.mark.parametrize("step", ["shutil.copyfile", "os.link"])
def test_a_copy_that_fails_is_told_with_its_reason(
    landing: Landing, month: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk, or a file system without hard links; nothing is left in the folder."""
    copy = shutil.copyfile

    def fail(source: Path, to: Path) -> None:
        if step == "shutil.copyfile":
            copy(source, to)
        raise OSError("not possible here")

    monkeypatch.setattr(step, fail)
    with pytest.raises(WindowUnfit, match=r"2013-01\.parquet cannot be copied into .*: not possible here"):
        landing.add(month)
    assert list(landing.folder.iterdir()) == []


def test_a_file_that_cannot_be_opened_stops_no_other_window(
    landing: Landing, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken up once it has settled, and its check says why it cannot be read."""
    unreadable = landing.add(month)
    landing.add(month, "2013-02")
    refuse(monkeypatch, unreadable, PermissionError)
    files = landing.files(now=unreadable.stat().st_mtime + 11)
    assert [(file.window, file.looks_complete) for file in files] == [("2013-01", False), ("2013-02", True)]
    taken = next_to_take(files, {})
    assert taken is not None
    assert taken.path == unreadable


def test_a_file_that_vanishes_is_left_out(landing: Landing, month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users move files while the sensor looks."""
    vanished = landing.add(month)
    landing.add(month, "2013-02")
    refuse(monkeypatch, vanished, FileNotFoundError)
    assert [file.window for file in landing.files(now=0)] == ["2013-02"]


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Path, error: type[OSError]) -> None:
    """Lets one file fail to open: permissions would not stop a test that runs as root."""
    open_file = Path.open

    def open_or_fail(path: Path, mode: str = "r") -> IO[Any]:
        if path == refused:
            raise error(path.name)
        return open_file(path, mode)

    monkeypatch.setattr(Path, "open", open_or_fail)

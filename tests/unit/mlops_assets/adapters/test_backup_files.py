import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pytest

from mlops_assets.adapters.backup_archive import Archive, members_of, new_archive, verify
from mlops_assets.adapters.backup_files import StateFiles, make_folders, place, sweep
from mlops_assets.domain.backup import BackupFailed, BackupInvalid, Member
from serving.segment import Segment, seal_abandoned
from tests.unit.mlops_assets.domain.test_backup import a_manifest
from tests.unit.mlops_assets.log_segments import answer, lines_of, seal

STEM = "20240305T000000000000Z-0123456789abcdef-7"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with nothing in it."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def write(path: Path, content: bytes = b"") -> Path:
    """A file, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def uncopied(path: Path) -> AbstractContextManager[IO[bytes]]:
    """For states without a database."""
    raise AssertionError(f"{path} is no database")


def backed_up(files: StateFiles, to: Path, *, added: Callable[[Archive], object] = lambda _: None) -> dict[str, bytes]:
    """What a backup of the files holds, by path in the state folder."""
    with new_archive(to, added=added) as archive:
        files.add_log(archive, files.state / "prediction_log")
        files.add_rest(archive, copied=uncopied)
        archive.finish(a_manifest(members=archive.members))
    verify(to)
    return {name.removeprefix("state/"): file.read() for name, file in members_of(to)}


def test_what_belongs_to_it_is_in_it(state: Path, tmp_path: Path) -> None:
    write(state / "dataset", b"small")
    write(state / "windows" / "2024-01" / "0123" / "clean.parquet", b"rows")
    write(state / "windows" / "2024-01" / ".4567.ab.tmp" / "clean.parquet", b"half")
    write(state / "lock")
    assert backed_up(StateFiles(state), tmp_path / "b.tar") == {
        "dataset": b"small",
        "windows/2024-01/0123/clean.parquet": b"rows",
    }


def test_what_is_copied_otherwise_is_not(state: Path, tmp_path: Path) -> None:
    ledger = write(state / "ledger.db")
    write(state / "dataset", b"small")
    assert backed_up(StateFiles(state, besides=[ledger]), tmp_path / "b.tar").keys() == {"dataset"}


def test_a_link_is_neither_followed_nor_forgotten(state: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "secret", b"secret")
    (state / "landing").symlink_to(tmp_path / "elsewhere")
    (state / "dataset").symlink_to(tmp_path / "elsewhere" / "secret")
    os.mkfifo(state / "pipe")
    files = StateFiles(state)
    assert backed_up(files, tmp_path / "b.tar") == {}
    assert files.left_out == ["dataset", "landing", "pipe"]


def test_a_version_that_a_record_names_is_there(state: Path, tmp_path: Path) -> None:
    """Between any two files a window lands again: its new version is written, then the record that names it."""
    window = state / "windows" / "2024-01"
    write(state / "dataset", b"small")
    write(window / "0" / "window.json")
    write(window / "current.json", b"0")
    landed = iter(range(1, 100))

    def lands(_: object) -> None:
        version = next(landed)
        write(window / str(version) / "window.json")
        write(window / "current.json", str(version).encode())

    lands(None)
    held = backed_up(StateFiles(state), tmp_path / "b.tar", added=lands)
    assert f"windows/2024-01/{held['windows/2024-01/current.json'].decode()}/window.json" in held
    assert len(held) > 3, "nothing landed meanwhile"


def test_a_file_that_goes_meanwhile_is_left_out(state: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(state / "requeued" / name)

    def goes(_: object) -> None:
        (state / "requeued" / "b").unlink(missing_ok=True)

    assert backed_up(StateFiles(state), tmp_path / "b.tar", added=goes).keys() == {"requeued/a", "requeued/c"}


def test_a_segment_that_is_sealed_meanwhile_is_in_it_once(state: Path, tmp_path: Path) -> None:
    """The first of two is added, and then both are sealed: the second has another name than when it was looked for."""
    log = state / "serving" / "log"
    segments = [Segment(log, f"{STEM}{number}") for number in (0, 1)]
    for number, segment in enumerate(segments):
        segment.append(lines_of([answer(str(number))]))

    def seals(_: object) -> None:
        while segments:
            segments.pop().seal()

    held = backed_up(StateFiles(state), tmp_path / "b.tar", added=seals)
    assert sorted(held.values()) == [lines_of([answer("0")]), lines_of([answer("1")])]
    assert [name.rpartition(".")[2] for name in held] == ["open", "jsonl"]


def test_an_open_segment_is_sealed_where_it_is_restored(state: Path, tmp_path: Path) -> None:
    """Half a line was never answered."""
    whole = lines_of([answer("1"), answer("2")])
    write(state / "serving" / "log" / f"{STEM}.open", whole + b'{"kind":"pred')
    held = backed_up(StateFiles(state), tmp_path / "b.tar")
    log = write(tmp_path / "other" / f"{STEM}.open", held[f"serving/log/{STEM}.open"]).parent
    assert seal_abandoned(log) == len(b'{"kind":"pred')
    assert [path.read_bytes() for path in log.iterdir()] == [whole]


def test_the_service_s_sealed_and_broken_segments_are_in_it(state: Path, tmp_path: Path) -> None:
    sealed = seal(state / "serving" / "log", [answer("1")])
    write(state / "serving" / "log" / "broken" / "a.jsonl", b"x")
    write(state / "prediction_log" / "a" / "labels.parquet", b"y")
    held = backed_up(StateFiles(state), tmp_path / "b.tar")
    assert held == {
        f"serving/log/{sealed.name}": lines_of([answer("1")]),
        "serving/log/broken/a.jsonl": b"x",
        "prediction_log/a/labels.parquet": b"y",
    }


def test_what_cannot_be_read_ends_the_backup() -> None:
    """A backup with less in it would be found out when it is needed."""
    with TemporaryDirectory() as folder:  # every user can look into it, unlike pytest's own
        Path(folder).chmod(0o777)
        write(Path(folder) / "state" / "keys.json").chmod(0)
        with another_user(), pytest.raises(BackupFailed, match=r"keys\.json cannot be read"):
            backed_up(StateFiles(Path(folder) / "state"), Path(folder) / "b.tar")


def test_folders_are_made_with_their_modes(state: Path, tmp_path: Path) -> None:
    (state / "serving" / "log").mkdir(parents=True)
    (state / "serving" / "log").chmod(0o700)
    (state / "landing").mkdir()
    (state / "spool").mkdir()
    folders = StateFiles(state).folders()
    assert folders.keys() == {"serving", "serving/log", "landing"}
    make_folders(tmp_path, folders)
    assert stat.S_IMODE((tmp_path / "serving" / "log").stat().st_mode) == 0o700
    assert (tmp_path / "landing").is_dir()


def test_a_file_is_placed_with_its_mode_and_time(tmp_path: Path) -> None:
    """To the nanosecond: a landing folder tells by it whether it has seen a file."""
    whole = Member(
        size=1,
        sha256="ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        mode=0o640,
        mtime_ns=10**18 + 1,
    )
    place(io.BytesIO(b"a"), tmp_path / "folder" / "a", whole)
    status = (tmp_path / "folder" / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, 10**18 + 1)
    with pytest.raises(BackupInvalid, match="was changed since it was verified"):
        place(io.BytesIO(b"b"), tmp_path / "b", whole)
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_as_root_what_is_placed_is_its_folder_s_owner_s(tmp_path: Path) -> None:
    """A volume is the loop's user's, and a restore may run as root."""
    shutil.chown(tmp_path, user=12345, group=12346)
    make_folders(tmp_path, {"releases": 0o755})
    empty = Member(
        size=0, sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", mode=0o600, mtime_ns=1
    )
    place(io.BytesIO(), tmp_path / "releases" / "a", empty)
    for path in (tmp_path / "releases", tmp_path / "releases" / "a"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_only_what_a_restore_would_mix_with_its_own_is_found(state: Path) -> None:
    files = StateFiles(state)
    (state / "releases").mkdir()
    write(state / "lock")
    write(state / "logs" / "code.log")
    seal(state / "serving" / "log", [answer("1")])  # by a service that goes on answering
    assert files.first_found() is None
    pointer = write(state / "releases" / "production.json")
    assert files.first_found() == pointer
    pointer.unlink()
    (state / "landing").symlink_to("/")
    assert files.first_found() == state / "landing"


def test_what_a_killed_restore_was_writing_is_removed(state: Path) -> None:
    write(state / "windows" / ".a.0123.tmp")
    kept = write(state / "windows" / "a.tmp")
    sweep(state)
    assert [path for path in state.rglob("*") if path.is_file()] == [kept]


@contextmanager
def another_user() -> Iterator[None]:
    """Root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(before)

import errno
import hashlib
import os
from pathlib import Path

import pytest

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import ROWS, SourceDown
from mlops_assets.domain.landing import SETTLED_SECONDS, next_to_take
from mlops_assets.domain.windows import WindowUnfit
from tests.unit.mlops_assets.adapters.landing.contracts import one_file, tables
from tests.unit.mlops_assets.small_windows import land_small


@pytest.fixture
def landing(tmp_path: Path) -> FolderLanding:
    """An empty landing folder, for windows that are one file."""
    (tmp_path / "landing").mkdir()
    return FolderLanding(tmp_path / "landing", one_file())


@pytest.fixture
def of_tables(tmp_path: Path) -> FolderLanding:
    """The same folder, for windows of several tables."""
    (tmp_path / "landing").mkdir(exist_ok=True)
    return FolderLanding(tmp_path / "landing", tables())


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A window's file, elsewhere."""
    return land_small(tmp_path / "elsewhere" / "2013-01.parquet", 20)


def write(path: Path, content: str = "case_id\n1\n") -> Path:
    """A small CSV file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def digest(path: Path) -> str:
    """As `sha256sum` gives it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "said"),
    [("a_file", "a_file cannot be read: Not a directory"), ("not/yet", "not/yet is not there; mount or make it")],
)
def test_a_folder_that_cannot_be_read_is_down(tmp_path: Path, name: str, said: str) -> None:
    """Not empty: its windows are still somewhere, and the user must hear of it."""
    write(tmp_path / "a_file")
    landing = FolderLanding(tmp_path / name, one_file())
    for look in (lambda: landing.landed(now=0), landing.ignored, lambda: landing.fetch("a").__enter__()):
        with pytest.raises(SourceDown, match=said):
            look()


def test_a_window_is_fetched_where_it_is(landing: FolderLanding, month: Path) -> None:
    """Nothing is copied; hash and stamp are those of the file."""
    target = landing.add(month)
    labels = write(landing.folder / "2013-01.labels.csv", "case_id,late\n1,true\n")
    with landing.fetch("2013-01") as window:
        rows = window.tables[ROWS]
        assert (rows.path, rows.name, rows.format) == (target, "2013-01.parquet", "parquet")
        assert rows.sha256 == digest(month)
        assert window.labels is not None
        assert (window.labels.path, window.labels.format, window.labels.sha256) == (labels, "csv", digest(labels))
        assert window.landed_at == pytest.approx(labels.stat().st_mtime, abs=1e-3)
        window.demand_unchanged()


def test_a_window_of_tables_is_fetched_with_its_labels(of_tables: FolderLanding) -> None:
    """Each by the contract's name, and what the contract does not speak of is said."""
    for name in ("usage.csv", "users.csv", "truth.csv", "notes.txt"):
        write(of_tables.folder / "2024-01" / name, name)
    with of_tables.fetch("2024-01") as window:
        assert list(window.tables) == ["users", "usage"]
        assert window.tables["users"].name == "2024-01/users.csv"
        assert window.labels is not None
        assert window.labels.path.read_text() == "truth.csv"
        assert window.ignored == ("notes.txt",)


def test_tables_are_waited_for_and_labels_are_not(of_tables: FolderLanding) -> None:
    """The labels change the window when they come."""
    users = write(of_tables.folder / "2024-01" / "users.csv")
    waiting = of_tables.landed(now=1e12)[0]
    assert waiting.waits_for == "the table usage"
    with pytest.raises(SourceDown, match="it waits for the table usage"), of_tables.fetch("2024-01"):
        pass
    write(users.with_name("usage.csv"))
    ready = of_tables.landed(now=1e12)[0]
    assert ready.is_ready
    write(users.with_name("truth.csv"))
    assert of_tables.landed(now=1e12)[0].fingerprint != ready.fingerprint


def test_labels_alone_are_no_window(landing: FolderLanding) -> None:
    """They may have been dropped first."""
    write(landing.folder / "2024-01.labels.csv")
    assert landing.landed(now=1e12)[0].waits_for == "the window itself (only its labels have landed)"


def test_half_a_file_does_not_look_complete(landing: FolderLanding, month: Path) -> None:
    """`cp` into the folder is how users drop files; Parquet is complete when its end is there."""
    target = landing.folder / "2013-01.parquet"
    content = month.read_bytes()
    for part in (b"", b"PAR1", b"PAR1PAR", b"PAR1....", b"....PAR1", content[:1], content[: len(content) // 2]):
        target.write_bytes(part)
        assert next_to_take(landing.landed(now=target.stat().st_mtime), {}) is None
    target.write_bytes(content)
    taken = next_to_take(landing.landed(now=target.stat().st_mtime), {})
    assert taken is not None
    assert taken.looks_complete


def test_a_csv_file_is_taken_once_it_has_settled(landing: FolderLanding) -> None:
    """A CSV file cut in two reads as a smaller one."""
    written = write(landing.folder / "2024-01.csv").stat().st_mtime
    assert next_to_take(landing.landed(now=written + SETTLED_SECONDS - 0.1), {}) is None
    assert next_to_take(landing.landed(now=written + SETTLED_SECONDS + 0.1), {}) is not None


def test_a_time_to_come_keeps_no_file_from_settling(landing: FolderLanding) -> None:
    """A copy that keeps times, from a machine whose clock is ahead."""
    target = write(landing.folder / "2024-01.csv")
    now = target.stat().st_mtime
    os.utime(target, (now + 86400, now + 86400))
    assert landing.landed(now=now + SETTLED_SECONDS + 1)[0].is_ready


def test_a_file_is_told_from_its_former_self(landing: FolderLanding, month: Path) -> None:
    """A corrected window is seen by its fingerprint, and only then."""
    target = landing.add(month)
    first, again = landing.landed(now=0)[0], landing.landed(now=99)[0]
    assert first.fingerprint == again.fingerprint
    status = target.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert landing.landed(now=0)[0].fingerprint != first.fingerprint
    target.write_bytes(month.read_bytes() + b"x")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert landing.landed(now=0)[0].fingerprint != first.fingerprint


def test_a_checksum_is_compared(landing: FolderLanding) -> None:
    """A CSV file with one is taken at once; where it differs, not read, and the error has both."""
    target = write(landing.folder / "2024-01.csv")
    checksum = write(landing.folder / "2024-01.csv.sha256", f"{digest(target)}  2024-01.csv\n")
    assert landing.landed(now=target.stat().st_mtime)[0].is_ready
    with landing.fetch("2024-01") as window:
        assert window.tables[ROWS].sha256 == digest(target)
    write(checksum, f"{'0' * 64}  2024-01.csv\n")
    with (
        pytest.raises(WindowUnfit, match=rf"2024-01\.csv has the SHA-256 {digest(target)}, .* says {'0' * 64}"),
        landing.fetch("2024-01"),
    ):
        pass


def test_links_pipes_and_odd_names_are_ignored_and_said(landing: FolderLanding, month: Path, tmp_path: Path) -> None:
    """A link may lead anywhere; a pipe would hold the sensor for ever."""
    (landing.folder / "2013-04.parquet").symlink_to(month)
    (landing.folder / "2013-05.parquet").symlink_to(tmp_path / "nowhere")
    (landing.folder / "2013-06.csv").mkdir()
    os.mkfifo(landing.folder / "2013-07.csv")
    for name in ("2013 01.csv", "2013-01\n.csv", "x" * 251 + ".csv", "2013-02.CSV", ".hidden.csv", "2013-03.csv.part"):
        write(landing.folder / name)
    (landing.folder / os.fsdecode(b"\xff.csv")).write_bytes(b"")
    assert landing.landed(now=0) == []
    assert landing.ignored() == [
        "2013 01.csv",
        "'2013-01\\n.csv'",
        "2013-02.CSV",
        "2013-04.parquet",
        "2013-05.parquet",
        "2013-06.csv",
        "2013-07.csv",
        "x" * 251 + ".csv",
        "'\\udcff.csv'",
    ]


def test_no_link_or_pipe_is_part_of_a_window_of_tables(of_tables: FolderLanding, tmp_path: Path) -> None:
    """Neither in place of its folder nor of a table."""
    (of_tables.folder / "2024-01").symlink_to(write(tmp_path / "secret" / "users.csv").parent)
    assert of_tables.landed(now=0) == []
    assert of_tables.ignored() == ["2024-01"]
    inside = write(of_tables.folder / "2024-02" / "notes.txt").parent
    (inside / "users.csv").symlink_to(tmp_path / "secret" / "users.csv")
    os.mkfifo(inside / "usage.csv")
    assert of_tables.landed(now=0)[0].waits_for == "the tables users, usage"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_what_takes_a_files_name_after_the_look_is_not_opened(
    landing: FolderLanding, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between listing and reading, anybody who may write into the folder can swap a file."""
    assert callable(make)
    target = write(landing.folder / "2024-01.csv")
    entries = landing._entries()
    target.unlink()
    make(target)
    monkeypatch.setattr(landing, "_entries", lambda: entries)
    with pytest.raises(WindowUnfit, match=r"2024-01\.csv is (a link|not a regular file)"), landing.fetch("2024-01"):
        pass


def test_a_file_replaced_while_it_is_read_is_noticed(landing: FolderLanding, month: Path, tmp_path: Path) -> None:
    """What was hashed is not what was read."""
    landing.add(month)
    other = land_small(tmp_path / "other" / "2013-01.parquet", 30)
    with landing.fetch("2013-01") as window:
        landing.add(other, replace=True)
        with pytest.raises(SourceDown, match=r"2013-01\.parquet was written to while it was read"):
            window.demand_unchanged()


def test_a_file_written_to_while_it_is_hashed_is_noticed(
    landing: FolderLanding, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash would be of bytes that nobody will find again."""
    target = landing.add(month)
    status = os.fstat

    def write_before_the_second(descriptor: int) -> os.stat_result:
        if os.lseek(descriptor, 0, os.SEEK_CUR):
            with target.open("ab") as file:
                file.write(b"more")
        return status(descriptor)

    monkeypatch.setattr(os, "fstat", write_before_the_second)
    with pytest.raises(SourceDown, match="was written to while it was read"), landing.fetch("2013-01"):
        pass


def test_a_window_that_is_gone_is_no_bad_window(landing: FolderLanding) -> None:
    """As behind a mount point when its disk is away; it comes back as it was, and nobody would look at it again."""
    with pytest.raises(SourceDown, match=r"2013-01 is not in .*; it was removed"), landing.fetch("2013-01"):
        pass


def test_a_file_that_cannot_be_opened_stops_no_other_window(
    landing: FolderLanding, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken up once it has settled, and fetching it says why it cannot be read now."""
    unreadable = landing.add(month)
    landing.add(month, "2013-02")
    open_file = os.open

    def refuse(path: Path, flags: int) -> int:
        if path == unreadable:
            raise PermissionError(13, "Permission denied")
        return open_file(path, flags)

    monkeypatch.setattr(os, "open", refuse)  # permissions would not stop a test that runs as root
    looked_at = landing.landed(now=unreadable.stat().st_mtime + SETTLED_SECONDS)
    assert [(seen.window, seen.looks_complete) for seen in looked_at] == [("2013-01", False), ("2013-02", True)]
    assert next_to_take(looked_at, {}) == looked_at[0]
    with pytest.raises(SourceDown, match=r"2013-01\.parquet cannot be read: Permission denied"):
        landing.fetch("2013-01").__enter__()


def test_a_disk_that_fails_under_a_window_is_no_fault_of_it(
    landing: FolderLanding, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO, or ESTALE of a network's folder, when it is read and when it is looked at once more."""
    landing.add(month)
    with landing.fetch("2013-01") as window:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "lstat", stale)
            with pytest.raises(SourceDown, match=r"2013-01\.parquet was written to"):
                window.demand_unchanged()
        monkeypatch.setattr(hashlib, "file_digest", stale)
        with pytest.raises(SourceDown, match=r"2013-01\.parquet cannot be read: Stale file handle"):
            landing.fetch("2013-01").__enter__()


def stale(*_: object) -> None:
    """Stands in for a call to the system."""
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_labels_that_are_written_after_the_marker_must_settle(of_tables: FolderLanding) -> None:
    """Half of them look as whole as all of them; and so does a table that is corrected in place."""
    for name in ("users.csv", "usage.csv", "_SUCCESS"):
        path = write(of_tables.folder / "2024-01" / name)
        os.utime(path, (1000, 1000))
    assert of_tables.landed(now=1000)[0].is_ready
    labels = write(of_tables.folder / "2024-01" / "truth.csv", "case_id,late\n1,tr")
    now = labels.stat().st_mtime
    assert not of_tables.landed(now=now)[0].is_ready
    assert of_tables.landed(now=now + SETTLED_SECONDS + 1)[0].is_ready
    os.utime(labels, (999, 999))
    assert of_tables.landed(now=now)[0].is_ready, "renamed into place: its time is from before the marker"


def test_a_file_that_vanishes_is_left_out(landing: FolderLanding, month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users move files while the sensor looks."""
    vanished = landing.add(month)
    landing.add(month, "2013-02")
    look = Path.lstat

    def vanish(path: Path) -> os.stat_result:
        if path == vanished:
            path.unlink(missing_ok=True)
        return look(path)

    monkeypatch.setattr(Path, "lstat", vanish)
    assert [window.window for window in landing.landed(now=0)] == ["2013-02"]

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from mlops_assets.adapters.backup_archive import GZIP_HEADER, members_of, new_archive, verify
from mlops_assets.domain.backup import BackupFailed, BackupInvalid, Manifest, Member
from tests.unit.mlops_assets.domain.test_backup import a_manifest

FILES = {"databases/ledger": b"ledger" * 50, "state/dataset": b"small", "state/windows/2024-01/latest.json": b""}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A backup of three small files."""
    path = tmp_path / "b.tar"
    with new_archive(path, added=lambda _: None) as archive:
        for name, content in FILES.items():
            (tmp_path / "file").write_bytes(content)
            archive.add_file(name, tmp_path / "file")
        archive.finish(a_manifest(members=archive.members))
    return path


def packed(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """An archive as somebody else would make it, of any members."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for header, content in members:
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return path


def member(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    """A regular file."""
    return tarfile.TarInfo(name), content


def manifest_of(**files: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """A manifest that is right about these files, by their names without the folder `state`."""
    members = {
        f"state/{name}": Member(size=len(content), sha256=hashlib.sha256(content).hexdigest(), mode=0o644, mtime_ns=0)
        for name, content in files.items()
    }
    return member("manifest.json", a_manifest(members=members).model_dump_json().encode())


FORMAT = member("format", b"1\n")


def test_a_backup_is_verified_and_read_as_it_was_written(archive: Path) -> None:
    manifest = verify(archive)
    assert isinstance(manifest, Manifest)
    assert manifest.members.keys() == FILES.keys()
    assert {name: file.read() for name, file in members_of(archive)} == FILES


def test_a_backup_is_for_its_owner_alone(archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_a_plain_tar_reads_it(archive: Path) -> None:
    """Whoever has lost this software still gets at the files."""
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["format", *FILES, "manifest.json"]


def test_a_backup_that_was_cut_anywhere_is_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    for length in range(len(whole)):
        archive.write_bytes(whole[:length])
        with pytest.raises(BackupInvalid):
            verify(archive)


def test_a_backup_of_which_any_byte_was_changed_is_refused(archive: Path) -> None:
    """But for the few bytes that say the same in other words, as from how far back in a row of zeros one is copied."""
    whole = archive.read_bytes()
    refused = 0
    for place in range(len(whole)):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            verify(archive)
        except BackupInvalid:
            refused += 1
        else:
            assert gzip.decompress(archive.read_bytes()) == gzip.decompress(whole)
    assert refused > len(whole) - 5


def test_a_backup_with_something_after_its_end_is_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    for more in (b"more", gzip.compress(b"more")):
        archive.write_bytes(whole + more)
        with pytest.raises(BackupInvalid):
            verify(archive)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", GZIP_HEADER, gzip.compress(b"text")):
        (tmp_path / "b.tar").write_bytes(content)
        with pytest.raises(BackupInvalid):
            verify(tmp_path / "b.tar")


def test_a_newer_format_is_refused_before_its_members_are_judged(tmp_path: Path) -> None:
    newer = packed(tmp_path / "b.tar", [member("format", b"2\n"), member("elsewhere/a", b"a")])
    with pytest.raises(BackupInvalid, match="format 2, and this version reads 1"):
        verify(newer)


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    """By whatever spelling, and before the manifest, which could say the same of it."""
    for name in ("../evil", "/evil", "state/../../evil", "elsewhere/evil"):
        made = packed(tmp_path / "b.tar", [FORMAT, member(name, b"evil"), manifest_of()])
        with pytest.raises(BackupInvalid, match="evil' is no name of a backup's file"):
            verify(made)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    header, _ = member("state/a")
    header.type, header.linkname = kind, "dataset"
    with pytest.raises(BackupInvalid, match=r"is a link, a folder or a device"):
        verify(packed(tmp_path / "b.tar", [FORMAT, (header, b""), manifest_of(a=b"")]))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([FORMAT, member("state/a", b"a")], "it has no manifest"),
        ([FORMAT, member("state/a", b"a"), manifest_of()], "'state/a' is in the manifest alone or in the archive"),
        ([FORMAT, manifest_of(a=b"a")], "'state/a' is in the manifest alone or in the archive"),
        ([FORMAT, member("state/a", b"b"), manifest_of(a=b"a")], "'state/a' is not what the manifest says"),
        ([FORMAT, member("state/a", b"a"), member("state/a", b"a"), manifest_of(a=b"a")], "'state/a' is there twice"),
        ([FORMAT, manifest_of(), member("state/a", b"a")], "'state/a' comes after its manifest"),
        ([member("state/a", b"a"), FORMAT, manifest_of(a=b"a")], "it says no format"),
    ],
)
def test_an_archive_that_is_not_what_its_manifest_says_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    with pytest.raises(BackupInvalid, match=said):
        verify(packed(tmp_path / "b.tar", members))


def test_a_file_that_grows_is_kept_as_long_as_it_was(tmp_path: Path) -> None:
    growing = tmp_path / "growing"
    growing.write_bytes(b"as it was")
    with new_archive(tmp_path / "b.tar", added=lambda _: None) as archive, growing.open("rb") as file:
        status = os.fstat(file.fileno())
        with growing.open("ab") as more:
            more.write(b", and more")
        archive.add("state/growing", file, status)
        archive.finish(a_manifest(members=archive.members))
    verify(tmp_path / "b.tar")
    assert {name: file.read() for name, file in members_of(tmp_path / "b.tar")} == {"state/growing": b"as it was"}


def test_a_file_that_shrinks_ends_the_backup(tmp_path: Path) -> None:
    (tmp_path / "shrinking").write_bytes(b"long")
    with (
        new_archive(tmp_path / "b.tar", added=lambda _: None) as archive,
        (tmp_path / "shrinking").open("rb") as file,
    ):
        status = os.fstat(file.fileno())
        os.truncate(tmp_path / "shrinking", 1)
        with pytest.raises(BackupFailed, match="became shorter"):
            archive.add("state/shrinking", file, status)

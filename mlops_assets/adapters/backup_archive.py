"""A backup as one file: a compressed tar whose first member tells its format and whose last one is its manifest.

Here belong writing, verifying and reading it. What goes into it belongs to `backup_databases` and `backup_files`.
"""

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import IO

from mlops_assets.domain.backup import (
    FORMAT,
    FORMAT_MEMBER,
    MANIFEST_MEMBER,
    BackupFailed,
    BackupInvalid,
    Manifest,
    Member,
    demand_format,
    demand_inside,
    read_manifest,
)

LEVEL = 1
"""Windows and models are compressed already; of the databases this makes a fifth at ten times the speed of 9."""
MOST_MANIFEST_BYTES = 1 << 30
CHUNK = 1 << 20


class Archive:
    """An archive while it is written."""

    def __init__(self, tar: tarfile.TarFile, added: Callable[["Archive"], object]) -> None:
        self._tar = tar
        self._added = added
        self.members: dict[str, Member] = {}
        self.size = 0
        """Bytes of all members."""

    def add(self, name: str, file: IO[bytes], status: os.stat_result, *, size: int | None = None) -> None:
        """Adds a file; what is appended to it meanwhile is left out.

        Args:
            name: In the archive.
            file: Its bytes.
            status: Of the file, or of the one that it is a copy of.
            size: Of a copy.

        Raises:
            BackupFailed: it became shorter.
        """
        size = status.st_size if size is None else size
        demand_inside(name)
        hashing, mode = _Hashing(file), stat.S_IMODE(status.st_mode)
        try:
            self._tar.addfile(_header(name, size, mode=mode, mtime=int(status.st_mtime)), hashing)
        except OSError as error:
            if hashing.ended:
                raise BackupFailed(f"{name} became shorter while it was read; back up again") from error
            raise
        self.members[name] = Member(size=size, sha256=hashing.sha256, mode=mode, mtime_ns=status.st_mtime_ns)
        self.size += size
        self._added(self)

    def add_file(self, name: str, path: Path) -> None:
        """Adds a file that nobody replaces."""
        with path.open("rb") as file:
            self.add(name, file, os.fstat(file.fileno()))

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest."""
        self._add_text(MANIFEST_MEMBER, manifest.model_dump_json(indent=1).encode())

    def _add_text(self, name: str, text: bytes) -> None:
        self._tar.addfile(_header(name, len(text)), io.BytesIO(text))


@contextmanager
def new_archive(path: Path, *, added: Callable[[Archive], object]) -> Iterator[Archive]:
    """An archive to be filled; for its owner's eyes alone, since it holds rows.

    Args:
        path: The file.
        added: Is told after each member.
    """
    path.touch(mode=0o600)
    with (
        path.open("wb") as raw,
        GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        archive = Archive(tar, added)
        archive._add_text(FORMAT_MEMBER, f"{FORMAT}\n".encode())
        yield archive


def verify(path: Path) -> Manifest:
    """Reads a whole archive, and writes nothing.

    Raises:
        BackupInvalid: it is not, to the last byte, what a backup wrote, or of a newer format.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    with _read(path) as tar:
        for number, header in enumerate(tar):
            if manifest is not None:
                raise BackupInvalid(f"{header.name!r} comes after its manifest")
            if number and header.name != MANIFEST_MEMBER:
                demand_inside(header.name)
            file = _opened(tar, header)
            if number == 0:
                demand_format(file.read(100) if header.name == FORMAT_MEMBER else b"")
            elif header.name == MANIFEST_MEMBER:
                manifest = read_manifest(file.read(MOST_MANIFEST_BYTES))
            else:
                if header.name in found:
                    raise BackupInvalid(f"{header.name!r} is there twice")
                digest = hashlib.sha256()
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                found[header.name] = (header.size, digest.hexdigest())
    if manifest is None:
        raise BackupInvalid("it has no manifest: it is truncated, or no backup of the loop")
    if strangers := found.keys() ^ manifest.members.keys():
        raise BackupInvalid(f"{min(strangers)!r} is in the manifest alone or in the archive alone")
    for name, (size, sha256) in found.items():
        if (size, sha256) != (manifest.members[name].size, manifest.members[name].sha256):
            raise BackupInvalid(f"{name!r} is not what the manifest says: its sha256 is {sha256}")
    return manifest


def members_of(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of an archive that was verified, in the order in which they were written.

    Raises:
        BackupInvalid: it was changed since.
    """
    with _read(path) as tar:
        for member in tar:
            if member.name not in (FORMAT_MEMBER, MANIFEST_MEMBER):
                yield member.name, _opened(tar, member)


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    if not member.isreg() or (file := tar.extractfile(member)) is None:
        raise BackupInvalid(f"{member.name!r} is a link, a folder or a device; a backup has files alone")
    return file


@contextmanager
def _read(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with GzipFile(path) as zipped:
            with tarfile.open(fileobj=zipped, mode="r|") as tar:
                yield tar
            while block := zipped.read(CHUNK):  # up to the checksum of all that was read
                if block.strip(b"\0"):
                    raise BackupInvalid("something comes after its end")
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        ValueError,
    ) as error:  # the last of what looks like text or a number
        raise BackupInvalid(f"it is truncated or damaged: {error}") from error
    except OSError as error:
        if error.errno is None:  # gzip's and tarfile's own
            raise BackupInvalid(f"it is truncated or damaged: {error}") from error
        raise


class _Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        """Reads on."""
        content = self._file.read(size)
        self.ended |= len(content) < size
        self._digest.update(content)
        return content

    @property
    def sha256(self) -> str:
        """Of what was read."""
        return self._digest.hexdigest()


def _header(name: str, size: int, *, mode: int = 0o600, mtime: int = 0) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, mode, mtime
    return header

"""The files of a state folder, into an archive while others write them, and out of one into an empty folder.

What is newer in files than in the databases, which are copied before, is nothing that these name: a start finds it as
what a crash left. Which files belong to a backup says `mlops_assets.domain.backup`; databases belong to
`backup_databases`.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

from mlops_assets.adapters.backup_archive import CHUNK, Archive
from mlops_assets.adapters.files import file_in_one_piece
from mlops_assets.domain.backup import (
    LOG,
    POINTER,
    SERVICE,
    STATE,
    BackupFailed,
    BackupInvalid,
    Member,
    is_state,
    names_versions,
)
from serving.log_segments import OPEN

SQLITE = b"SQLite format 3\0"
"""What such a file begins with."""


class StateFiles:
    """The files of one state folder."""

    def __init__(self, state: Path, *, besides: Collection[Path] = ()) -> None:
        """Opens nothing yet.

        Args:
            state: The folder.
            besides: Files there that are copied otherwise.
        """
        self.state = state
        self._besides = set(besides)
        self.left_out: list[str] = []
        """Links and the like, which are neither followed nor kept."""

    def add_log(self, archive: Archive, gathered: Path) -> None:
        """Adds the service's log and what was gathered of it; nobody may gather meanwhile, for that moves rows.

        A segment is added once, under the name that it has when it is opened: it is sealed, by a rename, meanwhile.

        Args:
            archive: Where to.
            gathered: The folder of the gathered log.
        """
        log = self.state / LOG
        for stem in sorted({path.name.partition(".")[0] for path in log.glob("*") if self._is_segment(path)}):
            if (found := _first_opened(log, stem)) is None:
                continue  # it was empty, and was taken away
            path, file = found
            with file, TemporaryFile() as copy:
                status = os.fstat(file.fileno())
                if path.suffix == OPEN:  # a full disk has its writer take back what it wrote
                    shutil.copyfileobj(file, copy, CHUNK)
                    size = copy.tell()
                    copy.seek(0)
                    archive.add(self._name(path), copy, status, size=size)
                else:
                    archive.add(self._name(path), file, status)
        for path in _walk(gathered):
            if path.is_file() and is_state(self._inside(path)):
                archive.add_file(self._name(path), path)
        self._besides.add(gathered)

    def add_rest(self, archive: Archive, *, copied: Callable[[Path], AbstractContextManager[IO[bytes]]]) -> None:
        """Adds all other files; what is replaced or removed meanwhile is there once, or not.

        Args:
            archive: Where to.
            copied: Copies a SQLite database and opens the copy.
        """
        for path in self._rest():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            except PermissionError as error:
                raise _unreadable(path) from error
            with file:
                status = os.fstat(file.fileno())
                if path.suffix == ".db" and file.read(len(SQLITE)) == SQLITE:
                    with copied(path) as copy:
                        archive.add(self._name(path), copy, status, size=os.fstat(copy.fileno()).st_size)
                    continue
                file.seek(0)
                archive.add(self._name(path), file, status)

    def folders(self) -> dict[str, int]:
        """Folders with their modes, by their paths in the state folder."""
        found = {}
        for path in _walk(self.state):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISDIR(status.st_mode) and is_state(self._inside(path)):
                    found[str(self._inside(path))] = stat.S_IMODE(status.st_mode)
        return found

    def first_found(self) -> Path | None:
        """A file that a restore would mix with its own; what a running service writes is none."""
        for path in _walk(self.state):
            inside = self._inside(path)
            is_other = is_state(inside) or inside == POINTER
            if is_other and not inside.is_relative_to(SERVICE) and (path.is_symlink() or not path.is_dir()):
                return path
        return None

    def _rest(self) -> Iterator[Path]:
        """Records first: what they name is there when they are read, and so is found when it is looked for after."""
        yield from (path for path in sorted(self.state.glob("windows/*/*.json")) if names_versions(self._inside(path)))
        for path in _walk(self.state, besides=self._besides):
            inside = self._inside(path)
            if names_versions(inside) or not is_state(inside) or self._is_segment(path):
                continue
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                if os.path.lexists(path):
                    self.left_out.append(str(inside))
            elif path.is_file():
                yield path

    def _is_segment(self, path: Path) -> bool:
        inside = self._inside(path)
        return inside.parent == LOG and is_state(inside) and not path.is_dir()

    def _name(self, path: Path) -> str:
        return f"{STATE}/{self._inside(path)}"

    def _inside(self, path: Path) -> PurePosixPath:
        return PurePosixPath(path.relative_to(self.state))


def make_folders(state: Path, folders: Mapping[str, int]) -> None:
    """Makes the folders of a state folder that are missing; each is its parent's owner's."""
    for name, mode in sorted(folders.items()):
        folder = state / name
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(mode & 0o777)
            give_to_owner_of(folder.parent, folder)


def place(file: IO[bytes], target: Path, member: Member) -> None:
    """Writes a member of an archive as a file, whole or not at all, with its mode and time.

    Raises:
        BackupInvalid: it is not what the manifest says: it was changed since it was verified.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_in_one_piece(target) as beside:
        beside.touch(mode=0o600)
        write_verified(file, beside, member)
        beside.chmod(member.mode & 0o777)
        give_to_owner_of(target.parent, beside)
        os.utime(beside, ns=(member.mtime_ns, member.mtime_ns))


def write_verified(file: IO[bytes], path: Path, member: Member) -> None:
    """Writes a member of an archive.

    Raises:
        BackupInvalid: it is not what the manifest says.
    """
    digest = hashlib.sha256()
    with path.open("wb") as written:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            written.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise BackupInvalid(f"{path.name} was changed since it was verified")


def sweep(state: Path) -> None:
    """Removes what a restore that was killed had not finished writing."""
    for path in [*state.rglob(".*.tmp")]:
        path.unlink(missing_ok=True)


def _first_opened(log: Path, stem: str) -> tuple[Path, IO[bytes]] | None:
    for _ in range(3):  # renamed between the two looks, once
        for path in sorted(log.glob(f"{stem}.*")):
            try:
                return path, path.open("rb")
            except FileNotFoundError:
                continue
            except PermissionError as error:
                raise _unreadable(path) from error
    return None


def _unreadable(path: Path) -> BackupFailed:
    return BackupFailed(f"{path} cannot be read; back up as the user who runs the loop")


def _walk(folder: Path, *, besides: Collection[Path] = ()) -> Iterator[Path]:
    """All below a folder, each folder before what is in it and looked into when its turn comes; nothing twice."""
    try:
        found = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise _unreadable(folder) from error
    for path in found:
        if path in besides:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, besides=besides)


def give_to_owner_of(folder: Path, path: Path) -> None:
    """As root, a restore would leave files that the loop's user cannot write."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

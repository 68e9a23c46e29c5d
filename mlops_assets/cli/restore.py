"""`mlops restore`: a backup into an empty state folder and empty databases.

The whole archive is verified before anything is written. Then a mark keeps the loop from starting until all is there,
so a restore that was interrupted is seen, and can be begun again: databases first, each all or nothing, then files.
The pointer comes last, as the ledger says.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.filesize import decimal

from mlops_assets.adapters.backup_archive import members_of, verify
from mlops_assets.adapters.backup_databases import (
    has_tables,
    kind_of,
    load_postgresql,
    move_locations,
    name_of,
    sqlite_file,
)
from mlops_assets.adapters.backup_files import (
    StateFiles,
    give_to_owner_of,
    make_folders,
    place,
    sweep,
    write_verified,
)
from mlops_assets.adapters.files import file_in_one_piece, write_atomically
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.promotion import pointer_of
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.cli.backup import databases_of, installed
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.migrate import make_database
from mlops_assets.cli.stack import only_stack
from mlops_assets.cli.state import move_start
from mlops_assets.config import Settings
from mlops_assets.domain.backup import (
    CONTRACT,
    DATABASES,
    INTERRUPTED,
    SERVICE,
    BackupFailed,
    BackupInvalid,
    DatabaseName,
    Manifest,
    Member,
    demand_restorable,
)


class Begun(BaseModel):
    """What is recorded of a restore until it is done."""

    manifest_sha256: str
    """Of the archive."""
    databases: list[DatabaseName]
    """Those in a server that are restored already: they are not empty any more."""


def restore(settings: Settings, file: Path, console: Console) -> None:
    """Restores a backup.

    Raises:
        UserError: the archive is not whole, a loop runs here, something is not empty, or the restore cannot go on;
            nothing that was here is changed.
    """
    databases = databases_of(settings)
    with _told(file):
        with console.status(f"Verifying {file} ..."):
            manifest = verify(file)
        kinds = {"dagster": "sqlite", **{name: kind_of(url) for name, url in databases.items()}}
        demand_restorable(manifest, databases=kinds, versions=installed())
        with only_stack(settings), console.status("Restoring ...") as status:
            restoring = _Restoring(settings, manifest, databases)
            restoring.begin()
            done = 0
            for name, content in members_of(file):
                restoring.put(name, content)
                done += manifest.members[name].size
                status.update(f"Restoring: {decimal(done)} of {decimal(restoring.size)} ...")
            restoring.finish()
    said = f"{settings.state} is the loop of the dataset {manifest.dataset} as it was at {manifest.made_at}"
    console.print(f"{said}; `mlops up` goes on", soft_wrap=True, highlight=False)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except BackupInvalid as error:
        raise UserError(f"{file} cannot be restored: {error}") from error
    except BackupFailed as error:
        raise UserError(str(error)) from error
    except OSError as error:
        is_gone = isinstance(error, FileNotFoundError) and not file.exists()
        said = "is not there: name a file that `mlops backup` made" if is_gone else f"cannot be restored: {error}"
        raise UserError(f"{file} {said}") from error


def _is_there(target: Path) -> bool:
    """Whether a running service, or a volume that was not lost, has the segment, sealed by now or not."""
    return any(target.parent.glob(f"{target.name.partition('.')[0]}.*"))


class _Restoring:
    """A restore under way; under the state folder's lock."""

    def __init__(self, settings: Settings, manifest: Manifest, databases: Mapping[DatabaseName, str]) -> None:
        self._settings = settings
        self._manifest = manifest
        self._databases = databases
        self._mark = settings.state / INTERRUPTED
        self._begun = Begun(
            manifest_sha256=hashlib.sha256(manifest.model_dump_json().encode()).hexdigest(), databases=[]
        )
        self._former = Path(manifest.state)
        self.size = sum(member.size for member in manifest.members.values())

    def begin(self) -> None:
        """Demands that all is empty, or holds a part of this very archive; leaves the mark."""
        state = self._settings.state
        if not self._mark.exists():
            self._demand_empty(self._databases)
            if (found := StateFiles(state).first_found()) is not None:
                raise UserError(
                    f"{state} is not empty ({found} is there): set MLOPS_HOME to another folder, or move it"
                )
            self._write_mark()
        else:
            self._begin_again()
        sweep(state)
        make_folders(state, self._manifest.folders)

    def put(self, name: str, content: IO[bytes]) -> None:
        """Puts a file of the archive where it belongs."""
        kind, _, rest = name.partition("/")
        member = self._manifest.members[name]
        if kind != DATABASES:
            target = self._settings.state / (name if kind == CONTRACT else rest)
            if not (PurePosixPath(rest).is_relative_to(SERVICE) and _is_there(target)):
                place(content, target, member)
            return
        database = next(known for known in self._databases if known == rest)
        if database in self._begun.databases:
            return
        if kind_of(self._databases[database]) == "sqlite":
            self._put_sqlite(database, content, member)
        else:
            self._put_postgresql(database, content, member)

    def finish(self) -> None:
        """Has the service follow the ledger, and takes the mark away."""
        move_start(self._settings, self._former)
        production = Ledger(self._settings.ledger_url).production()
        if production is not None:
            ReleaseStore(self._settings.releases).point_to(pointer_of(production))
        self._mark.unlink()

    def _begin_again(self) -> None:
        try:
            earlier = Begun.model_validate_json(self._mark.read_bytes())
        except ValidationError as error:
            raise UserError(f"{self._mark} is damaged: empty {self._settings.state} and the databases") from error
        if earlier.manifest_sha256 != self._begun.manifest_sha256:
            raise UserError(
                f"the restore of another archive was interrupted in {self._settings.state}: restore that one to its "
                "end, or empty the folder and the databases"
            )
        self._begun = earlier
        servers = {name: url for name, url in self._databases.items() if kind_of(url) == "postgresql"}
        self._demand_empty({name: url for name, url in servers.items() if name not in earlier.databases})

    def _demand_empty(self, databases: Mapping[DatabaseName, str]) -> None:
        for name, url in databases.items():
            if has_tables(url):
                where = sqlite_file(url) if kind_of(url) == "sqlite" else f"the database {name_of(url)}"
                raise UserError(
                    f"{where} ({name}) is not empty, and a restore overwrites nothing: name another one, or drop it if "
                    "nobody needs what it holds"
                )

    def _write_mark(self) -> None:
        write_atomically(self._mark, self._begun.model_dump_json(indent=1).encode())

    def _put_sqlite(self, database: DatabaseName, content: IO[bytes], member: Member) -> None:
        target = sqlite_file(self._databases[database])
        target.parent.mkdir(parents=True, exist_ok=True)
        with file_in_one_piece(target) as beside:
            write_verified(content, beside, member)
            self._move(database, f"sqlite:///{beside}")
            beside.chmod(member.mode & 0o777)
            give_to_owner_of(target.parent, beside)

    def _put_postgresql(self, database: DatabaseName, content: IO[bytes], member: Member) -> None:
        url = self._databases[database]
        dump = self._settings.state / f".{database}.dump.tmp"
        write_verified(content, dump, member)
        make_database(url)
        load_postgresql(url, dump)
        dump.unlink()
        self._move(database, url)
        self._begun.databases.append(database)
        self._write_mark()

    def _move(self, database: DatabaseName, url: str) -> None:
        if database == "mlflow":
            move_locations(url, self._former, self._settings.state)

"""What a backup is: which files of a state folder belong to it, and the manifest that says what it holds.

Archives, databases and files are read and written by the adapters `backup_archive`, `backup_databases` and
`backup_files`.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from pydantic import ValidationError

from mlops_assets.domain.evidence import Sha256
from mlops_assets.domain.record import Record

FORMAT = 1
"""Grows when an archive comes to be laid out otherwise."""
FORMAT_MEMBER, MANIFEST_MEMBER = "format", "manifest.json"
"""The first member of an archive, and the last."""
STATE, DATABASES, CONTRACT = "state", "databases", "contract"
"""Folders of an archive."""
INTERRUPTED = "restore-is-not-done.json"
"""File in a state folder while a restore writes into it."""
POINTER = PurePosixPath("releases/production.json")
"""Not in a backup: a file can be newer than the ledger, which decides. A restore writes what the ledger says."""
SERVICE = PurePosixPath("serving")
"""What a running service writes; a restore may find it, for no two segments of its log have one name."""
LOG = SERVICE / "log"
DatabaseName = Literal["dagster", "ledger", "mlflow"]

_INCIDENTAL = {"lock", "logs", "spool", "supervisord.conf", "supervisord.pid", INTERRUPTED}
_SQLITE_OWN = ("-wal", "-shm", "-journal")
_UNNAMED_RUN = ".db"
"""Dagster's events that belong to no run are in a shard without a name."""
_SAME_FORMS = ("dagster", "mlflow")


class BackupInvalid(Exception):
    """An archive is not what a backup wrote, or cannot be restored here; nothing was written."""


class BackupFailed(Exception):
    """A backup or a restore cannot go on as things are; the message says why and what to do."""


class Member(Record):
    """A file of an archive."""

    size: int
    """Bytes."""
    sha256: Sha256
    mode: int
    mtime_ns: int
    """A landing folder tells files by it."""


class DatabaseCopy(Record):
    """Where a database was when it was copied."""

    kind: Literal["sqlite", "postgresql"]
    name: str
    """The file's name, or the database's in its server."""


class Manifest(Record):
    """What an archive holds."""

    format: Literal[1]
    made_at: str
    """RFC 3339, UTC."""
    dataset: str
    state: str
    """The state folder's absolute path: MLflow's databases have it in the artifacts' locations."""
    versions: dict[str, str]
    """Of the packages that wrote the databases."""
    code_sha256: Sha256
    """Of the loop's own code."""
    databases: dict[DatabaseName, DatabaseCopy]
    folders: dict[str, int]
    """Folders of the state with their modes."""
    members: dict[str, Member]


def read_manifest(text: bytes) -> Manifest:
    """The manifest of an archive.

    Raises:
        BackupInvalid: it is none, or names what no state folder has.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BackupInvalid(f"its manifest is damaged: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    for name in (*manifest.members, *(f"{STATE}/{folder}" for folder in manifest.folders)):
        demand_inside(name)
    return manifest


def demand_format(text: bytes) -> None:
    """Demands that an archive is of a format that this version reads.

    Raises:
        BackupInvalid: it is of a newer one, or says none.
    """
    try:
        found = int(json.loads(text))
    except (ValueError, TypeError) as error:
        raise BackupInvalid("it says no format, so it is no backup of the loop") from error
    if found > FORMAT:
        raise BackupInvalid(
            f"it is of format {found}, and this version reads {FORMAT}: restore it with the version that made it"
        )


def demand_inside(name: str) -> None:
    """Demands that a member's name is one that a backup gives, and leads nowhere else.

    Raises:
        BackupInvalid: it does.
    """
    parts = name.split("/")
    if parts[0] not in (STATE, DATABASES, CONTRACT) or len(parts) == 1 or {"", ".", ".."} & set(parts) or "\0" in name:
        raise BackupInvalid(f"{name!r} is no name of a backup's file")


def is_state(path: PurePosixPath) -> bool:
    """Whether a file of a state folder belongs to a backup, by its path there.

    Not: locks, what tells of processes, copies in the spool, logs of programs, and what somebody is writing.
    """
    if path.parts[0] in _INCIDENTAL or path == POINTER or path.is_relative_to(SERVICE / "workers"):
        return False
    if any(part.startswith(".") and part != _UNNAMED_RUN for part in path.parts):
        return False
    if path.parent == LOG and path.suffix == ".new":
        return False
    return not path.name.endswith(_SQLITE_OWN)


def names_versions(path: PurePosixPath) -> bool:
    """Whether a file is a window's record, which names a version: it is read before the versions are looked for."""
    return len(path.parts) == 3 and path.parts[0] == "windows" and path.suffix == ".json"


def demand_restorable(
    manifest: Manifest, *, databases: Mapping[DatabaseName, str], versions: Mapping[str, str]
) -> None:
    """Demands that what is installed and set here can take a backup.

    Args:
        manifest: Of the backup.
        databases: The kind of each database here.
        versions: Of the packages here.

    Raises:
        BackupInvalid: it cannot; the message says what to do.
    """
    for name, copy in manifest.databases.items():
        if databases[name] != copy.kind:
            raise BackupInvalid(
                f"the backup's {name} database is {copy.kind} and the settings name {databases[name]}: a backup goes "
                "back into the form that it was made of"
            )
    for package in _SAME_FORMS:
        made, here = manifest.versions.get(package, "0"), versions[package]
        if _release(here) < _release(made):
            raise BackupInvalid(
                f"it was made with {package} {made}, and {here} is installed, which may not read the database: "
                f"install {package} {made} or newer"
            )


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: a patch changes no database."""
    return tuple(int(part) for part in version.split(".")[:2])

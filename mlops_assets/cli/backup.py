"""`mlops backup`: all state of a loop in one file, while the loop runs.

Databases first, then files. A run writes its files before the database that names them, so what the databases name is
there; and of the databases Dagster's first, then the ledger, then MLflow's, against the order in which a promotion
writes to them: what is restored is what a crash would have left.
"""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.filesize import decimal

from mlops_assets.adapters.backup_archive import Archive, new_archive
from mlops_assets.adapters.backup_dagster import copy_dagster
from mlops_assets.adapters.backup_databases import (
    artifact_folders,
    copy_sqlite,
    dump_postgresql,
    kind_of,
    name_of,
    sqlite_file,
)
from mlops_assets.adapters.backup_files import StateFiles
from mlops_assets.adapters.files import file_in_one_piece
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.provenance import code_sha256
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.backup import (
    CONTRACT,
    DATABASES,
    FORMAT,
    STATE,
    BackupFailed,
    DatabaseCopy,
    DatabaseName,
    Manifest,
)

MLARTIFACTS = "mlartifacts"
"""Where a server that hands artifacts on keeps them, in the state folder as a backup finds it."""


def backup(settings: Settings, file: Path, console: Console, *, force: bool) -> None:
    """Writes a backup.

    Args:
        settings: The loop's.
        file: The archive to write.
        console: Where progress goes.
        force: Whether to replace a file that is there.

    Raises:
        UserError: there is no loop, the file is taken or in the state folder, or the backup cannot go on.
    """
    demand_state(settings)
    target = _target(settings, file, force=force)
    databases = databases_of(settings)
    try:
        with console.status("Backing up ...") as status:
            archive, left_out = _write(
                settings,
                target,
                databases,
                lambda archive: status.update(
                    f"Backing up: {len(archive.members):,} files, {decimal(archive.size)} ..."
                ),
            )
    except BackupFailed as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error}") from error
    for line in left_out:
        console.print(f"  not in it: {line}", soft_wrap=True, highlight=False)
    size = decimal(target.stat().st_size)
    said = f"{target}: {len(archive.members):,} files, {decimal(archive.size)}, in {size}"
    console.print(said, soft_wrap=True, highlight=False)


def databases_of(settings: Settings) -> dict[DatabaseName, str]:
    """The URLs of the loop's databases, in the order in which they are copied; without Dagster's own SQLite files.

    Raises:
        UserError: MLflow is a server, and nothing says where its database is.
    """
    if settings.mlflow_database is None:
        raise UserError(
            f"MLflow is the server {settings.mlflow_uri}: set MLFLOW_BACKEND_STORE_URI to its database "
            "(postgresql://user@host/mlflow), so that the registry is in the backup"
        )
    dagster: dict[DatabaseName, str] = {}
    if settings.dagster_database_url is not None:
        dagster = {"dagster": settings.dagster_database_url}
    return {**dagster, "ledger": settings.ledger_url, "mlflow": settings.mlflow_database}


def installed() -> dict[str, str]:
    """The versions of what writes the databases."""
    return {package: version(package) for package in ("dagster", "mlflow")}


def _target(settings: Settings, file: Path, *, force: bool) -> Path:
    target = file.absolute()
    if target.resolve().is_relative_to(settings.state.resolve()):
        raise UserError(f"{target} is in the state folder, and would be lost with it: name a file elsewhere")
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is not there: make or mount it")
    if target.is_dir() or (target.exists() and not force):
        raise UserError(f"{target} is there already: name another file, or replace it with --force")
    return target


class _Writing:
    """A backup under way."""

    def __init__(self, settings: Settings, archive: Archive, staging: Path) -> None:
        self.settings = settings
        self.archive = archive
        self.staging = staging

    def add_database(self, name: DatabaseName, url: str) -> DatabaseCopy | None:
        """None where there is no such database yet."""
        copy, kind = self.staging / name, kind_of(url)
        if kind == "postgresql":
            dump_postgresql(url, copy)
            self.archive.add_file(f"{DATABASES}/{name}", copy)
            copy.unlink()
        elif sqlite_file(url).exists():
            with self.copied(sqlite_file(url)) as file:
                size = os.fstat(file.fileno()).st_size
                self.archive.add(f"{DATABASES}/{name}", file, sqlite_file(url).stat(), size=size)
        else:
            return None
        return DatabaseCopy(kind=kind, name=name_of(url))

    def add_dagster_files(self) -> list[Path]:
        """Dagster's SQLite databases, but for those of finished runs; says which."""
        copies = copy_dagster(self.settings.state / "dagster", self.staging)
        for file, copy in copies.items():
            with copy.open("rb") as opened:
                name = f"{STATE}/{file.relative_to(self.settings.state)}"
                self.archive.add(name, opened, file.stat(), size=copy.stat().st_size)
            copy.unlink()
        return list(copies)

    @contextmanager
    def copied(self, file: Path) -> Iterator[IO[bytes]]:
        """A SQLite database, copied and opened."""
        copy = self.staging / f"{file.name}.copy"
        copy_sqlite([file], [copy])
        with copy.open("rb") as opened:
            yield opened
        copy.unlink()

    def add_contract(self) -> list[str]:
        """The contract, unless it is in the state folder; says what of it cannot be kept."""
        contract = self.settings.dataset.absolute()
        if contract.is_relative_to(self.settings.state):
            return []
        self.archive.add_file(f"{CONTRACT}/{contract.name}", contract)
        cases = tomllib.loads(contract.read_text(encoding="utf-8")).get("known_cases")
        if cases is None:
            return []
        if Path(cases).name != cases:
            return [f"{contract.parent / cases}, which the contract names"]
        self.archive.add_file(f"{CONTRACT}/{cases}", contract.parent / cases)
        return []


def _write(
    settings: Settings, target: Path, databases: dict[DatabaseName, str], added: Callable[[Archive], object]
) -> tuple[Archive, list[str]]:
    with (
        TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as staging,
        file_in_one_piece(target) as beside,
        new_archive(beside, added=added) as archive,
    ):
        writing = _Writing(settings, archive, Path(staging))
        copies: dict[DatabaseName, DatabaseCopy] = {}
        besides: list[Path] = []
        if "dagster" not in databases:
            besides += writing.add_dagster_files()
            copies["dagster"] = DatabaseCopy(kind="sqlite", name="dagster")
        for name, url in databases.items():
            if (copy := writing.add_database(name, url)) is not None:
                copies[name] = copy
            if kind_of(url) == "sqlite":
                besides.append(sqlite_file(url))
        files = StateFiles(settings.state, besides=besides)
        with GatheredLog(settings.prediction_log, settings.gathered_log).held():
            files.add_log(archive, settings.gathered_log)
        files.add_rest(archive, copied=writing.copied)
        left_out = [f"{name}, which is no file" for name in files.left_out] + writing.add_contract()
        if "mlflow" in copies:
            left_out += _artifacts_elsewhere(settings, databases["mlflow"])
        manifest = Manifest(
            format=FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            dataset=read_dataset(settings.dataset).name,
            state=str(settings.state),
            versions=installed(),
            code_sha256=code_sha256(),
            databases=copies,
            folders=files.folders(),
            members=archive.members,
        )
        archive.finish(manifest)
    return archive, left_out


def _artifacts_elsewhere(settings: Settings, url: str) -> list[str]:
    elsewhere = [location for location in sorted(artifact_folders(url)) if not _is_inside(settings.state, location)]
    return [f"MLflow's artifacts in {location}; keep them by that place's own means" for location in elsewhere]


def _is_inside(state: Path, location: str) -> bool:
    parts = urlsplit(location)
    if parts.scheme == "mlflow-artifacts":
        return (state / MLARTIFACTS).is_dir()
    return parts.scheme in ("", "file") and Path(unquote(parts.path)).is_relative_to(state)

"""Copies of databases while they are written to, and databases out of copies: SQLite's online backup, pg_dump.

Which databases there are belongs to `mlops_assets.cli.backup`.
"""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, NullPool, column, create_engine, func, inspect, make_url, select, table, update
from sqlalchemy.exc import OperationalError

from mlops_assets.domain.backup import BackupFailed

Kind = Literal["sqlite", "postgresql"]
LOCK_SECONDS = 1.0
"""What each database's writers are waited for; longer, and two that wait for each other would fail."""
LOCK_ATTEMPTS = 60
CONNECT_SECONDS = "10"
LOCATIONS = ("artifact_uri", "artifact_location", "storage_location")
"""Columns of MLflow's tables that hold absolute paths where artifacts are files."""
RUNS = table("runs", column("artifact_uri"))


def kind_of(url: str) -> Kind:
    """What a database is.

    Raises:
        BackupFailed: it is neither SQLite nor PostgreSQL.
    """
    match make_url(url).get_backend_name():
        case "sqlite":
            return "sqlite"
        case "postgresql" | "postgres":
            return "postgresql"
        case other:
            raise BackupFailed(f"a database of {other} can be neither backed up nor restored; use its own tools")


def sqlite_file(url: str) -> Path:
    """Where a SQLite database is."""
    return Path(str(make_url(url).database)).absolute()


def name_of(url: str) -> str:
    """A database's name, as a user knows it."""
    return sqlite_file(url).name if kind_of(url) == "sqlite" else str(make_url(url).database)


def copy_sqlite(files: Sequence[Path], copies: Sequence[Path]) -> None:
    """Copies SQLite databases as they are at one moment, while others write.

    Raises:
        BackupFailed: no such moment came within a minute.
    """
    with _one_moment(files) as readers:
        for reader, copy in zip(readers, copies, strict=True):
            with closing(sqlite3.connect(copy)) as target:
                reader.backup(target)


@contextmanager
def _one_moment(files: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Readers that all began while nobody was writing to any of them."""
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(_connection(file))) for file in files]
        for attempt in range(LOCK_ATTEMPTS):
            with ExitStack() as locks:
                try:
                    for file in files:
                        locks.enter_context(closing(_connection(file))).execute("BEGIN IMMEDIATE")
                    for reader in readers:
                        reader.execute("BEGIN")
                        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
                    break
                except sqlite3.DatabaseError as error:
                    if attempt == LOCK_ATTEMPTS - 1 or not isinstance(error, sqlite3.OperationalError):
                        names = ", ".join(file.name for file in files)
                        raise BackupFailed(f"{names} cannot be read: {error}") from error
                    for reader in readers:
                        reader.rollback()
            time.sleep(0.1)
        yield readers


def _connection(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS, isolation_level=None)


def dump_postgresql(url: str, to: Path) -> None:
    """Dumps a PostgreSQL database as it is at one moment.

    Raises:
        BackupFailed: `pg_dump` is missing, or fails.
    """
    _run("pg_dump", "--format=custom", f"--file={to}", url=url)


def load_postgresql(url: str, dump: Path) -> None:
    """Fills an empty PostgreSQL database out of a dump, all or nothing.

    Raises:
        BackupFailed: `pg_restore` is missing, or fails.
    """
    _run("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(dump), url=url)


def has_tables(url: str) -> bool:
    """Whether a database is there and holds anything.

    Raises:
        BackupFailed: its server does not answer.
    """
    if kind_of(url) == "sqlite":
        return sqlite_file(url).exists()
    try:
        with _connected(url) as connection:
            inspector = inspect(connection)
            ours = [name for name in inspector.get_schema_names() if name != "information_schema"]
            return any(inspector.get_table_names(schema) or inspector.get_view_names(schema) for schema in ours)
    except OperationalError as error:
        if _is_missing(error):
            return False
        raise BackupFailed(f"the database {make_url(url).render_as_string()}: {str(error.orig).strip()}") from error


def move_locations(url: str, former: Path, now: Path) -> None:
    """Has MLflow's database find its artifacts below another folder than they were below."""
    if former == now:
        return
    with _connected(url) as connection:
        inspector = inspect(connection)
        for name in inspector.get_table_names():
            for found in inspector.get_columns(name):
                if found["name"] in LOCATIONS:
                    _move(connection, name, found["name"], former, now)


def artifact_folders(url: str) -> set[str]:
    """Where MLflow's runs keep their artifacts, each location without its last two names, which are a run's own."""
    with _connected(url) as connection:
        if not inspect(connection).has_table(RUNS.name):
            return set()
        locations = connection.execute(select(RUNS.c.artifact_uri).distinct()).scalars()
        return {location.rsplit("/", 2)[0] for location in locations if location}


def _move(connection: Connection, name: str, of: str, former: Path, now: Path) -> None:
    moved = table(name, column(of))
    for before, after in ((former.as_uri(), now.as_uri()), (str(former), str(now))):
        begins = func.substr(moved.c[of], 1, len(before) + 1) == f"{before}/"
        connection.execute(update(moved).where(begins).values({of: after + func.substr(moved.c[of], len(before) + 1)}))


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def _is_missing(error: OperationalError) -> bool:
    """A refused connection has no SQLSTATE, so its text must tell."""
    return "does not exist" in str(error.orig) and "database" in str(error.orig)


def _run(program: str, *arguments: str, url: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupFailed(f"{program} is not installed: it comes with PostgreSQL's client (Debian: postgresql-client)")
    parsed = make_url(url)
    environment = {**os.environ, "PGCONNECT_TIMEOUT": os.environ.get("PGCONNECT_TIMEOUT", CONNECT_SECONDS)}
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)  # arguments are seen by every user of the machine
    shown = _without_password(parsed)
    done = subprocess.run(
        [found, "--no-password", f"--dbname={shown}", *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise BackupFailed(f"{program} of {shown}: {done.stderr.strip()}")


def _without_password(url: URL) -> str:
    return url._replace(drivername="postgresql", password=None).render_as_string()

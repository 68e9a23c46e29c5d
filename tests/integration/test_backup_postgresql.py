"""Backups of a ledger in a real PostgreSQL. Prevents a restore over what somebody has there, and a password told."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import IO

import psycopg
import pytest
from rich.console import Console
from sqlalchemy import make_url

from mlops_assets.adapters.backup_databases import dump_postgresql, has_tables, load_postgresql
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.cli import restore as restore_module
from mlops_assets.cli.backup import backup
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.migrate import make_database
from mlops_assets.cli.restore import restore
from mlops_assets.config import Settings
from mlops_assets.domain.backup import BackupFailed
from tests.integration.servers import PostgresServer
from tests.unit.mlops_assets.cli.small_state import small_settings, small_state

pytestmark = pytest.mark.integration
DATABASES = ("backup_small", "backup_copy")


@pytest.fixture
def database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Says where a database of a name would be, on a server that has none of them."""
    monkeypatch.setenv("PATH", f"{postgres.programs}{os.pathsep}{os.environ['PATH']}")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI"):
        monkeypatch.delenv(name, raising=False)
    _drop(postgres)
    yield lambda name: make_url(postgres.url)._replace(database=name, password=None).render_as_string()
    _drop(postgres)


def _drop(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in DATABASES:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_dump_is_of_one_moment_and_fills_an_empty_database(database: Callable[[str], str], tmp_path: Path) -> None:
    """A number is written to one table, then to another, all the while."""
    url, copy = map(database, DATABASES)
    assert not has_tables(url)
    make_database(url)
    assert not has_tables(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("a", "b"):
            connection.execute(f"CREATE TABLE {table} (number INTEGER)")
    done, wrote = Event(), Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            number = 0
            while not done.is_set():
                number += 1
                for table in ("a", "b"):
                    connection.execute(f"INSERT INTO {table} VALUES (%s)", (number,))  # noqa: S608
                wrote.set()

    writer = Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(10)
        dump_postgresql(url, tmp_path / "dump")
    finally:
        done.set()
        writer.join()
    make_database(copy)
    load_postgresql(copy, tmp_path / "dump")
    assert has_tables(copy)
    with psycopg.connect(copy) as connection:
        found = connection.execute("SELECT (SELECT max(number) FROM a), (SELECT max(number) FROM b)").fetchone()
    assert found is not None
    assert found[0] - 1 <= found[1] <= found[0]
    with pytest.raises(BackupFailed, match=r"pg_restore of .*already exists"):
        load_postgresql(copy, tmp_path / "dump")


def test_a_password_is_neither_an_argument_nor_in_what_is_said(tmp_path: Path, database: Callable[[str], str]) -> None:
    """Every user of the machine sees a process's arguments."""
    said = tmp_path / "said"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pg_dump").write_text(f'#!/bin/sh\necho "$@" > "{said}"\necho "$PGPASSWORD" >> "{said}"\n')
    (programs / "pg_dump").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        dump_postgresql("postgresql://u:hunter2@h/d", tmp_path / "dump")
    arguments, password = said.read_text().splitlines()
    assert password == "hunter2"  # noqa: S105
    assert "--dbname=postgresql://u@h/d" in arguments.split()
    with_password = make_url(database("backup_small")).set(username="nobody", password="hunter2")  # noqa: S106
    with pytest.raises(BackupFailed, match="pg_dump of") as failed:
        dump_postgresql(with_password.render_as_string(hide_password=False), tmp_path / "dump")
    assert "hunter2" not in str(failed.value)


@pytest.fixture
def file(database: Callable[[str], str], tmp_path: Path) -> Path:
    """A backup of a small loop whose ledger is on the server."""
    settings = small_settings(tmp_path).model_copy(update={"ledger_url": database("backup_small")})
    make_database(settings.ledger_url)
    small_state(settings)
    backup(settings, tmp_path / "b.tar", Console(), force=False)
    return tmp_path / "b.tar"


def elsewhere(database: Callable[[str], str], tmp_path: Path) -> Settings:
    """Another folder, and another database."""
    return Settings(home=tmp_path / "elsewhere").model_copy(update={"ledger_url": database("backup_copy")})


def test_what_a_person_has_in_the_database_is_not_overwritten(
    file: Path, database: Callable[[str], str], tmp_path: Path
) -> None:
    found = elsewhere(database, tmp_path)
    make_database(found.ledger_url)
    with psycopg.connect(found.ledger_url, autocommit=True) as connection:
        connection.execute("CREATE VIEW mine AS SELECT 1")
        with pytest.raises(UserError, match=r"the database backup_copy \(ledger\) is not empty"):
            restore(found, file, Console())
        assert connection.execute("SELECT * FROM mine").fetchone() == (1,)
    assert [path.name for path in found.state.iterdir()] == ["lock"]


def test_a_restore_that_ended_after_the_database_goes_on_after_it(
    file: Path, database: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that was killed before it could record it names the database, which may be anybody's by now."""
    found = elsewhere(database, tmp_path)

    class Killed(restore_module._Restoring):
        def put(self, name: str, content: IO[bytes]) -> None:
            super().put(name, content)
            if name == "databases/ledger":
                raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(restore_module, "_Restoring", Killed)
        with pytest.raises(UserError, match="No space left"):
            restore(found, file, Console())
    mark = found.state / "restore-is-not-done.json"
    recorded = mark.read_text()
    mark.write_text(recorded.replace('"ledger"', ""))
    with pytest.raises(UserError, match=r"the database backup_copy \(ledger\) is not empty"):
        restore(found, file, Console())
    mark.write_text(recorded)
    restore(found, file, Console())
    assert not mark.exists()
    assert [outcome for _, outcome in Ledger(found.ledger_url).history()] == ["done"]

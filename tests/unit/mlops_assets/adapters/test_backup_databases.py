import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine

from mlops_assets.adapters import backup_databases
from mlops_assets.adapters.backup_databases import (
    artifact_folders,
    copy_sqlite,
    dump_postgresql,
    has_tables,
    kind_of,
    move_locations,
    sqlite_file,
)
from mlops_assets.domain.backup import BackupFailed


def made(path: Path, *, journal: str = "wal") -> Path:
    """A SQLite database with one empty table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    return path


def highest(path: Path) -> int:
    """The newest number."""
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("SELECT coalesce(max(number), 0) FROM numbers").fetchone()[0]
        return found


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_databases_are_copied_as_they_are_at_one_moment(tmp_path: Path, journal: str) -> None:
    """A number is written to the first, then to the second, as an event and then the cursor that names it."""
    files = [made(tmp_path / name, journal=journal) for name in ("events", "cursors")]
    copies = [tmp_path / f"{file.name}.copy" for file in files]
    done, wrote = Event(), Event()

    def write() -> None:
        first, second = (sqlite3.connect(file, timeout=30, isolation_level=None) for file in files)
        with closing(first), closing(second):
            number = 0
            while not done.is_set():
                number += 1
                first.execute("INSERT INTO numbers VALUES (?)", (number,))
                second.execute("INSERT INTO numbers VALUES (?)", (number,))
                wrote.set()

    writer = Thread(target=write)
    writer.start()
    try:
        seen = []
        for _ in range(20):
            wrote.clear()
            assert wrote.wait(10)
            copy_sqlite(files, copies)
            event, cursor = map(highest, copies)
            assert event - 1 <= cursor <= event
            seen.append(event)
            for copy in copies:
                copy.unlink()
    finally:
        done.set()
        writer.join()
    assert sorted(set(seen)) == seen, "nothing was written meanwhile"


def test_who_holds_a_database_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_databases, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(backup_databases, "LOCK_ATTEMPTS", 3)
    file = made(tmp_path / "ledger.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackupFailed, match=r"ledger.db cannot be read: database is locked"):
            copy_sqlite([file], [tmp_path / "copy"])
        holder.rollback()
        copy_sqlite([file], [tmp_path / "copy"])
    assert highest(tmp_path / "copy") == 0


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:////a/b.db", "sqlite"),
        ("postgresql://u@h/d", "postgresql"),
        ("postgresql+psycopg://u@h/d", "postgresql"),
    ],
)
def test_the_kinds_of_databases_are_told_apart(url: str, kind: str) -> None:
    assert kind_of(url) == kind


def test_another_kind_is_refused() -> None:
    with pytest.raises(BackupFailed, match="a database of mysql can be neither"):
        kind_of("mysql+pymysql://u:hunter2@h/d")


def test_missing_programs_are_told_with_what_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupFailed, match=r"pg_dump is not installed.*postgresql-client"):
        dump_postgresql("postgresql://u:hunter2@h/d", tmp_path / "dump")


def test_a_sqlite_database_that_is_not_there_has_no_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a b.db'}"
    assert not has_tables(url)
    assert not sqlite_file(url).exists(), "asking makes none"
    made(sqlite_file(url))
    assert has_tables(url)


@pytest.fixture
def mlflow(tmp_path: Path) -> str:
    """As much of MLflow's tables as says where artifacts are, in two state folders whose names begin alike."""
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE runs (artifact_uri TEXT, name TEXT)")
        connection.exec_driver_sql("CREATE TABLE model_versions (storage_location TEXT, source TEXT)")
        runs: list[tuple[str | None, str]] = [
            ("file:///old%20home/mlartifacts/1/a/artifacts", "/old home/x"),
            ("/old home/mlartifacts/1/b/artifacts", ""),
        ]
        runs += [("file:///old%20home2/1/c/artifacts", ""), ("mlflow-artifacts:/1/d/artifacts", ""), (None, "")]
        for run in runs:
            connection.exec_driver_sql("INSERT INTO runs VALUES (?, ?)", run)
        connection.exec_driver_sql("INSERT INTO model_versions VALUES ('file:///old%20home/m', 'models:/m-1')")
    return url


def test_mlflow_s_artifacts_are_found_below_another_folder(mlflow: str) -> None:
    """Nothing else is changed, and nothing of a folder whose name only begins alike."""
    move_locations(mlflow, Path("/old home"), Path("/old home/in it"))
    with create_engine(mlflow).connect() as connection:
        assert connection.exec_driver_sql("SELECT artifact_uri, name FROM runs").fetchall() == [
            ("file:///old%20home/in%20it/mlartifacts/1/a/artifacts", "/old home/x"),
            ("/old home/in it/mlartifacts/1/b/artifacts", ""),
            ("file:///old%20home2/1/c/artifacts", ""),
            ("mlflow-artifacts:/1/d/artifacts", ""),
            (None, ""),
        ]
        assert connection.exec_driver_sql("SELECT * FROM model_versions").fetchall() == [
            ("file:///old%20home/in%20it/m", "models:/m-1")
        ]


def test_where_artifacts_are_is_told(mlflow: str, tmp_path: Path) -> None:
    assert artifact_folders(mlflow) == {
        "file:///old%20home/mlartifacts/1",
        "/old home/mlartifacts/1",
        "file:///old%20home2/1",
        "mlflow-artifacts:/1",
    }
    assert artifact_folders(f"sqlite:///{made(tmp_path / 'empty.db')}") == set()

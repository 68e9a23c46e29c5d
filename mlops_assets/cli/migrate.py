"""`mlops migrate`: makes the databases that the settings name, and brings them up to the installed versions.

For servers: one run before any other program starts. With everything in one folder `mlops up` does it by itself.
"""

import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.backup import installed
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.stack import LoopRuns, only_stack
from mlops_assets.cli.state import demand_own_state, leave_mark
from mlops_assets.config import Settings

CONNECT_SECONDS = 10
MARK = "migrated"
"""File in a state folder: the versions that its databases were last migrated by."""
MAINTENANCE = "postgres"
"""The database that every server has, from which others are made."""


def migrate(settings: Settings, console: Console) -> None:
    """Makes and updates every database, and the state folder's marks; leaves those alone of a loop that runs.

    Raises:
        LoopRuns: the loop runs, and was migrated by other versions than these.
        UserError: a database cannot be made or updated.
    """
    mark = settings.state / MARK
    try:
        _migrate(settings, console)
        mark.write_text(_versions())
    except LoopRuns:
        # Compose starts the job again whenever a part of what runs is started anew.
        if not mark.exists() or mark.read_text() != _versions():
            raise
        console.print("the loop runs, and its databases are up to date")


def _versions() -> str:
    return ", ".join(f"{package} {version}" for package, version in installed().items())


def _migrate(settings: Settings, console: Console) -> None:
    with only_stack(settings):
        # Before anything is written: a restore that was interrupted goes on into empty databases.
        demand_own_state(settings)
        for url in (settings.ledger_url, settings.dagster_database_url, settings.mlflow_database_url):
            if url is not None and url.startswith("postgresql") and (made := make_database(url)):
                console.print(f"made the database {made}")
        Ledger(settings.ledger_url)
        Approvals(settings.ledger_url)
        console.print("the ledger's tables are there")
        dagster_databases.make(settings)
        console.print("Dagster's storage is up to date")
        if settings.mlflow_database_url is not None:
            _migrate_mlflow(settings.mlflow_database_url)
            console.print("MLflow's database is up to date")
        for folder in (settings.landing, settings.reports, settings.releases):
            folder.mkdir(parents=True, exist_ok=True)
        leave_mark(settings)


def make_database(url: str) -> str | None:
    """Makes the database that a URL names where it is not there; returns its name where it was made.

    Raises:
        UserError: the server cannot be reached, or does not let us.
    """
    parts = conninfo_to_dict(url)
    name = str(parts["dbname"])
    try:
        with psycopg.connect(
            make_conninfo(url, dbname=MAINTENANCE), autocommit=True, connect_timeout=CONNECT_SECONDS
        ) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return None
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return name
    except psycopg.Error as error:
        raise UserError(f"the database {name} on {parts.get('host', 'this machine')}: {error}".rstrip()) from None


def _migrate_mlflow(url: str) -> None:
    mlflow = str(Path(sys.executable).parent / "mlflow")
    done = subprocess.run([mlflow, "db", "upgrade", url], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"MLflow's database could not be brought up to date: {done.stderr.strip().splitlines()[-1]}")

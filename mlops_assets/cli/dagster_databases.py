"""Dagster's own databases: made and brought up to date by one process, before any other opens them.

Two that migrate an empty database at a time leave it with two heads, and Dagster never opens it again.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from mlops_assets.cli.programs import ROOT
from mlops_assets.config import Settings

POSTGRESQL = """
storage:
  postgres:
    postgres_url: {url}
"""


def are_made(settings: Settings) -> bool:
    """Whether Dagster's databases are there, whole."""
    return _mark(settings).exists()


def make(settings: Settings) -> None:
    """Makes the databases, or brings those of an older Dagster up to date; only under the state folder's lock."""
    write_instance(settings)
    # A server's databases may have been made anew without this folder.
    if settings.dagster_database_url is None and are_made(settings) and _mark(settings).read_text() == _version():
        return
    from mlops_assets.cli.history import dagster_instance  # Dagster takes seconds to import

    with dagster_instance(settings) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
        instance.get_dynamic_partitions("window")
        instance.upgrade()
    _mark(settings).write_text(_version())


def write_instance(settings: Settings) -> None:
    """Writes the `dagster.yaml` that every program of the loop reads."""
    home = settings.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    if settings.dagster_database_url is not None:
        with (home / "dagster.yaml").open("a") as file:
            # Its NOTIFY has a parameter, which SQLAlchemy's own choice of driver, psycopg 3, sends apart; the server
            # then refuses it, and with it every materialization.
            url = settings.dagster_database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
            file.write(POSTGRESQL.format(url=json.dumps(url)))


def _mark(settings: Settings) -> Path:
    return settings.state / "dagster" / "databases-are-made"


def _version() -> str:
    return version("dagster")

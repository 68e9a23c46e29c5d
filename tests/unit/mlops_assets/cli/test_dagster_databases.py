import sqlite3
from pathlib import Path

from mlops_assets.cli import dagster_databases
from mlops_assets.config import Settings


def test_every_database_is_made_before_it_is_said_to_be(tmp_path: Path) -> None:
    """`mlops status` and three servers open them at the same time: whoever comes first would migrate beside another."""
    settings = Settings(home=tmp_path)
    assert not dagster_databases.are_made(settings)
    dagster_databases.make(settings)
    assert dagster_databases.are_made(settings)
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        with sqlite3.connect(tmp_path / "dagster" / name) as database:
            assert len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1, name

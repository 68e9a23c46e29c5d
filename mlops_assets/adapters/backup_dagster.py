"""Dagster's own SQLite databases, copied so that they fit together while runs go on.

A run's event is written to the run's own database, then to the index of all runs' assets, and its status then to that
of the runs; a sensor's cursor is the number of an event in the index. What is known of Dagster's tables for it stands
here alone. Copying one database belongs to `backup_databases`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from mlops_assets.adapters.backup_databases import copy_sqlite

RUNS, INDEX = "history/runs.db", "history/runs/index.db"
FILES = ("schedules/schedules.db", RUNS, INDEX)
"""Below Dagster's home, all but the runs' own databases."""
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


def copy_dagster(home: Path, to: Path) -> dict[Path, Path]:
    """Copies the databases, and those of the runs that are not finished.

    These are copied while nobody can write to the others: a run that told of itself what the index does not have would
    be tried again from there, and what it had made would be missing for ever. A finished run tells nothing more, so
    its database can be copied at any time after.

    Args:
        home: Dagster's home.
        to: An empty folder.

    Returns:
        The copy of each.

    Raises:
        BackupFailed: Dagster did not let go of them.
    """
    copies = {file: to / file.name for name in FILES if (file := home / name).exists()}
    others = dict(copies)

    def copy_unfinished() -> None:
        for run_id in _unfinished(home / RUNS):
            shard = (home / INDEX).with_name(f"{run_id}.db")
            if shard.exists():
                copies[shard] = to / shard.name
                copy_sqlite([shard], [copies[shard]])

    copy_sqlite(list(others), list(others.values()), while_held=copy_unfinished)
    return copies


def _unfinished(runs: Path) -> list[str]:
    if not runs.exists():
        return []
    with closing(sqlite3.connect(f"{runs.as_uri()}?mode=ro", uri=True)) as connection:
        # A start that was interrupted can leave it without tables.
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is None:
            return []
        found = connection.execute("SELECT run_id FROM runs WHERE status NOT IN (?, ?, ?)", FINISHED)
        return [run_id for (run_id,) in found]

"""Dagster's own databases: made by one process, before any other opens them.

Two that migrate an empty database at a time leave it with two heads, and Dagster never opens it again.
"""

from pathlib import Path

from mlops_assets.config import Settings


def are_made(settings: Settings) -> bool:
    """Whether Dagster's databases are there, whole."""
    return _mark(settings).exists()


def make(settings: Settings) -> None:
    """Makes the databases where they are not there; only under the state folder's lock."""
    if are_made(settings):
        return
    from mlops_assets.cli.history import dagster_instance  # Dagster takes seconds to import

    with dagster_instance(settings) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
        instance.get_dynamic_partitions("window")
    _mark(settings).touch()


def _mark(settings: Settings) -> Path:
    return settings.state / "dagster" / "databases-are-made"

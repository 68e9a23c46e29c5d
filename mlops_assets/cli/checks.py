"""`mlops checks`: every asset check on small windows, in a state of its own, as continuous integration runs it."""

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import service_of
from mlops_assets.checks.service import judge_service, service_answers_as_released
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.recovery import prepare
from mlops_assets.cli.stack import free_port, service_process
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import FLIGHTS
from mlops_assets.datasets.flights import write_windows
from mlops_assets.definitions import build_definitions
from mlops_assets.jobs import training_job, window_job
from mlops_assets.partitions import window_partitions

SMALL_WINDOWS = ("2013-01", "2013-02")
ONE_FLIGHT_IN = 10
"""About 2,500 rows a window; a full training has no place in continuous integration."""
QUIET = {"python_logs": {"python_log_level": "WARNING"}}
FOLLOW_SECONDS = 10
"""What the service gets to follow the last release."""


def run_checks(console: Console, folder: Path | None) -> bool:
    """Runs the graph in process on each window, with a real service, and prints every check's verdict.

    Args:
        console: Where the table goes.
        folder: Landed windows to run on; small ones of the flights where none is given.

    Returns:
        Whether every check passed.
    """
    warnings.simplefilter("ignore")  # of libraries about themselves
    table = Table("window", "check", "verdict", "found", box=SIMPLE_HEAD)
    passed = True
    with TemporaryDirectory() as home:
        settings = _own_settings(Path(home), folder)
        windows = _land(settings)
        prepare(settings)
        with (
            dg.DagsterInstance.ephemeral(settings=QUIET) as instance,
            service_process(settings),
            console.status("") as status,
        ):
            for window, evaluation in _evaluations(settings, instance, windows):
                status.update(f"{window} ...")
                passed &= evaluation.passed or is_warning(evaluation)
                table.add_row(
                    window,
                    evaluation.check_name,
                    "passed" if evaluation.passed else "warned" if is_warning(evaluation) else "FAILED",
                    evaluation.description or "",
                )
    console.print(table, markup=False)
    return passed


def is_warning(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether it is to be looked at, and stops nothing: rows in quarantine within the limit, labels yet to come."""
    return evaluation.severity == dg.AssetCheckSeverity.WARN


def _own_settings(home: Path, folder: Path | None) -> Settings:
    """Settings that share nothing with the user's loop but, for the user's own windows, the dataset."""
    if folder is None:
        return Settings(home=home, dataset=FLIGHTS, source=None, service_port=free_port(), MLFLOW_TRACKING_URI=None)
    return Settings(home=home, source=str(folder.absolute()), service_port=free_port(), MLFLOW_TRACKING_URI=None)


def _land(settings: Settings) -> list[str]:
    if settings.source is None:
        return [path.stem for path in write_windows(settings.landing, SMALL_WINDOWS, one_row_in=ONE_FLIGHT_IN)]
    landing = landing_of(settings)
    windows = sorted(found.window for found in landing.landed(now=time.time()) if found.waits_for is None)
    if not windows:
        raise UserError(f"{settings.source} holds no window")
    return windows


def _evaluations(
    settings: Settings, instance: dg.DagsterInstance, windows: list[str]
) -> Iterator[tuple[str, dg.AssetCheckEvaluation]]:
    definitions = build_definitions(settings)
    jobs = [definitions.resolve_job_def(job.name) for job in (window_job, training_job)]
    for window in windows:
        instance.add_dynamic_partitions(str(window_partitions.name), [window])
        for job in jobs:
            result = job.execute_in_process(partition_key=window, instance=instance)
            evaluations = result.get_asset_check_evaluations()
            yield from ((window, evaluation) for evaluation in evaluations)
            if not all(evaluation.passed or is_warning(evaluation) for evaluation in evaluations):
                break
            if any(evaluation.check_name == "labels_have_come" and not evaluation.passed for evaluation in evaluations):
                break
    service, releases = service_of(settings), ReleaseStore(settings.releases)
    until = time.monotonic() + (FOLLOW_SECONDS if releases.pointer() else 0)
    while not (verdict := judge_service(service, releases))[0] and time.monotonic() < until:
        time.sleep(0.2)
    passed, found = verdict
    (key,) = service_answers_as_released.check_keys
    yield (
        windows[-1],
        dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=passed, description=found),
    )

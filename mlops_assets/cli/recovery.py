"""What a start does first: makes the databases, and finishes or fails what a crash left.

Only under the state folder's lock, and after what an earlier supervisor left running was ended: it takes every
unfinished run for an orphan, and every unfinished file for nobody's.
"""

import shutil
from collections.abc import Sequence

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import registry_of
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.state import leave_mark
from mlops_assets.config import Settings


def prepare(settings: Settings) -> list[str]:
    """Makes MLflow's database before any worker does: two at a time fail.

    Says where the user's MLflow server could not be prepared; the loop starts without it.

    Raises:
        UserError: the state folder is that of another dataset.
        SourceInvalid: no landing can be made of the source and the contract; the code location could not be loaded.
    """
    landing_of(settings)
    leave_mark(settings)
    _sweep(settings)
    registry = registry_of(settings)
    if not settings.tracking_uri:
        if not (settings.state / "mlflow.db").exists():
            registry.prepare()
        return []
    try:
        registry.prepare()
    # MLflow's exceptions may be imported by its adapter alone, and a server's failure has more classes than those.
    except Exception as error:
        return [f"MLflow could not be prepared: {_cause(error)}; start again once it answers, if it is new to the loop"]
    return []


def _sweep(settings: Settings) -> None:
    """Removes what a killed run left: copies in the spool, half a version or release, and the engine's own files."""
    left = [settings.spool, *settings.windows.glob(".spill-*"), *settings.windows.glob("*/.*.tmp")]
    left += settings.releases.glob(".*.tmp")
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def recover(settings: Settings) -> list[str]:
    """Finishes open promotions and fails orphaned runs; says what it did, and what it could not."""
    return reconcile(settings) + fail_runs(settings, orphaned_runs(settings))


def reconcile(settings: Settings) -> list[str]:
    """Finishes or voids open promotions; says what it did, and what it could not."""
    ledger = Ledger(settings.ledger_url)
    if not ledger.unfinished():
        return []
    promoter = Promoter(ledger, registry_of(settings), ReleaseStore(settings.releases))
    try:
        concluded = promoter.reconcile()
    # As in `prepare`. The intent stays open, so nothing is lost by going on.
    except Exception as error:
        return [f"an open promotion could not be concluded: {_cause(error)}; the next promotion or start tries again"]
    return [str(finished) for finished in concluded]


def _cause(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def orphaned_runs(settings: Settings) -> list[str]:
    """Runs whose worker died with everything else: they would stay STARTED, and keep their window waiting, for ever."""
    if not dagster_databases.are_made(settings):
        return []
    import dagster as dg

    from mlops_assets.adapters.runs import UNFINISHED
    from mlops_assets.cli.history import dagster_instance

    with dagster_instance(settings) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        return [run.run_id for run in runs if run.status != dg.DagsterRunStatus.QUEUED]


def fail_runs(settings: Settings, run_ids: Sequence[str]) -> list[str]:
    """Fails runs that have not ended since, so that Dagster tries them again; says which."""
    if not run_ids:
        return []
    import dagster as dg

    from mlops_assets.adapters.runs import UNFINISHED
    from mlops_assets.cli.history import dagster_instance

    done = []
    with dagster_instance(settings) as instance:
        for run in instance.get_runs(dg.RunsFilter(run_ids=list(run_ids), statuses=UNFINISHED)):
            instance.report_run_failed(run, "its worker was gone when the loop was started again")
            done.append(f"failed the orphaned run {run.run_id[:8]} ({run.job_name}); it is tried again")
    return done

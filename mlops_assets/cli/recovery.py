"""What a start does first: makes the databases, and finishes or fails what a crash left.

Only under the state folder's lock: it takes every unfinished run for an orphan.
"""

import os

from mlops_assets.adapters.ledger import Ledger, Promotion
from mlops_assets.adapters.model_registry import ModelRegistry
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset


def prepare(settings: Settings) -> None:
    """Makes MLflow's database before any worker does: two at a time fail."""
    if settings.tracking_uri or not (settings.state / "mlflow.db").exists():
        _registry(settings).prepare()


def recover(settings: Settings) -> list[str]:
    """Finishes open promotions and fails orphaned runs; says what it did."""
    promotions = [
        f"concluded the promotion of version {p.model_version}, epoch {p.epoch}" for p in _reconcile(settings)
    ]
    return promotions + _fail_orphaned_runs(settings)


def _registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(settings.mlflow_uri, read_dataset(settings.dataset).name, settings.mlflow_artifacts)


def _reconcile(settings: Settings) -> list[Promotion]:
    ledger = Ledger(settings.ledger_url)
    if not ledger.unfinished():
        return []
    return Promoter(ledger, _registry(settings), ReleaseStore(settings.releases)).reconcile()


def _fail_orphaned_runs(settings: Settings) -> list[str]:
    """A run whose worker died with everything else would stay STARTED, and keep its window waiting, for ever."""
    home = settings.state / "dagster"
    if not (home / "history").exists():
        return []
    os.environ["DAGSTER_HOME"] = str(home)
    import dagster as dg

    from mlops_assets.sensors.windows import UNFINISHED

    done = []
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
            if run.status != dg.DagsterRunStatus.QUEUED:
                instance.report_run_failed(run, "its worker was gone when the loop was started again")
                done.append(f"failed the orphaned run {run.run_id[:8]} ({run.job_name}); it is tried again")
    return done

"""A state folder with MLflow, and a process that works on it until it kills itself. What it leaves, a test judges."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from mlops_assets.adapters import ledger as ledger_module
from mlops_assets.adapters.ledger import Ledger, Request
from mlops_assets.adapters.model_registry import CandidateVersion, ModelRegistry
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from serving import release
from tests.unit.mlops_assets.small_bundles import request_for
from tests.unit.serving.bundles import write_bundle

STEPS: dict[str, tuple[Any, str]] = {
    "intend": (Ledger, "intend"),
    "hold": (ledger_module, "_write_hold"),  # within intend
    "download": (ModelRegistry, "download_bundle"),
    "publish": (ReleaseStore, "publish"),
    "rename": (Path, "rename"),  # within publish
    "move": (ModelRegistry, "move_production"),
    "tag": (ModelRegistry, "set_status"),  # within move, after the alias and before the older version's tag
    "point": (ReleaseStore, "point_to"),
    "replace": (Path, "replace"),  # within point
    "conclude": (Ledger, "conclude"),
}


class State:
    """A state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.releases = folder / "releases"
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.registry = ModelRegistry(f"sqlite:///{folder / 'mlflow.db'}", "small", None)
        self.promoter = Promoter(self.ledger, self.registry, ReleaseStore(self.releases))

    def register(self, version: int) -> None:
        """Registers the next version, with a bundle that the service can load."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.registry.tracking_uri, registry_uri=self.registry.tracking_uri)
        experiment = client.get_experiment_by_name("small")
        assert experiment is not None
        run_id = client.create_run(experiment.experiment_id).info.run_id
        registered = client.create_model_version("small", f"runs:/{run_id}/model", run_id=run_id)
        assert int(registered.version) == version
        self.registry.set_status(version, "candidate")
        self.registry.log_bundle(CandidateVersion(version, run_id), write_bundle(self.folder / "made", version))

    def request(self, version: int) -> Request:
        """What the gate would ask for now."""
        now = self.ledger.production()
        sha = release.sha256_of(self.folder / "made" / str(version) / release.MANIFEST)
        return request_for(version, sha, expected_epoch=now.epoch if now else None)


def promote(folder: Path, moment: str | None) -> None:
    """Promotes version 2, up to a moment such as `before move`; to the end where none is named."""
    state = _dying_at(folder, moment)
    state.promoter.promote(state.request(2))


def roll_back(folder: Path, moment: str | None) -> None:
    """Rolls back."""
    _dying_at(folder, moment).promoter.roll_back(None, actor="ann", reason="incident 7")


def reconcile(folder: Path, moment: str | None) -> None:
    """Finishes what a crash left."""
    _dying_at(folder, moment).promoter.reconcile()


def _dying_at(folder: Path, moment: str | None) -> State:
    tempfile.tempdir = str(folder.parent)  # where pytest finds what a killed process leaves there
    if moment is not None:
        when, step = moment.split()
        owner, name = STEPS[step]
        act = getattr(owner, name)

        def die(*args: object, **kwargs: object) -> None:
            if when == "after":
                act(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, die)
    return State(folder)

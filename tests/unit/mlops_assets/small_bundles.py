"""Small release bundles, and a registry on a folder that hands them out: what the tests of promotions start from."""

import shutil
from pathlib import Path

from mlops_assets.adapters.ledger import Request
from mlops_assets.adapters.release_store import Lineage, write_bundle
from serving import release
from serving.release import Case
from tests.unit.mlops_assets.small_windows import small_dataset


def small_bundle(folder: Path, version: int, *, model: bytes = b"a model", cases: list[Case] | None = None) -> str:
    """Fills a new folder with a bundle of the small contract; gives its manifest's hash."""
    folder.mkdir(parents=True)
    return write_bundle(
        folder,
        model=model + b" of version %d" % version if model == b"a model" else model,
        cases=cases or [],
        dataset=small_dataset(),
        lineage=Lineage(
            model_name="small",
            model_version=version,
            training_windows={"2013-01": "aaaa", "2013-02": "bbbb"},
            validation_window=("2013-02", "bbbb"),
            dagster_run_id="run",
            mlflow_run_id=f"mlflow-{version}",
        ),
        importance={},
        card="",
        metrics={"auc": 0.7},
    )


class FolderRegistry:
    """A model registry with a folder for each version and a file for the alias `production`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._alias = folder / "production"

    def add(self, version: int) -> str:
        """Registers a version; gives its bundle's hash."""
        return small_bundle(self.folder / str(version), version)

    def spoil(self, version: int) -> None:
        """Changes a byte of a version's bundle."""
        model = self.folder / str(version) / release.MODEL
        model.write_bytes(model.read_bytes() + b"!")

    @property
    def production(self) -> int | None:
        """The version that has the alias."""
        return int(self._alias.read_text()) if self._alias.exists() else None

    def download_bundle(self, version: int, folder: Path) -> Path:
        """Copies a version's release bundle below `folder` and says where."""
        if not self.holds(version):
            raise release.ReleaseInvalid(f"the release bundle of version {version} is gone")
        return Path(shutil.copytree(self.folder / str(version), folder / "release"))

    def delete(self, version: int) -> None:
        """Deletes a version, and with it the alias that names it, as MLflow does."""
        shutil.rmtree(self.folder / str(version))
        if self.production == version:
            self._alias.unlink()

    def move_by_hand(self, version: int) -> None:
        """Sets the alias, as a person does in MLflow's page."""
        self._alias.write_text(str(version))

    def holds(self, version: int) -> bool:
        """Whether the version is there."""
        return (self.folder / str(version)).is_dir()

    def says_production(self, version: int) -> bool:
        """Whether this version has the alias, and no other."""
        return self.production == version

    def production_version(self) -> int | None:
        """The version that has the alias."""
        return self.production

    def move_production(self, version: int) -> None:
        """Sets the alias.

        Raises:
            LookupError: the version is not there, as MLflow says in its own words.
        """
        if not self.holds(version):
            raise LookupError(version)
        self._alias.write_text(str(version))


def request_for(version: int, manifest_sha256: str, *, expected_epoch: int | None = None) -> Request:
    """What is asked for: this version, in place of the production of that epoch."""
    return Request(
        model_version=version,
        expected_epoch=expected_epoch,
        actor="test",
        reason=f"version {version} is better",
        manifest_sha256=manifest_sha256,
        evidence_sha256="e" * 64,
        dagster_run_id="run",
    )

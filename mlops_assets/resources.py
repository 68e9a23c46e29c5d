"""What the assets are given to work with. A resource only wires: it hands back a plain object of `adapters`."""

from pathlib import Path

import dagster as dg

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.feature_store import FeatureStore, feature_store
from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import CLIENT_LIMITS, ModelRegistry
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.service_client import service_of
from mlops_assets.adapters.tracked_run import tracked_run
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.config import EngineName, Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.dataset import Dataset


class DatasetResource(dg.ConfigurableResource[Dataset]):
    """The dataset's contract."""

    path: str

    def create_resource(self, context: dg.InitResourceContext) -> Dataset:  # noqa: ARG002
        """Reads it; a wrong file fails the run with the line and what is expected."""
        return read_dataset(Path(self.path))


class EnginesResource(dg.ConfigurableResource[Engines]):
    """What validates, splits, samples and scores windows."""

    name: EngineName
    spark_master: str

    def create_resource(self, context: dg.InitResourceContext) -> Engines:  # noqa: ARG002
        """The choice; one that cannot run here fails the run with what to install."""
        engines = Engines(self.name, self.spark_master)
        engines.demand()
        return engines


class WindowStoreResource(dg.ConfigurableResource[WindowStore]):
    """The data windows."""

    folder: str
    dataset: dg.ResourceDependency[Dataset]
    engines: dg.ResourceDependency[Engines]

    def create_resource(self, context: dg.InitResourceContext) -> WindowStore:  # noqa: ARG002
        """The store of this dataset."""
        return WindowStore(Path(self.folder), self.dataset, self.engines)


class ReleaseStoreResource(dg.ConfigurableResource[ReleaseStore]):
    """The release bundles."""

    folder: str

    def create_resource(self, context: dg.InitResourceContext) -> ReleaseStore:  # noqa: ARG002
        """The store."""
        return ReleaseStore(Path(self.folder))


class ModelRegistryResource(dg.ConfigurableResource[ModelRegistry]):
    """The registered model in MLflow."""

    tracking_uri: str
    artifacts: str | None
    dataset: dg.ResourceDependency[Dataset]

    def create_resource(self, context: dg.InitResourceContext) -> ModelRegistry:  # noqa: ARG002
        """The registry of this dataset's model."""
        return ModelRegistry(self.tracking_uri, self.dataset.name, Path(self.artifacts) if self.artifacts else None)


class LedgerResource(dg.ConfigurableResource[Ledger]):
    """The record of what moved production, and of what was seen before."""

    url: str

    def create_resource(self, context: dg.InitResourceContext) -> Ledger:  # noqa: ARG002
        """The ledger."""
        return Ledger(self.url)


class ApprovalsResource(dg.ConfigurableResource[Approvals]):
    """What persons were asked to let through, and said."""

    url: str

    def create_resource(self, context: dg.InitResourceContext) -> Approvals:  # noqa: ARG002
        """The requests and answers."""
        return Approvals(self.url)


class PromoterResource(dg.ConfigurableResource[Promoter]):
    """What makes a version production."""

    ledger: dg.ResourceDependency[Ledger]
    registry: dg.ResourceDependency[ModelRegistry]
    releases: dg.ResourceDependency[ReleaseStore]

    def create_resource(self, context: dg.InitResourceContext) -> Promoter:  # noqa: ARG002
        """The promoter over ledger, registry and releases."""
        return Promoter(self.ledger, self.registry, self.releases)


class GatheredLogResource(dg.ConfigurableResource[GatheredLog]):
    """What the service answered, and what came true of it."""

    log: str
    folder: str
    keep_days: float | None

    def create_resource(self, context: dg.InitResourceContext) -> GatheredLog:  # noqa: ARG002
        """The log of this service."""
        return GatheredLog(Path(self.log), Path(self.folder), keep_days=self.keep_days)


class ReportsResource(dg.ConfigurableResource["ReportsResource"]):
    """Where Evidently's pages are kept, and where a browser finds them."""

    folder: str
    url: str

    def page(self, window: str) -> Path:
        """The file of a window's drift report."""
        return Path(self.folder) / f"drift-{window}.html"

    def link(self, window: str) -> str:
        """The address of a window's drift report."""
        return f"{self.url}/{self.page(window).name}"


class ScoredWindowsResource(dg.ConfigurableResource["ScoredWindowsResource"]):
    """Where windows that a model scored are kept."""

    folder: str

    def file(self, window: str, *, data_version: str, model_version: int) -> Path:
        """The scores of a version of a window by a version of the model."""
        return Path(self.folder) / window / f"{data_version}-v{model_version}.parquet"


@dg.resource(config_schema={"experiment_name": str, "mlflow_tracking_uri": str, "env": dict, "extra_tags": dict})
def mlflow_run(context: dg.InitResourceContext):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """dagster-mlflow's resource, imported when a step asks for it and not before (it takes seconds)."""
    yield from tracked_run(context)


def landing_resource(settings: Settings) -> dg.ResourceDefinition:
    """The place where windows land.

    Not a configurable resource: Dagster shows a configuration, and a location may hold a password.
    """

    def landing(context: dg.InitResourceContext) -> Landing:  # noqa: ARG001
        return landing_of(settings)

    return dg.ResourceDefinition(landing)


def features_resource(settings: Settings) -> dg.ResourceDefinition:
    """Where the feature table is written; not configurable for the same reason."""

    def features(context: dg.InitResourceContext) -> FeatureStore:  # noqa: ARG001
        return feature_store(settings.releases, settings.features_url)

    return dg.ResourceDefinition(features)


def resources(settings: Settings) -> dict[str, object]:
    """All resources, wired by settings."""
    dataset = DatasetResource(path=str(settings.dataset.absolute()))
    engines = EnginesResource(name=settings.engine, spark_master=settings.spark_master)
    releases = ReleaseStoreResource(folder=str(settings.releases))
    registry = ModelRegistryResource(
        tracking_uri=settings.mlflow_uri,
        artifacts=str(settings.mlflow_artifacts) if settings.mlflow_artifacts else None,
        dataset=dataset,
    )
    ledger = LedgerResource(url=settings.ledger_url)
    return {
        "dataset": dataset,
        "landing": landing_resource(settings),
        "windows": WindowStoreResource(folder=str(settings.windows), dataset=dataset, engines=engines),
        "engines": engines,
        "features": features_resource(settings),
        "releases": releases,
        "registry": registry,
        "ledger": ledger,
        "approvals": ApprovalsResource(url=settings.ledger_url),
        "promoter": PromoterResource(ledger=ledger, registry=registry, releases=releases),
        "service": dg.ResourceDefinition(lambda _: service_of(settings)),
        "log": GatheredLogResource(
            log=str(settings.prediction_log), folder=str(settings.gathered_log), keep_days=settings.log_keep_days
        ),
        "reports": ReportsResource(folder=str(settings.reports), url=settings.reports_url),
        "scored": ScoredWindowsResource(folder=str(settings.scored)),
        "mlflow": mlflow_run.configured(
            {
                "experiment_name": read_dataset(settings.dataset).name,
                "mlflow_tracking_uri": settings.mlflow_uri,
                "env": dict(CLIENT_LIMITS),
                "extra_tags": {},
            }
        ),
    }

"""`production_sensor`: finishes promotions that a crash left, and puts right what someone moved by hand."""

import dagster as dg

from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import ModelRegistry
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset

PRODUCTION_MODEL = dg.AssetKey("production_model")


def production_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on ledger, registry and pointer."""
    registry = ModelRegistry(settings.mlflow_uri, read_dataset(settings.dataset).name, settings.mlflow_artifacts)

    @dg.sensor(
        name="production_sensor",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(PRODUCTION_MODEL),
        description="Keeps ledger, release, alias and pointer of the production model in agreement.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings.state.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(settings.ledger_url)
        if not ledger.history():
            return dg.SkipReason("nothing was promoted yet")
        promoter = Promoter(ledger, registry, ReleaseStore(settings.releases))
        said = [f"finished the promotion of version {one.model_version}" for one in promoter.reconcile()]
        said += promoter.put_right()
        if not said:
            return dg.SkipReason("ledger, release, alias and pointer agree")
        for line in said:
            context.log.warning(line)
        observed = dg.AssetObservation(PRODUCTION_MODEL, description="; ".join(said))
        return dg.SensorResult(asset_events=[observed])

    return sense

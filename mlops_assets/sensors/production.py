"""`production_sensor`: finishes what a crash left, puts right what someone moved, and shows what was rolled back."""

import dagster as dg

from mlops_assets.adapters.ledger import Ledger, Promotion
from mlops_assets.adapters.model_registry import registry_of
from mlops_assets.adapters.promotion import BY_HAND, Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.config import Settings

PRODUCTION_MODEL = dg.AssetKey("production_model")


def production_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on ledger, registry and pointer."""
    registry = registry_of(settings)

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
        said = "; ".join(Promoter(ledger, registry, ReleaseStore(settings.releases)).put_right())
        production = ledger.production()
        epoch = production.epoch if production else 0
        seen_epoch, _, seen = (context.cursor or " ").partition(" ")
        events: list[dg.AssetMaterialization | dg.AssetObservation] = []
        if production is not None and production.dagster_run_id == BY_HAND and str(epoch) != seen_epoch:
            events.append(_by_hand(production))
        if said and said != seen:  # what cannot be mended is told once, and not every few seconds
            context.log.warning(said)
            events.append(dg.AssetObservation(PRODUCTION_MODEL, description=said))
        if events:
            return dg.SensorResult(asset_events=events, cursor=f"{epoch} {said}")
        skipped = dg.SkipReason(said or "ledger, release, alias and pointer agree")
        return dg.SensorResult(skip_reason=skipped, cursor=f"{epoch} {said}")

    return sense


def _by_hand(production: Promotion) -> dg.AssetMaterialization:
    """A roll back, which no run made, on the asset's page."""
    return dg.AssetMaterialization(
        PRODUCTION_MODEL,
        description=f"rolled back to version {production.model_version} by {production.actor}",
        metadata={
            "model_version": production.model_version,
            "epoch": production.epoch,
            "reason": production.reason,
            "rolled_back_by": production.actor,
        },
    )

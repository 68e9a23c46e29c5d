"""`service_sensor`: observes what the service serves, and checks it whenever that or the release changes."""

import json
import time

import dagster as dg

from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServedRelease, ServiceClient, ServiceUnavailable, service_of
from mlops_assets.checks.service import judge_service, service_answers_as_released
from mlops_assets.config import Settings
from mlops_assets.sensors.watching import watch

FOLLOW_SECONDS = 5
"""What the service gets to load a new release before it is said not to serve it."""
PREDICTION_SERVICE = dg.AssetKey("prediction_service")


def service_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the prediction service of these settings."""
    service = service_of(settings, timeout_seconds=2)
    releases = ReleaseStore(settings.releases)

    @dg.sensor(
        name="service_sensor",
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(PREDICTION_SERVICE),
        description="Observes the prediction service and sends it the release's cases.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        def look() -> tuple[str, ServedRelease | None] | None:
            pointer = releases.pointer()
            if pointer is None:
                return None
            served = _served(service)
            whole = served is not None and served.all_serve(pointer.epoch)
            state = json.dumps([[served.epoch, whole] if served else "down", pointer.epoch])
            on_its_way = served is not None and not whole and served.refused is None
            if on_its_way and releases.seconds_since_pointed(now=time.time()) < FOLLOW_SECONDS:
                return None
            return None if state == context.cursor else (state, served)

        changed = watch(look, seconds=settings.watch_seconds)
        if changed is None:
            return dg.SkipReason("neither the release nor what is served has changed")
        state, served = changed
        passed, found = judge_service(service, releases)
        check = dg.AssetCheckEvaluation(
            asset_key=PREDICTION_SERVICE,
            check_name=next(iter(service_answers_as_released.check_keys)).name,
            passed=passed,
            metadata={"found": found},
            description=found,
        )
        observation = dg.AssetObservation(PREDICTION_SERVICE, description=found, metadata=_metadata(served))
        return dg.SensorResult(asset_events=[observation, check], cursor=state)

    return sense


def _served(service: ServiceClient) -> ServedRelease | None:
    try:
        return service.served()
    except ServiceUnavailable:
        return None


def _metadata(served: ServedRelease | None) -> dict[str, int | str | bool]:
    if served is None:
        return {"reachable": False}
    return {"reachable": True, "model_version": served.model_version or 0, "epoch": served.epoch or 0}

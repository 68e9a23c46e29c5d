"""`prediction_log_sensor`: has what the service sealed gathered, once a minute at most."""

import dagster as dg

from mlops_assets.adapters.runs import under_way
from mlops_assets.config import Settings
from mlops_assets.jobs import prediction_log_job
from serving.log_segments import sealed

EVERY_SECONDS = 60
"""Between two gatherings: a run costs a second, and a window is made once a day."""


def prediction_log_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the service's log of these settings."""

    @dg.sensor(
        name="prediction_log_sensor",
        job=prediction_log_job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the sealed segments of the prediction log gathered.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        waiting = len(sealed(settings.prediction_log))
        if not waiting:
            return dg.SkipReason("no sealed segment waits")
        if under_way(context.instance, prediction_log_job.name):
            return dg.SkipReason(f"{waiting} sealed segments wait for the gathering that is under way")
        return dg.SensorResult(run_requests=[dg.RunRequest()])

    return sense

"""Puts the graph together, and gives it to Dagster as `defs`. What a part does stands in the part's own module."""

import dagster as dg

from mlops_assets.assets.candidate import candidate_model
from mlops_assets.assets.drift import drift_report
from mlops_assets.assets.feature_table import feature_table
from mlops_assets.assets.performance import realised_performance
from mlops_assets.assets.prediction_log import prediction_log
from mlops_assets.assets.prediction_window import prediction_window
from mlops_assets.assets.production import production_model
from mlops_assets.assets.scoring import scored_window
from mlops_assets.assets.service import prediction_service
from mlops_assets.assets.windows import data_window
from mlops_assets.checks.drift import no_feature_went_silent
from mlops_assets.checks.prediction_log import prediction_log_is_whole
from mlops_assets.checks.service import service_answers_as_released
from mlops_assets.checks.windows import window_checks
from mlops_assets.config import Settings
from mlops_assets.jobs import (
    drift_job,
    prediction_log_job,
    prediction_window_job,
    promotion_job,
    scoring_job,
    training_job,
    window_job,
)
from mlops_assets.resources import resources
from mlops_assets.schedules.drift import drift_schedule
from mlops_assets.schedules.prediction_window import prediction_window_schedule
from mlops_assets.sensors.approval import approval_sensor
from mlops_assets.sensors.drift import drift_sensor
from mlops_assets.sensors.notification import notification_sensor
from mlops_assets.sensors.prediction_log import prediction_log_sensor
from mlops_assets.sensors.production import production_sensor
from mlops_assets.sensors.service import service_sensor
from mlops_assets.sensors.windows import window_sensor


def build_definitions(settings: Settings) -> dg.Definitions:
    """The whole graph, wired by settings."""
    return dg.Definitions(
        assets=[
            data_window,
            drift_report,
            realised_performance,
            feature_table,
            candidate_model,
            production_model,
            prediction_service,
            prediction_log,
            prediction_window,
            scored_window,
        ],
        asset_checks=[window_checks, no_feature_went_silent, service_answers_as_released, prediction_log_is_whole],
        jobs=[
            window_job,
            drift_job,
            training_job,
            promotion_job,
            prediction_log_job,
            prediction_window_job,
            scoring_job,
        ],
        sensors=[
            window_sensor(settings),
            drift_sensor(settings),
            approval_sensor(settings),
            production_sensor(settings),
            service_sensor(settings),
            prediction_log_sensor(settings),
            notification_sensor(settings),
        ],
        schedules=[drift_schedule(settings), prediction_window_schedule(settings)],
        resources=resources(settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location that `workspace.yaml` names."""
    return build_definitions(Settings())

"""`prediction_window_schedule`: has each whole period of answered traffic land as a window."""

import dagster as dg

from mlops_assets.config import Settings
from mlops_assets.domain.log_period import last_whole
from mlops_assets.jobs import prediction_window_job

CRON = {"day": "0 1 * * *", "week": "0 1 * * 1", "month": "0 1 1 * *"}
"""An hour after the period's end: by then the service has sealed what it wrote."""


def prediction_window_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule of these settings; off until someone turns it on in Dagster's page."""

    @dg.schedule(
        name="prediction_window_schedule",
        job=prediction_window_job,
        cron_schedule=CRON[settings.log_period],
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Lands what was answered in the last whole {settings.log_period} (UTC) as a window.",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        period = last_whole(settings.log_period, now=context.scheduled_execution_time)
        config = {"since": period.since.isoformat(), "until": period.until.isoformat()}
        return dg.RunRequest(run_key=period.name, run_config={"ops": {"prediction_window": {"config": config}}})

    return ask

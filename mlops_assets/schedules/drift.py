"""`drift_schedule`: measures the newest window anew each day, so that a training that was put off comes to start."""

import dagster as dg

from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.jobs import drift_job
from mlops_assets.partitions import window_partitions


def drift_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule over the windows of these settings; off until someone turns it on in Dagster's page."""
    windows = WindowStore(settings.windows, read_dataset(settings.dataset))

    @dg.schedule(
        name="drift_schedule",
        job=drift_job,
        cron_schedule="0 5 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Measures the newest window in use anew, each day at 05:00 UTC; drift_sensor follows its report.",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        in_use = (window for window in reversed(windows.windows()) if windows.current(window) is not None)
        newest = next(in_use, None)
        if newest is None:
            return dg.SkipReason("there is no window in use")
        # One that someone deleted in Dagster's page would fail this tick, and the next, for ever.
        context.instance.add_dynamic_partitions(str(window_partitions.name), [newest])
        return dg.RunRequest(partition_key=newest, run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")

    return ask

"""Where a window's time goes, from a landed file to a served version, read from Dagster's event log.

Here belong the marks on the way. What is done with them belongs to `benchmarks.loop`.
"""

from dataclasses import dataclass
from itertools import pairwise

import dagster as dg

from mlops_assets.jobs import training_job, window_job

STAGES = (
    "window_sensor sees the file",
    "queue and start of window_job",
    "window_job, to its drift report",
    "drift_sensor sees the report",
    "queue and start of training_job",
    "training_job, to the release",
    "swap: the service answers with it",
)


@dataclass(frozen=True)
class Timeline:
    """The marks of one window, in seconds since the epoch; the stages lie between them and add up to the whole."""

    landed: float
    window_run_created: float
    window_run_started: float
    report_materialized: float
    training_run_created: float
    training_run_started: float
    released: float
    answered: float

    def stages(self) -> dict[str, float]:
        """Seconds by stage."""
        marks = list(vars(self).values())
        return {name: after - before for name, (before, after) in zip(STAGES, pairwise(marks), strict=True)}


def read_timeline(
    instance: dg.DagsterInstance, window: str, *, landed: float, released: float, answered: float
) -> Timeline:
    """The marks of a window that ended with a new version.

    Args:
        instance: The loop's Dagster instance.
        window: The window's name.
        landed: When its file landed.
        released: When the pointer was replaced.
        answered: When the service first answered with the new version.
    """
    ingest = _run(instance, window_job.name, window)
    training = _run(instance, training_job.name, window)
    report = dg.AssetRecordsFilter(asset_key=dg.AssetKey("drift_report"), asset_partitions=[window])
    (materialized,) = instance.fetch_materializations(report, limit=1).records
    return Timeline(
        landed=landed,
        window_run_created=ingest.create_timestamp.timestamp(),
        window_run_started=_started(ingest),
        report_materialized=materialized.timestamp,
        training_run_created=training.create_timestamp.timestamp(),
        training_run_started=_started(training),
        released=released,
        answered=answered,
    )


def _run(instance: dg.DagsterInstance, job: str, window: str) -> dg.RunRecord:
    of_window = dg.RunsFilter(job_name=job, tags={"dagster/partition": window})
    (record,) = instance.get_run_records(of_window, limit=1)
    return record


def _started(record: dg.RunRecord) -> float:
    assert record.start_time is not None
    return record.start_time

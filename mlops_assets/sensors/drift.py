"""`drift_sensor`: follows the drift reports, and trains a candidate where one asks for it."""

from dataclasses import dataclass

import dagster as dg

from mlops_assets.config import Settings
from mlops_assets.jobs import training_job
from mlops_assets.sensors.watching import watch

DRIFT_REPORT = dg.AssetKey("drift_report")
ANSWERS_TAG = "mlops/drift_report"
"""On a training: the storage id of the report that it answers."""


def drift_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the drift reports."""

    @dg.sensor(
        name="drift_sensor",
        job=training_job,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains a candidate where a drift report asks for it.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        def look() -> list[dg.EventLogRecord] | None:
            return _reports_after(context.instance, int(context.cursor or 0)) or None

        reports = watch(look, seconds=settings.watch_seconds)
        if not reports:
            return dg.SkipReason("no new drift report")
        answers = [(report, answer_of(report)) for report in reports]
        said = "; ".join(f"{report.partition_key}: {answer.decision}: {answer.reason}" for report, answer in answers)
        context.log.info(said)
        return dg.SensorResult(
            run_requests=[_training(report, answer) for report, answer in answers if answer.trains],
            skip_reason=None if any(answer.trains for _, answer in answers) else dg.SkipReason(said),
            cursor=str(reports[-1].storage_id),
        )

    return sense


@dataclass(frozen=True)
class Answer:
    """What a report's own decision asks for."""

    decision: str
    reason: str
    trains: str | None
    """The window to train a candidate on."""


def answer_of(report: dg.EventLogRecord) -> Answer:
    """Reads the decision from a report.

    Raises:
        ValueError: it holds none; nothing must be trained, or passed over, on a guess.
    """
    metadata = report.asset_materialization.metadata if report.asset_materialization else {}
    lacking = {"decision", "reason", "trains"} - metadata.keys()
    if lacking:
        raise ValueError(
            f"the drift report of {report.partition_key} says no {min(lacking)}: materialize drift_report of it anew"
        )
    return Answer(str(metadata["decision"].value), str(metadata["reason"].value), str(metadata["trains"].value) or None)


def unanswered_report(instance: dg.DagsterInstance) -> str | None:
    """The window whose newest report asks for a training that was not started yet; None where there is none."""
    newest = instance.fetch_materializations(DRIFT_REPORT, limit=1).records
    if not newest or not (trains := answer_of(newest[0]).trains):
        return None
    report = newest[0]
    answered = instance.get_runs_count(dg.RunsFilter(tags={ANSWERS_TAG: str(report.storage_id)})) or (
        # The run may have been deleted from Dagster's page since, or started by hand.
        instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey("candidate_model"),
                asset_partitions=[trains],
                after_storage_id=report.storage_id,
            ),
            limit=1,
        ).records
    )
    return None if answered else report.partition_key


def _reports_after(instance: dg.DagsterInstance, storage_id: int) -> list[dg.EventLogRecord]:
    records = dg.AssetRecordsFilter(asset_key=DRIFT_REPORT, after_storage_id=storage_id)
    return list(instance.fetch_materializations(records, limit=100, ascending=True).records)


def _training(report: dg.EventLogRecord, answer: Answer) -> dg.RunRequest:
    return dg.RunRequest(
        partition_key=answer.trains,
        run_key=f"{report.partition_key}:{report.storage_id}",
        tags={
            ANSWERS_TAG: str(report.storage_id),
            "mlops/decision": answer.decision,
            "mlops/reason": answer.reason,
        },
    )

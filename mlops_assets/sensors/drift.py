"""`drift_sensor`: follows the drift reports, and trains a candidate where the rule says so."""

import dagster as dg

from mlops_assets.config import Settings
from mlops_assets.domain.drift import DriftDecision, decide
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
        description="Trains a candidate where a window's drift_share exceeds the threshold.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        def look() -> list[dg.EventLogRecord] | None:
            return _reports_after(context.instance, int(context.cursor or 0)) or None

        reports = watch(look, seconds=settings.watch_seconds)
        if not reports:
            return dg.SkipReason("no new drift report")
        decisions = [(report, decision_of(report)) for report in reports]
        said = "; ".join(f"{report.partition_key}: {decision.reason}" for report, decision in decisions)
        context.log.info(said)
        return dg.SensorResult(
            run_requests=[_training(report, decision) for report, decision in decisions if decision.trains],
            skip_reason=None if any(decision.trains for _, decision in decisions) else dg.SkipReason(said),
            cursor=str(reports[-1].storage_id),
        )

    return sense


def decision_of(report: dg.EventLogRecord) -> DriftDecision:
    """What the rule says to a report's own numbers."""
    metadata = report.asset_materialization.metadata if report.asset_materialization else {}
    share, threshold = metadata.get("drift_share"), metadata.get("drift_share_threshold")
    if share is None or threshold is None:
        return decide(None, 0)
    return decide(float(str(share.value)), float(str(threshold.value)))


def unanswered_report(instance: dg.DagsterInstance) -> str | None:
    """The window whose newest report asks for a training that was not started yet; None where there is none."""
    newest = instance.fetch_materializations(DRIFT_REPORT, limit=1).records
    if not newest or not decision_of(newest[0]).trains:
        return None
    report = newest[0]
    answered = instance.get_runs_count(dg.RunsFilter(tags={ANSWERS_TAG: str(report.storage_id)})) or (
        # The run may have been deleted from Dagster's page since, or started by hand.
        instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey("candidate_model"),
                asset_partitions=[str(report.partition_key)],
                after_storage_id=report.storage_id,
            ),
            limit=1,
        ).records
    )
    return None if answered else report.partition_key


def _reports_after(instance: dg.DagsterInstance, storage_id: int) -> list[dg.EventLogRecord]:
    records = dg.AssetRecordsFilter(asset_key=DRIFT_REPORT, after_storage_id=storage_id)
    return list(instance.fetch_materializations(records, limit=100, ascending=True).records)


def _training(report: dg.EventLogRecord, decision: DriftDecision) -> dg.RunRequest:
    return dg.RunRequest(
        partition_key=report.partition_key,
        run_key=f"{report.partition_key}:{report.storage_id}",
        tags={
            ANSWERS_TAG: str(report.storage_id),
            "mlops/decision": decision.kind,
            "mlops/reason": decision.reason,
        },
    )

"""`drift_sensor`: follows the drift reports, and trains a candidate where one asks for it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import SensorInstigatorData

from mlops_assets.adapters.event_log import reported_value
from mlops_assets.adapters.training_runs import ANSWERS_TAG, trainings_started
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.drift import over_budget
from mlops_assets.jobs import training_job
from mlops_assets.partitions import window_partitions
from mlops_assets.sensors.watching import watch

NAME = "drift_sensor"
DRIFT_REPORT = dg.AssetKey("drift_report")
SAYS_NOTHING = "says nothing"
"""The decision of a report that holds none."""
NAMED_COLUMNS = 5
"""So many of the drifted columns are named on the training that answers the report, those that matter most."""


def drift_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the drift reports."""

    @dg.sensor(
        name=NAME,
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
        answers = _within_budget(context.instance, settings, [(report, answer_of(report)) for report in reports])
        said = "; ".join(f"{report.partition_key}: {answer.decision}: {answer.reason}" for report, answer in answers)
        context.log.info(said)
        for _, answer in answers:
            if answer.decision == SAYS_NOTHING:
                context.log.warning(answer.reason)
        to_train = sorted({answer.trains for _, answer in answers if answer.trains})
        return dg.SensorResult(
            run_requests=[_training(report, answer) for report, answer in answers if answer.trains],
            # A window that someone deleted in Dagster's page would fail this tick, and the next, for ever.
            dynamic_partitions_requests=[window_partitions.build_add_request(to_train)] if to_train else [],
            skip_reason=None if to_train else dg.SkipReason(said),
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
    """Reads the decision from a report; one that holds none, as one reported by hand, trains nothing."""
    metadata = report.asset_materialization.metadata if report.asset_materialization else {}
    lacking = {"decision", "reason", "trains"} - metadata.keys()
    if lacking:
        said = f"the drift report of {report.partition_key} says no {min(lacking)}: materialize drift_report of it anew"
        return Answer(SAYS_NOTHING, said, None)
    return Answer(str(metadata["decision"].value), str(metadata["reason"].value), str(metadata["trains"].value) or None)


def _within_budget(
    instance: dg.DagsterInstance, settings: Settings, answers: list[tuple[dg.EventLogRecord, Answer]]
) -> list[tuple[dg.EventLogRecord, Answer]]:
    """The same, without the trainings that the budget has no place for.

    A report is decided on by the trainings before it; those of a backfill are made side by side, and each would count
    on the same place. Here they pass one by one. A first model needs no place, as in `decide`.
    """
    policy, now = read_dataset(settings.dataset).retraining, datetime.now(UTC)
    trainings = trainings_started(instance, policy, now=now)
    kept = []
    for report, answer in answers:
        is_limited = answer.trains is not None and answer.decision != "first"
        if is_limited and (said := over_budget(policy, trainings, window=str(report.partition_key))):
            answer = Answer("over budget", f"{answer.reason}, but {said}", None)
        if answer.trains:
            trainings.append(now)
        kept.append((report, answer))
    return kept


def unanswered_report(instance: dg.DagsterInstance) -> str | None:
    """The window whose report asks for a training that was not started yet; None where there is none.

    A report that `drift_sensor` has passed is answered, whatever became of the run: it may have ended without a
    candidate, and have been deleted from Dagster's page since.
    """
    for report in _reports_after(instance, _passed(instance)):
        trains = answer_of(report).trains
        if trains is not None and not _is_answered(instance, report, trains):
            return report.partition_key
    return None


def _is_answered(instance: dg.DagsterInstance, report: dg.EventLogRecord, trains: str) -> bool:
    if instance.get_runs_count(dg.RunsFilter(tags={ANSWERS_TAG: str(report.storage_id)})):
        return True
    started_by_hand = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey("candidate_model"), asset_partitions=[trains], after_storage_id=report.storage_id
    )
    return bool(instance.fetch_materializations(started_by_hand, limit=1).records)


def _passed(instance: dg.DagsterInstance) -> int:
    """The storage id of the last report that `drift_sensor` has passed: its cursor moves after its runs are there."""
    if instance.schedule_storage is None:  # of an instance in memory, which has no daemon either
        return 0
    states = [state.instigator_data for state in instance.all_instigator_state() if state.instigator_name == NAME]
    cursors = [data.cursor for data in states if isinstance(data, SensorInstigatorData)]
    return max((int(cursor) for cursor in cursors if cursor), default=0)


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
            **_numbers(report),
        },
    )


def _numbers(report: dg.EventLogRecord) -> dict[str, str]:
    """What a report measured, as far as it measured anything."""
    tags, share, columns = {}, reported_value(report, "drift_share"), reported_value(report, "columns")
    if isinstance(share, float):
        tags["mlops/drift_share"] = f"{share:.4f}"
    if isinstance(columns, dg.TableMetadataValue):
        drifted = [str(record.data["column"]) for record in columns.records if record.data.get("verdict") == "drifted"]
        tags["mlops/drifted_columns"] = ", ".join(drifted[:NAMED_COLUMNS])
    return tags

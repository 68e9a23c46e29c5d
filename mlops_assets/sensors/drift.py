"""`drift_sensor`: follows the drift reports, and trains a candidate where one asks for it.

One after the other: what a report decided holds as long as nothing was trained and promoted since. One that a training
has overtaken is made anew, and decides again; nothing is decided here.
"""

from dataclasses import dataclass, replace

import dagster as dg
from dagster._core.scheduler.instigation import SensorInstigatorData

from mlops_assets.adapters.event_log import newest_report, reported_value
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.runs import under_way
from mlops_assets.adapters.training_runs import ANSWERS_TAG, DECISION_TAG, last_training_ended
from mlops_assets.config import Settings
from mlops_assets.jobs import drift_job, training_job
from mlops_assets.partitions import window_partitions
from mlops_assets.sensors.watching import watch

NAME = "drift_sensor"
DRIFT_REPORT = "drift_report"
ANEW_TAG = "mlops/anew"
"""On a run that makes a report anew: the storage id of the one that was overtaken."""
TRIES = 3
"""So many runs may fail to make a report anew, each retried by Dagster itself, before the next report has its turn."""
SAYS_NOTHING = "says nothing"
"""The decision of a report that holds none."""
NAMED_COLUMNS = 5
"""So many of the drifted columns are named on the training that answers the report, those that matter most."""


def drift_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the drift reports."""
    releases = ReleaseStore(settings.releases)

    @dg.sensor(
        name=NAME,
        jobs=[training_job, drift_job],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains a candidate where a drift report asks for it; makes one anew that a training overtook.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        after = int(context.cursor or 0)

        def look() -> list[_Step] | None:
            steps = _steps(context.instance, releases, after)
            return steps if any(step.passed is not None or step.request is not None for step in steps) else None

        steps = watch(look, seconds=settings.watch_seconds)
        if steps is None:
            waiting = _steps(context.instance, releases, after)
            return dg.SkipReason(waiting[0].said if waiting else "no new drift report")
        for step in steps:
            (context.log.warning if step.is_fault else context.log.info)(step.said)
        requests = [step.request for step in steps if step.request is not None]
        windows = sorted({str(request.partition_key) for request in requests})
        return dg.SensorResult(
            run_requests=requests,
            # A window that someone deleted in Dagster's page would fail this tick, and the next, for ever.
            dynamic_partitions_requests=[window_partitions.build_add_request(windows)] if windows else [],
            skip_reason=None if windows else dg.SkipReason("; ".join(step.said for step in steps)),
            cursor=str(max([after, *(step.passed for step in steps if step.passed is not None)])),
        )

    return sense


@dataclass(frozen=True)
class _Step:
    """What is done about a report."""

    said: str
    request: dg.RunRequest | None = None
    passed: int | None = None
    """The storage id up to which reports are settled with it; None where it stays to be looked at."""
    is_fault: bool = False


def _steps(instance: dg.DagsterInstance, releases: ReleaseStore, after: int) -> list[_Step]:
    """What is done about the reports, oldest first, up to one that asks for a run or must wait for one.

    One that was made anew since is taken for what the newer one says: so n reports, each overtaken by the training of
    the one before, are made anew n times and not n * n.
    """
    steps: list[_Step] = []
    for report in _reports_after(instance, after):
        step = _step(instance, releases, newest_report(instance, DRIFT_REPORT, str(report.partition_key)) or report)
        steps.append(replace(step, passed=report.storage_id) if step.passed is not None else step)
        if step.request is not None or step.passed is None:
            break
    return steps


def _step(instance: dg.DagsterInstance, releases: ReleaseStore, report: dg.EventLogRecord) -> _Step:
    answer = answer_of(report)
    said = f"{report.partition_key}: {answer.decision}: {answer.reason}"
    waits = f"the drift report of {report.partition_key} waits"
    if answer.trains is None or _is_answered(instance, report, answer.trains):
        return _Step(said, passed=report.storage_id, is_fault=answer.decision == SAYS_NOTHING)
    if training := under_way(instance, training_job.name):
        return _Step(f"{waits}: {training}")
    overtaken = _overtaken(instance, releases, report)
    if overtaken is None:
        return _Step(said, _training(report, answer), passed=report.storage_id)
    made_anew = {ANEW_TAG: str(report.storage_id)}
    if making := under_way(instance, drift_job.name, tags=made_anew):
        return _Step(f"{waits}: {making}")
    tries = len([run for run in instance.get_runs(dg.RunsFilter(tags=made_anew)) if run.parent_run_id is None])
    if tries < TRIES:
        request = dg.RunRequest(
            job_name=drift_job.name,
            partition_key=report.partition_key,
            run_key=f"{report.partition_key}:{report.storage_id}:anew:{tries}",
            tags=made_anew,
        )
        return _Step(f"{report.partition_key}: {overtaken}: it is measured anew", request)
    fault = (
        f"{said}, but {overtaken}, and {tries} runs of {drift_job.name} did not measure it anew: see what they "
        "say, and materialize drift_report of it then"
    )
    return _Step(fault, passed=report.storage_id, is_fault=True)


def _overtaken(instance: dg.DagsterInstance, releases: ReleaseStore, report: dg.EventLogRecord) -> str | None:
    """Why what a report decided holds no more; None where it does."""
    if _trained_since(instance, report):
        return "a training has ended since its drift report"
    pointer = releases.pointer()
    if reported_value(report, "production_epoch") != (pointer.epoch if pointer else None):
        return "its drift report is of another production"
    return None


def _trained_since(instance: dg.DagsterInstance, report: dg.EventLogRecord) -> bool:
    """Whether a run of `training_job` ended since, or another made a candidate, as from an asset's page."""
    ended = last_training_ended(instance, training_job.name)
    made = dg.AssetRecordsFilter(asset_key=dg.AssetKey("candidate_model"), after_storage_id=report.storage_id)
    return (ended is not None and report.timestamp < ended) or bool(
        instance.fetch_materializations(made, limit=1).records
    )


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
    records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(DRIFT_REPORT), after_storage_id=storage_id)
    return list(instance.fetch_materializations(records, limit=100, ascending=True).records)


def _training(report: dg.EventLogRecord, answer: Answer) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=training_job.name,
        partition_key=answer.trains,
        run_key=f"{report.partition_key}:{report.storage_id}",
        tags={
            ANSWERS_TAG: str(report.storage_id),
            DECISION_TAG: answer.decision,
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
        drifted = [str(record.data["column"]) for record in columns.records if record.data.get("counts") == "drifted"]
        tags["mlops/drifted_columns"] = ", ".join(drifted[:NAMED_COLUMNS])
    return tags

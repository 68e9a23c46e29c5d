"""Why a Dagster run failed, as far as its events say it."""

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.datasets.contract import DatasetInvalid


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """The reason that a step gave, else what Dagster says of the run; None where it did not fail."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return None
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)):
        event = entry.dagster_event
        failed = event.step_failure_data if event else None
        if failed and failed.user_failure_data and failed.user_failure_data.description:
            return failed.user_failure_data.description
        if failed and failed.error:
            return (failed.error.cause or failed.error).message.strip()
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        event = entry.dagster_event
        error = event.engine_event_data.error if event else None
        if error is not None:
            return _contracts_fault(error) or error.message.strip()
    return "the run ended without a step that failed: its worker died, or was stopped"


def _contracts_fault(error: SerializableErrorInfo) -> str | None:
    """What is wrong with the contract, where that is why the graph could not be loaded."""
    link: SerializableErrorInfo | None = error
    while link is not None:
        if link.cls_name == DatasetInvalid.__name__:
            return link.message.strip().removeprefix(f"{DatasetInvalid.__module__}.{DatasetInvalid.__name__}: ")
        link = link.cause
    return None

from collections.abc import Iterator
from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.adapters import runs
from mlops_assets.adapters.runs import UNFINISHED, under_way


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that has run nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    """A run of `training_job` on a window."""
    run = dg.DagsterRun(
        "training_job", run_id=str(uuid4()), status=status, tags={**tags, "dagster/partition": "2013-01"}
    )
    instance.add_run(run)
    return run


@pytest.mark.parametrize("status", [status for status in dg.DagsterRunStatus if status != dg.DagsterRunStatus.QUEUED])
def test_a_run_is_under_way_until_it_ended(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    """One that waits in the queue will train all the same; a later one that ended says nothing of it."""
    assert under_way(instance, "training_job") is None
    add_run(instance, status)
    add_run(instance, dg.DagsterRunStatus.CANCELED)
    said = under_way(instance, "training_job")
    assert said == (f"training_job of 2013-01 is {status.value}" if status in UNFINISHED else None)
    assert under_way(instance, "drift_job") is None


def test_only_runs_with_the_tags_that_are_named_count(instance: dg.DagsterInstance) -> None:
    """Whether a certain report is made anew is another question than whether any is."""
    add_run(instance, dg.DagsterRunStatus.STARTED, answers="7")
    assert under_way(instance, "training_job", tags={"answers": "7"}) is not None
    assert under_way(instance, "training_job", tags={"answers": "8"}) is None


def test_a_run_that_dagster_will_retry_is_under_way_for_some_minutes(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its backfill was cancelled since, its tag says so for ever: both sensors would wait for it."""
    run = add_run(instance, dg.DagsterRunStatus.STARTED, **{"dagster/max_retries": "2", "dagster/will_retry": "true"})
    instance.report_run_failed(run)
    assert under_way(instance, "training_job") == "training_job of 2013-01 is about to be tried again"
    monkeypatch.setattr(runs, "RETRY_SECONDS", 0)
    assert under_way(instance, "training_job") is None

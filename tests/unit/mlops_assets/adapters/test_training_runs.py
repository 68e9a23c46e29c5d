from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.adapters.training_runs import (
    ANSWERS_TAG,
    DECISION_TAG,
    LANE,
    last_training_ended,
    trained_windows,
    trainings_started,
)
from mlops_assets.domain.dataset_tables import Retraining

WITHIN_TEN_DAYS = Retraining(budget_trainings=1, budget_days=10)
BY_THE_LOOP = {**LANE, ANSWERS_TAG: "7"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that has run nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add_run(
    instance: dg.DagsterInstance,
    *,
    tags: dict[str, str],
    window: str = "2013-01",
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
    retries: str | None = None,
) -> str:
    """A run on a window; gives its id."""
    run = dg.DagsterRun(
        "training_job",
        run_id=str(uuid4()),
        status=status,
        tags={**tags, "dagster/partition": window},
        parent_run_id=retries,
        root_run_id=retries,
    )
    instance.add_run(run)
    return run.run_id


def started(instance: dg.DagsterInstance, policy: Retraining = WITHIN_TEN_DAYS, *, days_later: float = 0) -> int:
    """How many trainings count, some days from now."""
    return len(trainings_started(instance, policy, now=datetime.now(UTC) + timedelta(days=days_later)))


def test_the_budget_counts_what_the_loop_started_and_nothing_else(instance: dg.DagsterInstance) -> None:
    """Neither a training by hand, nor another job that follows a report, nor a first model, which answers no drift."""
    root = add_run(instance, tags=BY_THE_LOOP, status=dg.DagsterRunStatus.FAILURE)
    add_run(instance, tags=BY_THE_LOOP, retries=root)
    add_run(instance, tags=LANE)
    add_run(instance, tags={ANSWERS_TAG: "8"})
    add_run(instance, tags={**BY_THE_LOOP, DECISION_TAG: "first"})
    assert started(instance) == 1
    add_run(instance, tags=BY_THE_LOOP, status=dg.DagsterRunStatus.NOT_STARTED)
    assert started(instance) == 2


def test_a_training_counts_for_the_days_of_the_budget(instance: dg.DagsterInstance) -> None:
    """By the wall clock, whatever the windows' periods are."""
    add_run(instance, tags=BY_THE_LOOP)
    assert started(instance, days_later=9.99) == 1
    assert started(instance, days_later=10.01) == 0
    (when,) = trainings_started(instance, WITHIN_TEN_DAYS, now=datetime.now(UTC))
    assert abs(when - datetime.now(UTC)) < timedelta(minutes=1), "in the clock that the budget is counted by"


def test_without_a_budget_nothing_is_counted(instance: dg.DagsterInstance) -> None:
    """So that nobody waits for a count that decides nothing."""
    add_run(instance, tags=BY_THE_LOOP)
    assert started(instance, Retraining()) == 0


def test_the_training_that_ended_last_need_not_be_the_one_that_was_queued_last(instance: dg.DagsterInstance) -> None:
    """One may be cancelled in the queue while the one before it goes on."""
    assert last_training_ended(instance, "training_job") is None
    started, queued = (add_run(instance, tags=LANE, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
    assert last_training_ended(instance, "training_job") is None, "none has ended"
    for run_id in (queued, started):
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceled(run)
    (first,) = (record.end_time for record in instance.get_run_records(dg.RunsFilter(run_ids=[queued])))
    (last,) = (record.end_time for record in instance.get_run_records(dg.RunsFilter(run_ids=[started])))
    assert first is not None
    assert last is not None
    assert first < last == last_training_ended(instance, "training_job")
    assert last_training_ended(instance, "drift_job") is None


def test_windows_are_trained_where_the_loop_made_a_candidate_of_them_or_does_now(instance: dg.DagsterInstance) -> None:
    """A training that failed made none; one by hand is not the loop's."""
    add_run(instance, window="2013-01", tags=BY_THE_LOOP)
    add_run(instance, window="2013-02", tags=BY_THE_LOOP, status=dg.DagsterRunStatus.STARTED)
    add_run(instance, window="2013-03", tags=BY_THE_LOOP, status=dg.DagsterRunStatus.FAILURE)
    add_run(instance, window="2013-04", tags=BY_THE_LOOP, status=dg.DagsterRunStatus.CANCELED)
    add_run(instance, window="2013-05", tags=LANE)
    add_run(instance, window="2013-06", tags=BY_THE_LOOP)
    windows = [f"2013-0{month}" for month in range(1, 6)]
    assert trained_windows(instance, windows) == {"2013-01", "2013-02"}
    assert trained_windows(instance, []) == set()

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)

from mlops_assets.cli import dagster_databases
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.orphans import wait_for_daemon
from mlops_assets.cli.recovery import fail_runs, orphaned_runs
from mlops_assets.config import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A loop whose databases are made."""
    settings = Settings(home=tmp_path)
    dagster_databases.make(settings)
    return settings


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Its Dagster instance."""
    with dagster_instance(settings) as instance:
        yield instance


def run_of(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    return instance.create_run_for_job(dg.job(name="a")(lambda: None), status=status).run_id


def test_only_runs_that_have_not_ended_are_failed(settings: Settings, instance: dg.DagsterInstance) -> None:
    """One that has ended since keeps its end."""
    started, ended = (run_of(instance, status) for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTED))
    assert set(orphaned_runs(settings)) == {started, ended}
    instance.report_run_canceled(instance.get_run_by_id(ended))  # type: ignore[arg-type]
    (said,) = fail_runs(settings, [started, ended])
    assert started[:8] in said
    statuses = {one: instance.get_run_by_id(one).status.value for one in (started, ended)}  # type: ignore[union-attr]
    assert statuses == {started: "FAILURE", ended: "CANCELED"}


@pytest.mark.parametrize(
    ("status", "seconds_ago", "is_enough"),
    [
        (TickStatus.SKIPPED, 0, True),
        (TickStatus.SUCCESS, 0, True),
        (TickStatus.STARTED, 0, False),
        (TickStatus.FAILURE, 0, False),
        (TickStatus.SKIPPED, 60, False),
    ],
)
def test_a_tick_that_ended_well_since_shows_that_the_code_location_answers(
    settings: Settings, instance: dg.DagsterInstance, status: TickStatus, seconds_ago: float, is_enough: bool
) -> None:
    """Prevents a retry that Dagster tries while the code location starts, and then never again."""
    now = time.time()
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mlops_assets"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "window_sensor")
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    instance.add_instigator_state(state)
    error = None
    if status == TickStatus.FAILURE:
        from dagster_shared.error import SerializableErrorInfo

        error = SerializableErrorInfo("down", [], None)
    instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name="window_sensor",
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=now - seconds_ago,
            selector_id=state.selector_id,
            run_ids=["1"] if status == TickStatus.SUCCESS else [],
            error=error,
        )
    )
    assert wait_for_daemon(settings, since=now - 30, seconds=0.5) == is_enough

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.schedules.drift import drift_schedule
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.landed_windows import landed_window
from tests.unit.mlops_assets.small_windows import land_small


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A loop that no window has landed in."""
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    return Settings(home=tmp_path / "home", dataset=contract)


@pytest.fixture
def windows(settings: Settings, tmp_path: Path) -> WindowStore:
    """Two windows in use."""
    store = WindowStore(settings.windows, read_dataset(settings.dataset))
    for number, window in enumerate(("2013-01", "2013-02")):
        landed = land_small(tmp_path / "landing" / f"{window}.parquet", 60, seed=number)
        store.take(landed_window(landed, window=window))
    return store


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that knows no window."""
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


def asked(settings: Settings, instance: dg.DagsterInstance, *, day: int = 1, hour: int = 5) -> object:
    """What the schedule asks for on a day of March."""
    at = datetime(2013, 3, day, hour, tzinfo=UTC)
    return drift_schedule(settings)(dg.build_schedule_context(instance=instance, scheduled_execution_time=at))


def test_the_newest_window_in_use_is_measured_once_a_day(
    settings: Settings, instance: dg.DagsterInstance, windows: WindowStore
) -> None:
    """A run key a day: a tick that is evaluated twice asks for the same run."""
    first, again, next_day = (asked(settings, instance, day=day, hour=hour) for day, hour in ((1, 5), (1, 6), (2, 5)))
    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert isinstance(next_day, dg.RunRequest)
    assert {request.partition_key for request in (first, again, next_day)} == {"2013-02"}
    assert first.run_key == again.run_key != next_day.run_key
    assert instance.get_dynamic_partitions("window") == ["2013-02"], "a run of one that Dagster forgot cannot be asked"
    windows.remove("2013-02")
    windows.refuse("2013-02", "its file is broken")
    older = asked(settings, instance)
    assert isinstance(older, dg.RunRequest)
    assert older.partition_key == "2013-01"


def test_without_a_window_in_use_nothing_is_measured(
    settings: Settings, instance: dg.DagsterInstance, windows: WindowStore
) -> None:
    """Before the first has landed, and where all were removed."""
    for window in windows.windows():
        windows.remove(window)
    skipped = asked(settings, instance)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "there is no window in use"


def test_it_is_off_until_someone_turns_it_on(settings: Settings) -> None:
    """A loop that nobody asked to starts no training without a new window."""
    assert drift_schedule(settings).default_status == dg.DefaultScheduleStatus.STOPPED

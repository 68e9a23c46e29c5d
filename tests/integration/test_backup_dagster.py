"""Dagster's databases, copied while runs go on. Prevents a run that is tried again from what nobody else knows of."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from mlops_assets.adapters.backup_dagster import FINISHED, copy_dagster
from mlops_assets.cli import dagster_databases
from mlops_assets.config import Settings

pytestmark = pytest.mark.integration
RUNS = """
import dagster as dg

def asset(number):
    @dg.asset(name=f"asset_{number}")
    def made() -> None: ...
    return made

with dg.DagsterInstance.get() as instance:
    for _ in range(100):
        dg.materialize([asset(number) for number in range(30)], instance=instance)
"""


@contextmanager
def running(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs of thirty assets each, one after the other, in a process of their own."""
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-c", RUNS], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_run_has_told_nothing_of_itself_that_the_index_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the one event that it may be writing, as at a crash: a step that ended has its asset on record."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings = Settings(home=tmp_path / "home")
    dagster_databases.make(settings)
    home, under_way = settings.state / "dagster", 0
    with running(home) as process:
        while not list((home / "history" / "runs").glob("????????-*.db")):
            assert process.poll() is None
            time.sleep(0.05)
        for number in range(30):
            staging = tmp_path / "staging"
            staging.mkdir()
            copies = copy_dagster(home, staging)
            copied = Settings(home=tmp_path / str(number))
            for file, copy in copies.items():
                target = copied.state / "dagster" / file.relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(copy, target)
            shutil.rmtree(staging)
            under_way += _steps_of_unfinished(copied)
        assert process.poll() is None, "the runs ended too early"
    assert under_way > 0, "no run was under way"


def _steps_of_unfinished(settings: Settings) -> int:
    """How many steps have ended in runs that have not."""
    ended = 0
    with dg.DagsterInstance.from_config(str(_configured(settings))) as instance:
        for run in instance.get_runs():
            if run.is_finished:
                continue
            for step in instance.get_run_step_stats(run.run_id):
                if step.status is not None and step.status.value == "SUCCESS":
                    asset = instance.fetch_materializations(dg.AssetKey(step.step_key), limit=1).records
                    assert asset, f"{step.step_key} has ended, and its asset is not there"
                    assert asset[0].run_id == run.run_id
                    ended += 1
    return ended


def _configured(settings: Settings) -> Path:
    dagster_databases.write_instance(settings)
    return settings.state / "dagster"


def test_what_a_finished_run_is_says_dagster() -> None:
    assert {status.value for status in FINISHED_STATUSES} == set(FINISHED)


def test_before_the_first_start_there_is_nothing_to_copy(tmp_path: Path) -> None:
    assert copy_dagster(tmp_path / "dagster", tmp_path) == {}

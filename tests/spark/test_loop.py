"""The loop's assets and commands with `MLOPS_ENGINE=spark`, in process."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.window_sample import SAMPLE
from mlops_assets.adapters.window_store import CLEAN, WindowStore
from mlops_assets.cli.main import app
from mlops_assets.cli.state import MARK
from mlops_assets.config import EngineName, Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.definitions import build_definitions
from mlops_assets.domain.dataset_tables import MAX_SAMPLE_ROWS
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.landed_windows import table_of
from tests.unit.mlops_assets.small_release import release_small
from tests.unit.mlops_assets.small_windows import land_small

pytestmark = [
    pytest.mark.usefixtures("spark"),
    pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning"),  # of skl2onnx in onnx
]
WINDOW = "2013-01"
ROWS = 2 * MAX_SAMPLE_ROWS + 1000
"""So many that a sample is kept."""


def run(settings: Settings, instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    """Materializes an asset of the window, and gives its metadata."""
    job = build_definitions(settings).get_implicit_global_asset_job_def()
    instance.add_dynamic_partitions("window", [WINDOW])
    key = dg.AssetKey(asset)
    done = job.execute_in_process(partition_key=WINDOW, instance=instance, asset_selection=[key])
    (found,) = done.get_asset_materialization_events()
    return {name: value.value for name, value in found.materialization.metadata.items()}


def settings_of(folder: Path, engine: EngineName) -> Settings:
    """A loop with a release and a window that has landed."""
    contract = folder / "dataset.toml"
    contract.parent.mkdir(exist_ok=True)
    contract.write_text(CONTRACT)
    settings = Settings(home=folder / engine, dataset=contract, engine=engine, spark_master="local[2]")
    release_small(ReleaseStore(settings.releases), read_dataset(contract))
    settings.landing.mkdir(parents=True)
    return settings


def test_windows_samples_and_scores_are_the_same_by_setting(tmp_path: Path) -> None:
    """Prevents that the setting reaches not every step, or changes what a step finds."""
    landed = land_small(tmp_path / f"{WINDOW}.parquet", ROWS)
    kept, scored, metadata = [], [], []
    for engine in ("duckdb", "spark"):
        settings = settings_of(tmp_path, engine)
        shutil.copy(landed, settings.landing)
        with dg.DagsterInstance.ephemeral() as instance:
            taken, scores = (run(settings, instance, asset) for asset in ("data_window", "scored_window"))
        store = WindowStore(settings.windows, read_dataset(settings.dataset))
        stored = store.current(WINDOW)
        assert stored is not None
        folder = store.folder / WINDOW / stored.data_version
        assert [(folder / name).is_dir() for name in (CLEAN, SAMPLE)] == [engine == "spark"] * 2
        kept.append(
            [table_of(store, stored), table_of(store, stored, SAMPLE).sort_values("case_id", ignore_index=True)]
        )
        scored.append(pd.read_parquet(scores["path"]).sort_values("case_id", ignore_index=True))
        metadata.append({name: taken[name] for name in ("data_version", "rows", "quarantined", "validation_rows")})
    for one, other in zip(*kept, strict=True):
        pd.testing.assert_frame_equal(other, one)
    pd.testing.assert_frame_equal(scored[0], scored[1])
    assert metadata[0] == metadata[1]
    assert metadata[0]["rows"] == ROWS == len(scored[0])
    assert set(kept[0][1]["_split"]) == {"train", "validation"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working directory with a file of 60 rows and a release, and Spark as the setting."""
    settings = settings_of(tmp_path, "spark")
    (settings.state / MARK).write_text("small")
    land_small(tmp_path / "rows.parquet", 60)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": "spark",
        "DATASET": "dataset.toml",
        "ENGINE": "spark",
        "SPARK_MASTER": "local[2]",
    }.items():
        monkeypatch.setenv(f"MLOPS_{name}", value)
    return tmp_path


def test_a_command_scores_with_spark(home: Path) -> None:
    """Prevents that `mlops score` is left out of the setting."""
    done = CliRunner().invoke(app, ["score", "rows.parquet", "-o", "scores.parquet"])
    assert done.exit_code == 0, done.output
    assert "60 of 60 rows scored by version 1, mean probability 0." in done.output
    assert (home / "scores.parquet").is_dir()
    assert pd.read_parquet(home / "scores.parquet")["probability"].between(0, 1).all()


def test_spark_says_that_it_writes_no_csv(home: Path) -> None:
    """Prevents a folder of a name that promises a file of text."""
    done = CliRunner().invoke(app, ["score", "rows.parquet", "-o", "scores.csv"])
    assert "Spark writes Parquet, and MLOPS_ENGINE is spark: scores.csv must end with .parquet" in str(done.exception)
    assert not (home / "scores.csv").exists()


def test_a_missing_java_is_said_with_what_installs_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the words of a gateway that exited before it sent its port number."""
    monkeypatch.setenv("JAVA_HOME", str(home / "nowhere"))
    done = CliRunner().invoke(app, ["score", "rows.parquet", "-o", "scores.parquet"])
    assert "needs Java 17 or newer, found none: `make setup-spark` installs it" in str(done.exception)
    old = home / "old" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home / "old"))
    done = CliRunner().invoke(app, ["score", "rows.parquet", "-o", "scores.parquet"])
    assert "needs Java 17 or newer, found 11" in str(done.exception)


def test_a_session_serves_all_of_a_process(spark: Engines) -> None:
    """Prevents a start of seconds for each window."""
    from mlops_assets.adapters.spark_session import spark_session

    assert spark_session(spark.spark_master) is spark_session(spark.spark_master)

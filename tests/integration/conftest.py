"""A loop in process: a state folder, a small dataset, and windows that drift or flip as a test asks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import ModelRegistry
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.stack import free_port
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.definitions import build_definitions
from tests.integration.servers import PostgresServer

CONTRACT = """
name = "small"
target = "bought"
row_id = "visit"
split_by = "customer"
[limits]
min_rows = 200
[drift]
sample_rows = 1000
[training]
train_windows = 1
[gate]
min_gain = 0.01
[features.price]
type = "float"
range = [-100, 100]
[features.visits]
type = "integer"
nullable = true
[features.shop]
type = "category"
categories = ["north", "south"]
"""


@dataclass
class Loop:
    """The graph on one state folder and one Dagster instance."""

    settings: Settings
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    labels: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Labels, by window, that have not landed with their window."""

    def land(
        self, window: str, *, shift: float = 0, flipped: bool = False, rows: int = 800, labelled: bool = True
    ) -> Path:
        """Lands a window; `shift` moves the price, `flipped` turns what the price says about the target round."""
        random = np.random.default_rng(int.from_bytes(window.encode()) % 2**32)
        price = random.normal(shift, 1, rows)
        signal = (shift - price if flipped else price - shift) * 2
        frame = pd.DataFrame(
            {
                "visit": [f"{window}-{row}" for row in range(rows)],
                "customer": [f"customer-{row % (rows // 2)}" for row in range(rows)],
                "bought": random.random(rows) < 1 / (1 + np.exp(-signal)),
                "price": price,
                "visits": pd.array(random.integers(0, 9, rows), dtype="Int64"),
                "shop": random.choice(["north", "south"], rows),
            }
        )
        path = self.settings.landing / f"{window}.parquet"
        if not labelled:
            self.labels[window] = frame[["visit", "bought"]]
            frame = frame.drop(columns="bought")
        frame.to_parquet(path)
        return path

    def land_labels(self, window: str, *, rows: int | None = None) -> Path:
        """Lands the labels of a window that landed without; the first `rows` of them, or all."""
        path = self.settings.landing / f"{window}.labels.csv"
        self.labels[window].head(len(self.labels[window]) if rows is None else rows).to_csv(path, index=False)
        return path

    def ingest(self, window: str) -> dg.ExecuteInProcessResult:
        """Runs `window_job`."""
        self.instance.add_dynamic_partitions("window", [window])
        return self.run("window_job", window)

    def train(self, window: str) -> dg.ExecuteInProcessResult:
        """Runs `training_job`."""
        return self.run("training_job", window)

    def run(self, job: str, window: str) -> dg.ExecuteInProcessResult:
        """Runs a job of the graph on a window."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            partition_key=window, instance=self.instance, raise_on_error=False
        )

    def promote_by_hand(self) -> dg.ExecuteInProcessResult:
        """Materializes `production_model` and nothing else, as a button in Dagster's page does."""
        job = self.definitions.resolve_implicit_job_def_def_for_assets([dg.AssetKey("production_model")])
        assert job is not None
        return job.execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey("production_model")], raise_on_error=False
        )

    @property
    def ledger(self) -> Ledger:
        """The loop's ledger."""
        return Ledger(self.settings.ledger_url)

    @property
    def approvals(self) -> Approvals:
        """The loop's requests for approval."""
        return Approvals(self.settings.ledger_url)

    @property
    def releases(self) -> ReleaseStore:
        """The loop's releases."""
        return ReleaseStore(self.settings.releases)

    @property
    def registry(self) -> ModelRegistry:
        """The loop's registered model."""
        return ModelRegistry(
            self.settings.mlflow_uri, read_dataset(self.settings.dataset).name, self.settings.mlflow_artifacts
        )

    @property
    def landing(self) -> FolderLanding:
        """The loop's landing folder."""
        return FolderLanding(self.settings.landing, read_dataset(self.settings.dataset))

    @property
    def windows(self) -> WindowStore:
        """The loop's data windows."""
        return WindowStore(self.settings.windows, read_dataset(self.settings.dataset))

    def reported(self, asset: str, window: str) -> dict[str, Any]:
        """The metadata of the newest materialization of a window's asset; empty where there is none."""
        of_window = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[window])
        records = self.instance.fetch_materializations(of_window, limit=1).records
        materialization = records[0].asset_materialization if records else None
        return {name: value.value for name, value in materialization.metadata.items()} if materialization else {}

    def served_version(self) -> int | None:
        """The version that the pointer names."""
        pointer = self.releases.pointer()
        return pointer.model_version if pointer else None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests."""
    folder = tmp_path_factory.mktemp("postgres")
    server = PostgresServer(folder / "data")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with its tables and nothing in them: making one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("mlflow")
    ModelRegistry(f"sqlite:///{folder / 'mlflow.db'}", "small", folder / "artifacts").prepare()
    return folder / "mlflow.db"


@pytest.fixture
def loop(tmp_path: Path, empty_mlflow: Path) -> Iterator[Loop]:
    """A loop that has seen nothing yet."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        yield loop


@contextmanager
def new_loop(
    folder: Path, empty_mlflow: Path, *, contract: Path | None = None, source: str | None = None
) -> Iterator[Loop]:
    """A loop in a folder of its own; on the small dataset and its own landing folder where no others are named."""
    if contract is None:
        contract = folder / "small.toml"
        contract.write_text(CONTRACT)
    settings = Settings(
        home=folder / "home", dataset=contract, source=source, watch_seconds=0, service_port=free_port()
    )
    settings.landing.mkdir(parents=True)
    shutil.copyfile(empty_mlflow, settings.state / "mlflow.db")
    with dg.DagsterInstance.ephemeral(settings={"python_logs": {"python_log_level": "WARNING"}}) as instance:
        loop = Loop(settings, instance, build_definitions(settings))
        if loop.registry.model_name != "small":
            loop.registry.prepare()
        yield loop


def failure_message(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, as its page shows it."""
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failures, "the run did not fail"
    return "\n".join(str(failure.error and failure.error.to_string()) for failure in failures)

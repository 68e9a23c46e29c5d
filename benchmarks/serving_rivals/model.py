"""The one model that all sides serve, and the rows that all are asked.

Trained by the project's own code on months of flights; the same fitted pipeline is written as our release and as the
files that the rivals load. How a side is started and spoken to belongs to `servers`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib  # type: ignore[import-untyped]
import mlflow.sklearn
import numpy as np
import pandas as pd

from benchmarks import plain_script
from mlops_assets.adapters.candidate_training import validation_rows
from mlops_assets.adapters.model_registry import TRUSTED_TYPES
from mlops_assets.adapters.release_store import ReleaseStore, cases_of
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.datasets.flights import WINDOWS, write_windows
from mlops_assets.domain import candidate
from serving.release import Feature, Row

MONTHS = WINDOWS[:3]
"""The model learns from all; the rows are of the last one's validation days."""
ROWS = 1_500
"""Distinct ones: the same row again and again flatters trees, whose branches the processor then foresees."""
AGREE = 1e-4
"""A few rows lie so near a tree's threshold that 39.02 as float32, which the model learned from, and as the double that
most sides read from JSON fall on its two sides: on those no two of them need agree."""


@dataclass(frozen=True)
class Served:
    """The model's files, the rows, and what the fitted pipeline says of them."""

    releases: Path
    """Folder of our release and its pointer."""
    mlflow_model: Path
    """As the project logs it with MLflow: skops, no signature, `predict_proba` as the answer."""
    pipeline: Path
    """The pipeline as joblib writes it."""
    features: Sequence[Feature]
    rows: list[Row]
    probabilities: list[float]
    """The fitted pipeline's, in the order of the rows."""


def make_model(folder: Path) -> Served:
    """Trains, and writes the model in each form under the folder."""
    dataset = read_dataset(FLIGHTS)
    windows, releases = WindowStore(folder / "windows", dataset), ReleaseStore(folder / "releases")
    last = [plain_script.store(file, windows) for file in write_windows(folder / "landing", MONTHS)][-1]
    trained = plain_script.train(last, windows, releases)
    plain_script.publish(trained, last, windows, releases)
    frame = validation_rows(windows, last.window, last.data_version).drop_duplicates(list(dataset.features))
    as_stored = trained.model.fitted(frame)
    rows = [case.row for case in cases_of(dataset, frame, as_stored)]
    as_sent = candidate.score(trained.model.pipeline, dataset, pd.DataFrame(rows))
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(np.abs(as_stored - as_sent) < AGREE))[:ROWS]
    mlflow_model, pipeline = folder / "mlflow-model", folder / "pipeline.joblib"
    mlflow.sklearn.save_model(
        trained.model.pipeline,
        mlflow_model,
        pip_requirements=["scikit-learn", "skops"],
        skops_trusted_types=TRUSTED_TYPES,
        pyfunc_predict_fn="predict_proba",
    )
    joblib.dump(trained.model.pipeline, pipeline)
    return Served(
        releases=releases.folder,
        mlflow_model=mlflow_model,
        pipeline=pipeline,
        features=trained.model.served.features,
        rows=[rows[at] for at in chosen],
        probabilities=as_stored[chosen].tolist(),
    )

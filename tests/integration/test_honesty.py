"""The comparison is honest: what the models learn from, and what they are judged on, as the graph hands it to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from mlops_assets.adapters import candidate_training, release_store
from mlops_assets.adapters.drift_measurement import DriftMeasurement, measure_drift
from mlops_assets.adapters.release_store import ServedModel
from mlops_assets.assets import drift as drift_asset
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.definitions import build_definitions
from mlops_assets.domain import candidate, evaluation
from mlops_assets.domain.dataset import Dataset
from tests.integration.conftest import CONTRACT, Loop, new_loop

pytestmark = pytest.mark.integration

WINDOWS = ("2024-01", "2024-02", "2024-03")
LEARNED_FROM = {"2024-01": WINDOWS[:1], "2024-02": WINDOWS[:2], "2024-03": WINDOWS[1:]}
"""Windows by the window whose candidate learns from them, with `train_windows = 2`."""


@dataclass
class Seen:
    """What was handed to the models and to the drift measurement while one window went through the loop."""

    reference: list[pd.DataFrame] = field(default_factory=list)
    trained: list[pd.DataFrame] = field(default_factory=list)
    scored: dict[str, list[pd.DataFrame]] = field(default_factory=lambda: {"candidate": [], "production": []})
    judged: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]] = field(default_factory=list)
    production: str | None = None
    """The window whose candidate was in production when this window's was judged."""


@dataclass
class Replay:
    """What was seen of each window, and what the windows hold."""

    seen: dict[str, Seen]
    clean: dict[str, pd.DataFrame]

    def rows(self, *windows: str, split: str) -> pd.DataFrame:
        """The rows on one side of the split, read from the stored windows without the loop's help."""
        rows = pd.concat([self.clean[window] for window in windows])
        return rows[rows["_split"] == split]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Replay]:
    """Three windows of the same customers; the second and third turn round what the first says."""
    with (
        new_loop(tmp_path_factory.mktemp("honesty"), empty_mlflow) as loop,
        pytest.MonkeyPatch.context() as patch,
    ):
        _learn_from_two_windows(loop)
        seen: dict[str, Seen] = {}
        trained_by_version: dict[int | None, str] = {None: ""}
        for window in WINDOWS:
            seen[window] = Seen()
            loop.land(window, shift=0 if window == WINDOWS[0] else 3, flipped=window != WINDOWS[0])
            _record_drift(patch, seen[window])
            assert loop.ingest(window).success
            seen[window].production = trained_by_version[loop.served_version()] or None
            _record_candidate(patch, seen[window])
            assert loop.train(window).success
            patch.undo()
            trained_by_version[max(version.version for version in loop.registry.versions())] = window
        assert [seen[window].production for window in WINDOWS] == [None, "2024-01", "2024-02"]
        yield Replay(seen, {window: _clean(loop, window) for window in WINDOWS})


@pytest.mark.parametrize("window", WINDOWS)
def test_a_candidate_learns_from_all_training_rows_of_the_newest_windows_and_from_no_others(
    replay: Replay, window: str
) -> None:
    (training,) = replay.seen[window].trained
    assert sorted(training["visit"]) == sorted(replay.rows(*LEARNED_FROM[window], split="train")["visit"])


@pytest.mark.parametrize("window", WINDOWS)
def test_both_models_are_judged_on_all_validation_rows_of_the_window_and_on_no_others(
    replay: Replay, window: str
) -> None:
    seen = replay.seen[window]
    models = ["candidate"] if seen.production is None else ["candidate", "production"]
    expected = replay.rows(window, split="validation").sort_values("visit")

    assert [model for model, frames in seen.scored.items() if frames] == models
    for model in models:
        for validation in seen.scored[model]:
            assert sorted(validation["visit"]) == list(expected["visit"]), model
    assert len(seen.judged) == len(models)
    for truth, scores in seen.judged:
        assert list(truth) == list(expected["bought"])
        assert len(scores) == len(expected)


@pytest.mark.parametrize("window", WINDOWS)
def test_no_model_is_judged_on_a_customer_that_it_learned_from(replay: Replay, window: str) -> None:
    seen = replay.seen[window]
    learned_from = {"candidate": window, "production": seen.production}
    for model, frames in seen.scored.items():
        for validation in frames:
            trained_at = learned_from[model]
            assert trained_at is not None, "a model was judged that nobody trained"
            (training,) = replay.seen[trained_at].trained
            assert set(training["customer"]), model
            assert set(validation["customer"]), model
            assert not set(training["customer"]) & set(validation["customer"]), model


@pytest.mark.parametrize("window", WINDOWS[1:])
def test_drift_is_measured_against_training_rows_of_productions_windows_alone(replay: Replay, window: str) -> None:
    seen = replay.seen[window]
    (reference,) = seen.reference
    assert seen.production is not None
    windows = LEARNED_FROM[seen.production]

    assert set(reference["visit"]) <= set(replay.rows(*windows, split="train")["visit"])
    for part in windows:
        assert set(reference["visit"]) & set(replay.clean[part]["visit"]), f"nothing of {part} in the reference"


def test_without_a_production_model_there_is_nothing_to_measure_drift_against(replay: Replay) -> None:
    assert not replay.seen[WINDOWS[0]].reference


def _learn_from_two_windows(loop: Loop) -> None:
    loop.settings.dataset.write_text(CONTRACT.replace("train_windows = 1", "train_windows = 2"))
    assert read_dataset(loop.settings.dataset).training.train_windows == 2
    loop.definitions = build_definitions(loop.settings)


def _clean(loop: Loop, window: str) -> pd.DataFrame:
    (path,) = (loop.settings.windows / window).glob("*/clean.parquet")
    return pd.read_parquet(path)


def _record_drift(patch: pytest.MonkeyPatch, seen: Seen) -> None:
    def recorded_measure(
        dataset: Dataset,
        *,
        reference: pd.DataFrame,
        current: pd.DataFrame,
        html: Path,
        **others: Any,  # noqa: ANN401
    ) -> DriftMeasurement:
        seen.reference.append(reference)
        return measure_drift(dataset, reference=reference, current=current, html=html, **others)

    patch.setattr(drift_asset, "measure_drift", recorded_measure)


def _record_candidate(patch: pytest.MonkeyPatch, seen: Seen) -> None:
    """The training makes the candidate's `ServedModel`, and production's comes from the release store."""
    train, evaluate = candidate.train, evaluation.evaluate

    def recorded_train(dataset: Dataset, frame: pd.DataFrame) -> Pipeline:
        seen.trained.append(frame.copy())
        return train(dataset, frame)

    def recorded_evaluate(truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> evaluation.Metrics:
        seen.judged.append((truth, scores))
        return evaluate(truth, scores)

    patch.setattr(candidate, "train", recorded_train)
    patch.setattr("mlops_assets.domain.comparison.evaluate", recorded_evaluate)
    patch.setattr(candidate_training, "ServedModel", _recording_model(seen.scored["candidate"]))
    patch.setattr(release_store, "ServedModel", _recording_model(seen.scored["production"]))


def _recording_model(frames: list[pd.DataFrame]) -> type[ServedModel]:
    class Recording(ServedModel):
        def score(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
            if "visit" in frame.columns:  # importance scores shuffled features alone
                frames.append(frame.copy())
            return super().score(frame)

    return Recording

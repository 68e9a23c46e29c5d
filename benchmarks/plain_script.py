"""What a competent user would write instead of the loop: one process that does a window's work and ends.

Validates and splits a landed window, measures its drift, trains, compares, exports to ONNX and writes the bundle that a
server loads, with the loop's own rules and adapters, so that the work is the same. No orchestrator, no registry, no
ledger: what those cost is what `benchmarks.loop` measures against this.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.adapters.candidate_training import TrainedCandidate, train_candidate, validation_rows
from mlops_assets.adapters.drift_measurement import PREDICTION, measure_drift
from mlops_assets.adapters.files import folder_in_one_piece
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.release_store import Lineage, ReleaseStore, write_bundle
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.domain.comparison import compare, measured, split_keys
from mlops_assets.domain.evidence import Gain, Parity, SegmentGain
from mlops_assets.domain.importance import permutation_importance
from mlops_assets.domain.parity import parity
from mlops_assets.domain.windows import TRAIN, WindowUnfit
from serving.release import Case, Pointer

MUST_NOT_BE_IMPORTED = ("dagster", "mlflow", "dagster_mlflow")


@dataclass(frozen=True)
class Outcome:
    """What the script found and did; `benchmarks.loop` demands that the loop found the same."""

    drift_share: float | None
    candidate_auc: float | None = None
    production_auc: float | None = None
    promoted: bool = False


@dataclass(frozen=True)
class Trained:
    """A fitted candidate, exported, with both models' metrics on the same validation rows."""

    model: TrainedCandidate
    cases: list[Case]
    metrics: dict[str, float]
    importance: dict[str, float]
    production: dict[str, float] | None
    gain: Gain | None
    segments: tuple[SegmentGain, ...]
    parity: Parity
    row_milliseconds: float


def handle(landed: Path, windows: WindowStore, releases: ReleaseStore, page: Path) -> Outcome:
    """Does with a landed window what the loop does.

    Args:
        landed: The file, `<window>.parquet`.
        windows: The earlier windows; this one is added.
        releases: The previous model, which is replaced where the candidate is better.
        page: Where Evidently's report goes.

    Raises:
        WindowUnfit: the window breaks the contract as a whole.
    """
    window = store(landed, windows)
    share = drift_share(window, windows, releases, page)
    if share is not None and share <= windows.dataset.drift.drift_share_threshold:
        return Outcome(share)
    trained = train(window, windows, releases)
    promoted = is_fit_to_serve(trained, windows)
    if promoted:
        publish(trained, window, windows, releases)
    production_auc = trained.production["auc"] if trained.production else None
    return Outcome(share, trained.metrics["auc"], production_auc, promoted)


def store(landed: Path, windows: WindowStore) -> DataWindow:
    """Validates and splits the landed file."""
    with FolderLanding(landed.parent, windows.dataset).fetch(landed.stem) as fetched:
        intake, stored = windows.take(fetched)
    if stored is None or intake.fault:
        raise WindowUnfit(intake.fault)
    return stored


def drift_share(window: DataWindow, windows: WindowStore, releases: ReleaseStore, page: Path) -> float | None:
    """Measures the window against what the previous model learned from; None where there is no model."""
    production = releases.production()
    if production is None:
        return None
    rows = windows.dataset.drift.sample_rows
    reference = windows.draw(production.learned, split=TRAIN, max_rows=rows)
    current = windows.draw({window.window: window.data_version}, split=None, max_rows=rows)
    return measure_drift(
        windows.dataset,
        reference=reference.assign(**{PREDICTION: production.model.score(reference)}),
        current=current.assign(**{PREDICTION: production.model.score(current)}),
        html=page,
        title=window.window,
    ).share


def train(window: DataWindow, windows: WindowStore, releases: ReleaseStore) -> Trained:
    """Trains on the newest windows and scores the exported model beside the previous one."""
    dataset = windows.dataset
    model = train_candidate(windows, training_versions(window, windows))
    validation = validation_rows(windows, window.window, window.data_version)
    truth, keys = validation[dataset.target].to_numpy(bool), split_keys(dataset, validation)
    scores, fitted = {"candidate": model.served.score(validation)}, model.fitted(validation)
    production = releases.production()
    gain, segments = None, tuple[SegmentGain, ...]()
    if production:
        scores["production"] = production.model.score(validation)
        gain, segments = compare(dataset, validation, truth, scores, keys)
    return Trained(
        model=model,
        cases=model.cases(validation, served=scores["candidate"], fitted=fitted),
        metrics=measured(truth, scores["candidate"], keys),
        importance=permutation_importance(
            model.served.score, validation, truth, dataset.features, seed=dataset.training.seed
        ),
        production=measured(truth, scores["production"], keys) if production else None,
        gain=gain,
        segments=segments,
        parity=parity(
            dataset,
            validation,
            truth,
            served=scores["candidate"],
            fitted=fitted,
            score_served=model.served.score,
            score_fitted=model.fitted,
        ),
        row_milliseconds=model.served.row_milliseconds(validation),
    )


def training_versions(window: DataWindow, windows: WindowStore) -> dict[str, str]:
    """The windows to learn from, with their data versions."""
    return {part.window: part.data_version for part in windows.training_windows(window.window)}


def is_fit_to_serve(trained: Trained, windows: WindowStore) -> bool:
    """The gate's rules."""
    gate = windows.dataset.gate
    if trained.parity.differing_share > gate.max_differing_share or trained.parity.differing_edges:
        return False
    if trained.metrics["calibration_error"] > gate.max_calibration_error:
        return False
    if trained.row_milliseconds > gate.max_row_milliseconds or not all(
        one.holds for one in trained.model.known_cases()
    ):
        return False
    if trained.production is None or trained.gain is None:
        return True
    is_sure = gate.rule == "plain" or (trained.gain.low is not None and trained.gain.low > 0)
    regresses = any(segment.holds is False for segment in trained.segments)
    return is_sure and not regresses and trained.metrics["auc"] > trained.production["auc"] + gate.min_gain


def publish(trained: Trained, window: DataWindow, windows: WindowStore, releases: ReleaseStore) -> None:
    """Writes the bundle beside the others and points the server to it."""
    before = releases.pointer()
    number = before.model_version + 1 if before else 1
    while (releases.folder / str(number)).exists():
        number += 1
    with folder_in_one_piece(releases.folder / str(number)) as folder:
        manifest_sha256 = write_bundle(
            folder,
            model=trained.model.exported,
            cases=trained.cases,
            dataset=windows.dataset,
            lineage=Lineage(
                model_name=windows.dataset.name,
                model_version=number,
                training_windows=training_versions(window, windows),
                validation_window=(window.window, window.data_version),
                dagster_run_id="",
                mlflow_run_id="",
            ),
            metrics=trained.metrics,
            importance=trained.importance,
            card="",
        )
    releases.point_to(
        Pointer(
            model_version=number,
            epoch=before.epoch + 1 if before else 1,
            manifest_sha256=manifest_sha256,
            promoted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )


def main() -> None:
    """Handles one landed window and prints the outcome as JSON."""
    parser = argparse.ArgumentParser(description="One window's work in one plain process.")
    parser.add_argument("landed", type=Path, help="the landed file, <window>.parquet")
    parser.add_argument("--windows", type=Path, required=True, help="store of the earlier windows; this one is added")
    parser.add_argument("--releases", type=Path, required=True, help="folder of the previous bundle and its pointer")
    parser.add_argument("--report", type=Path, required=True, help="where Evidently's page goes")
    parser.add_argument("--dataset", type=Path, default=FLIGHTS, help="the dataset's contract")
    arguments = parser.parse_args()
    windows = WindowStore(arguments.windows, read_dataset(arguments.dataset))
    outcome = handle(arguments.landed, windows, ReleaseStore(arguments.releases), arguments.report)
    assert not [name for name in MUST_NOT_BE_IMPORTED if name in sys.modules]
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()

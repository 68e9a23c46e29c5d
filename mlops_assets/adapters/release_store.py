"""The release store: bundles under `releases/`, and the pointer to the one that is served.

Here belong making, publishing and pointing, and scoring frames with a bundle's model exactly as the service does. The
bundle's format belongs to `serving.release`.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops_assets.adapters.files import folder_in_one_piece, write_atomically
from mlops_assets.domain.dataset import Dataset
from serving import release
from serving.onnx_session import open_session
from serving.release import Case, Feature, Manifest, Pointer, TrainingWindow

MODEL_CARD = "model_card.md"
"""In a bundle, for people: the service verifies it with the rest, and reads no more of it."""
TIMED_ROWS = 200
"""Single rows that the time of one is the median of."""


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from, as its bundle says it."""

    model_name: str
    model_version: int
    training_windows: Mapping[str, str]
    """Data version by window."""
    validation_window: tuple[str, str]
    dagster_run_id: str
    mlflow_run_id: str


class ServedModel:
    """A bundle's model, computing as the service does: float32 from the encoding on."""

    def __init__(self, model: bytes, features: Sequence[Feature], *, threads: int = 0) -> None:
        """Loads the model; `threads` is how many one run of it takes, 0 for as many as there are cores."""
        self.features = features
        self._session = open_session(model, threads=threads)

    def score(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Probability of the target being true for each row; shape [rows]."""
        return self.run(self._encode(frame))

    def row_milliseconds(self, frame: pd.DataFrame) -> float:
        """Median time for one row of the frame, encoded already, as the service has it."""
        rows, took = self._encode(frame.head(TIMED_ROWS)), []
        for row in range(len(rows)):
            start = time.perf_counter()
            self.run(rows[row : row + 1])
            took.append(time.perf_counter() - start)
        return 1000 * float(np.median(took))

    def _encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        matrix = np.empty((len(frame), len(self.features)), np.float32)
        for position, feature in enumerate(self.features):
            column = frame[feature.name]
            if feature.type == "category":
                column = pd.Series(pd.Categorical(column, categories=list(feature.categories)).codes)
            matrix[:, position] = column.to_numpy(np.float32, na_value=np.nan)
        return matrix

    def run(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The same for rows that are encoded already; shape [rows, features]."""
        (probabilities,) = self._session.run(["probabilities"], {"features": matrix})
        scores: npt.NDArray[np.float64] = probabilities[:, 1].astype(np.float64)
        return scores


@dataclass(frozen=True)
class Release:
    """A model as it was released."""

    pointer: Pointer
    manifest: Manifest
    model: ServedModel

    @property
    def learned(self) -> dict[str, str]:
        """Data version, by window, of what the model learned from."""
        return {part.window: part.data_version for part in self.manifest.training_windows}


class ReleaseStore:
    """Bundles under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pointer(self) -> Pointer | None:
        """What the service is to serve; None before the first promotion."""
        return release.read_pointer(self.folder)

    def production(self) -> Release | None:
        """The production model, verified, or None before the first promotion."""
        pointer = self.pointer()
        if pointer is None:
            return None
        manifest, model = self.model(pointer.model_version, manifest_sha256=pointer.manifest_sha256)
        return Release(pointer, manifest, model)

    def model(self, model_version: int, *, manifest_sha256: str) -> tuple[Manifest, ServedModel]:
        """A published model, verified.

        Raises:
            ReleaseInvalid: its bundle is not there, or not the one that the hash names.
        """
        manifest, exported = self.exported(model_version, manifest_sha256=manifest_sha256)
        return manifest, ServedModel(exported, manifest.features)

    def exported(self, model_version: int, *, manifest_sha256: str) -> tuple[Manifest, bytes]:
        """A published model as its file's bytes, verified.

        Raises:
            ReleaseInvalid: its bundle is not there, or not the one that the hash names.
        """
        bundle = self.folder / str(model_version)
        manifest = release.verify(bundle, manifest_sha256=manifest_sha256, model_version=model_version)
        return manifest, (bundle / release.MODEL).read_bytes()

    def holds(self, model_version: int, *, manifest_sha256: str) -> bool:
        """Whether the bundle is published and whole."""
        try:
            release.verify(
                self.folder / str(model_version), manifest_sha256=manifest_sha256, model_version=model_version
            )
        except release.ReleaseInvalid:
            return False
        return True

    def seconds_since_pointed(self, *, now: float) -> float:
        """How long ago the pointer was replaced last; `now` is in seconds since the epoch."""
        return now - (self.folder / release.POINTER).stat().st_mtime

    def calibrations(self, model_version: int) -> Path:
        """Folder for the calibrations of drift from this version: they hold for what it learned from."""
        return self.folder / f"{model_version}.calibrations"

    def cases(self, model_version: int) -> list[Case]:
        """A published bundle's rows with known answers."""
        return release.read_cases(self.folder / str(model_version))

    def publish(self, bundle: Path, *, model_version: int, manifest_sha256: str) -> None:
        """Copies a verified bundle beside the others; one that is there and whole stays as it is.

        Raises:
            ReleaseInvalid: the bundle is not the one that the hash names.
        """
        if self.holds(model_version, manifest_sha256=manifest_sha256):
            return
        target = self.folder / str(model_version)
        # Before a broken one is replaced, what is to replace it is known to be whole.
        release.verify(bundle, manifest_sha256=manifest_sha256, model_version=model_version)
        with folder_in_one_piece(target) as folder:
            for path in bundle.iterdir():
                shutil.copyfile(path, folder / path.name)
            release.verify(folder, manifest_sha256=manifest_sha256, model_version=model_version)
            if target.exists():
                shutil.rmtree(target)

    def point_to(self, pointer: Pointer) -> None:
        """Makes the service follow."""
        write_atomically(self.folder / release.POINTER, msgspec.json.encode(pointer))

    def withdraw_pointer(self) -> bool:
        """Takes the pointer away, if there is one: a service keeps what it has loaded, and a new one loads nothing."""
        pointer = self.folder / release.POINTER
        if not pointer.exists():
            return False
        pointer.unlink()
        return True


def features_of(dataset: Dataset) -> tuple[Feature, ...]:
    """The contract's features as a bundle says them."""
    return tuple(
        Feature(
            name=name,
            type=feature.type,
            nullable=feature.nullable,
            description=feature.described,
            # Rows are judged before they become float32, and served after: 0.1 becomes 0.10000000149.
            minimum=min(feature.range[0], float(np.float32(feature.range[0]))) if feature.range else None,
            maximum=max(feature.range[1], float(np.float32(feature.range[1]))) if feature.range else None,
            categories=feature.categories,
            new_categories=feature.new_categories,
        )
        for name, feature in dataset.features.items()
    )


def missing_inputs(model: ServedModel, dataset: Dataset) -> list[str]:
    """The model's inputs that the contract does not have, or has as another type: it cannot score such rows."""
    return [
        feature.name
        for feature in model.features
        if (known := dataset.features.get(feature.name)) is None or known.type != feature.type
    ]


def write_bundle(
    folder: Path,
    *,
    model: bytes,
    cases: Sequence[Case],
    dataset: Dataset,
    lineage: Lineage,
    metrics: Mapping[str, float],
    importance: Mapping[str, float],
    card: str,
) -> str:
    """Fills an empty folder with a bundle.

    Returns:
        The manifest's SHA-256, by which the bundle is known from now on.
    """
    (folder / release.MODEL).write_bytes(model)
    (folder / release.CASES).write_bytes(msgspec.json.format(msgspec.json.encode(cases)))
    (folder / MODEL_CARD).write_text(card, encoding="utf-8")
    manifest = Manifest(
        model_name=lineage.model_name,
        model_version=lineage.model_version,
        features=features_of(dataset),
        target=dataset.target,
        row_id=dataset.row_id,
        context=tuple(dataset.context),
        entity_key=dataset.entity_key,
        metrics=dict(metrics),
        importance=dict(importance),
        training_windows=tuple(TrainingWindow(*pair) for pair in lineage.training_windows.items()),
        validation_window=TrainingWindow(*lineage.validation_window),
        dagster_run_id=lineage.dagster_run_id,
        mlflow_run_id=lineage.mlflow_run_id,
        files={name: release.digest_of(folder / name) for name in (release.MODEL, release.CASES, MODEL_CARD)},
    )
    (folder / release.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return release.sha256_of(folder / release.MANIFEST)


def cases_of(dataset: Dataset, frame: pd.DataFrame, probabilities: npt.NDArray[np.float64]) -> list[Case]:
    """Rows as a client sends them, with the answers that the fitted pipeline gave."""
    return [
        Case(
            row={name: _as_json(record[name], feature.type) for name, feature in dataset.features.items()},
            probability=float(probability),
        )
        for record, probability in zip(frame.to_dict("records"), probabilities[: len(frame)], strict=True)
    ]


def _as_json(value: object, kind: str) -> release.FeatureValue:
    if value is None or value != value:  # NaN is the one value unlike itself
        return None
    if kind == "category":
        return str(value)
    if kind == "boolean":
        return bool(value)
    # The shortest text that is this float32: 39.02, and not 39.02000045776367.
    number = float(str(np.float32(value)))  # type: ignore[arg-type]
    return int(number) if kind == "integer" else number

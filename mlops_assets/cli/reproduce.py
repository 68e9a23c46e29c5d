"""`mlops reproduce VERSION`: trains a version again from what its evidence names, and says whether it is the same.

It registers nothing and changes no state. Training and scoring belong to `mlops_assets.adapters.candidate_training`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.adapters.candidate_training import TrainedCandidate, train_candidate, validation_rows
from mlops_assets.adapters.model_registry import EvidenceMissing, ModelRegistry, registry_of
from mlops_assets.adapters.provenance import code_sha256, lock_sha256
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.registered import registered
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.comparison import measured, split_keys
from mlops_assets.domain.evaluation import Scores
from mlops_assets.domain.evidence import Evidence
from serving.release import sha256_of


@dataclass(frozen=True)
class Reproduction:
    """A version as it is recorded beside what the same windows give now."""

    version: int
    training_windows: dict[str, str]
    recorded: dict[str, float]
    """Metric by name, as the evidence says it."""
    now: dict[str, float]
    rows: int
    """Validation rows that both were scored on."""
    differing_rows: int
    """Rows whose score is another, by however little."""
    largest_difference: float
    same_model: bool
    """Whether the exported model is the same to the byte."""
    same_code: bool
    """Whether the package is the one that trained it; another may train another model."""
    same_lock: bool

    @property
    def is_equal(self) -> bool:
        """Whether metrics and predictions are equal."""
        return self.recorded == self.now and not self.differing_rows


def reproduce(settings: Settings, version: int) -> Reproduction:
    """Trains a version again.

    Raises:
        UserError: what it was made of is not there any more, or cannot be believed.
    """
    demand_state(settings)
    dataset = read_dataset(settings.dataset)
    registry = registry_of(settings)
    found = registered(registry, version)
    evidence = found.evidence
    recorded = _recorded_scores(registry, evidence)
    windows = WindowStore(settings.windows, dataset.model_copy(update={"training": evidence.training}))
    _demand_windows(windows, evidence)
    trained = train_candidate(windows, evidence.training_windows)
    scores, now = _scored(trained, windows, evidence, recorded)
    difference = np.abs(scores - recorded["candidate"].to_numpy(np.float64))
    return Reproduction(
        version=version,
        training_windows=evidence.training_windows,
        recorded={name: getattr(evidence.candidate, name) for name in now},
        now=now,
        rows=len(recorded),
        differing_rows=int(np.count_nonzero(difference)),
        largest_difference=float(difference.max()),
        same_model=trained.exported == found.model,
        same_code=evidence.code_sha256 == code_sha256(),
        same_lock=evidence.lock_sha256 == lock_sha256(),
    )


def as_json(found: Reproduction) -> dict[str, Any]:
    """Everything that `mlops reproduce --json` prints."""
    return {**asdict(found), "is_equal": found.is_equal}


def told(found: Reproduction) -> list[str]:
    """The same in lines."""
    lines = [f"version {found.version}, trained again on {', '.join(found.training_windows)}:"]
    for name, recorded in found.recorded.items():
        same = "equal" if found.now[name] == recorded else f"now {found.now[name]!r}"
        lines.append(f"  {name:<18} {recorded!r}  {same}")
    if found.differing_rows:
        lines.append(
            f"  {'predictions':<18} {found.differing_rows:,} of {found.rows:,} rows differ, by up to "
            f"{found.largest_difference:.3g}"
        )
    else:
        lines.append(f"  {'predictions':<18} equal on all {found.rows:,} validation rows")
    lines.append(f"  {'exported model':<18} {'the same bytes' if found.same_model else 'other bytes'}")
    for name, is_same in (("code", found.same_code), ("lock", found.same_lock)):
        lines.append(f"  {name:<18} {'the same' if is_same else 'another than it was trained by'}")
    return [*lines, "equal" if found.is_equal else "not equal"]


def _recorded_scores(registry: ModelRegistry, evidence: Evidence) -> pd.DataFrame:
    version = evidence.candidate.version
    try:
        with TemporaryDirectory() as folder:
            path = registry.download_scores(version, Path(folder))
            if (actual := sha256_of(path)) == evidence.scores_sha256:
                return pd.read_parquet(path)
    except EvidenceMissing as error:
        raise UserError(str(error)) from error
    raise UserError(
        f"the scores of version {version} are not those that the gate saw: sha256 is {actual}, the evidence says "
        f"{evidence.scores_sha256}"
    )


def _demand_windows(windows: WindowStore, evidence: Evidence) -> None:
    """Every data version that it was made of must be there, in the shape that the contract has now."""
    for window, data_version in {**evidence.training_windows, evidence.window: evidence.data_version}.items():
        stored = windows.stored(window, data_version)
        if stored is None:
            raise UserError(
                f"data version {data_version} of the window {window} is not in {windows.folder} any more: land the "
                "window again as it was"
            )
        if stored.shape != windows.dataset.shape:
            raise UserError(
                f"data version {data_version} of the window {window} has other columns than the contract now: name "
                "the contract of that time with --dataset"
            )


def _scored(
    trained: TrainedCandidate, windows: WindowStore, evidence: Evidence, recorded: pd.DataFrame
) -> tuple[Scores, dict[str, float]]:
    """Scores and metrics of the validation rows, which must be those of the record."""
    validation = validation_rows(windows, evidence.window, evidence.data_version)
    if validation[windows.dataset.row_id].tolist() != recorded["row_id"].tolist():
        raise UserError(
            f"the validation rows of {evidence.window} are not those that version {evidence.candidate.version} was "
            f"judged on: {len(validation):,} now, {len(recorded):,} then"
        )
    scores = trained.served.score(validation)
    truth = validation[windows.dataset.target].to_numpy(bool)
    return scores, measured(truth, scores, split_keys(windows.dataset, validation))

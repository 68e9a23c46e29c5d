"""Training from stored windows: the rows that a candidate learns from and is compared on, and the model it becomes.

One way for the asset and for `mlops reproduce`. How a model is fitted belongs to `mlops_assets.domain.candidate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from mlops_assets.adapters.release_store import ServedModel, cases_of, features_of
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain import candidate
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import Scores, differing
from mlops_assets.domain.known_cases import KnownCaseScore, as_frame, judge
from mlops_assets.domain.windows import TRAIN, VALIDATION
from serving.release import TOLERANCE, Case

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


CASES = 50
"""Rows with known answers in a release, which the service replays when it loads it."""


@dataclass(frozen=True)
class TrainedCandidate:
    """A fitted pipeline and what it is served as."""

    dataset: Dataset
    pipeline: "Pipeline"
    exported: bytes
    """The classifier as ONNX."""
    served: ServedModel
    training_rows: int

    def fitted(self, frame: pd.DataFrame) -> Scores:
        """The fitted pipeline's scores; shape [rows]."""
        return candidate.score(self.pipeline, self.dataset, frame)

    def known_cases(self) -> tuple[KnownCaseScore, ...]:
        """The contract's known cases as the service would answer them."""
        cases = self.dataset.known_cases
        if not cases:
            return ()
        return judge(cases, list(self.served.score(as_frame(cases, self.dataset.features))))

    def cases(self, validation: pd.DataFrame, *, served: Scores, fitted: Scores) -> list[Case]:
        """The release's rows with known answers: ones on which both ways of scoring agree.

        Args:
            validation: Rows.
            served: The exported model's scores of them.
            fitted: The fitted pipeline's.
        """
        # Half of what the service allows: a case must not be borderline.
        agreeing = ~differing(served, fitted, tolerance=TOLERANCE / 2)
        return cases_of(self.dataset, validation[agreeing].head(CASES), fitted[agreeing])


def train_candidate(windows: WindowStore, versions: Mapping[str, str]) -> TrainedCandidate:
    """Fits and exports a model.

    Args:
        windows: The store, with the contract.
        versions: Data version by window: whose training rows it learns from.

    Raises:
        NotTrainable: the rows hold one outcome alone.
    """
    dataset = windows.dataset
    rows = windows.draw(versions, split=TRAIN, max_rows=dataset.training.max_rows, labelled=True)
    pipeline = candidate.train(dataset, rows)
    exported = candidate.export_onnx(pipeline)
    return TrainedCandidate(dataset, pipeline, exported, ServedModel(exported, features_of(dataset)), len(rows))


def validation_rows(windows: WindowStore, window: str, version: str) -> pd.DataFrame:
    """The rows of a window that no model trains on and that have a label, ordered by row id."""
    rows = windows.dataset.training.max_rows
    return windows.draw({window: version}, split=VALIDATION, max_rows=rows, labelled=True)


def score_table(dataset: Dataset, validation: pd.DataFrame, scores: Mapping[str, Scores]) -> pd.DataFrame:
    """Each model's scores beside `row_id` and `truth`, as they are kept with the evidence."""
    rows = {"row_id": validation[dataset.row_id], "truth": validation[dataset.target]}
    return pd.DataFrame({**rows, **scores}).reset_index(drop=True)

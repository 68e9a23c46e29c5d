"""Rules of drift: what the measured columns add up to, and whether it starts a training.

Measuring belongs to `mlops_assets.adapters.drift_measurement`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column moved from the reference; it drifted where `score` reaches `threshold`."""

    column: str
    method: str
    score: float | None
    """None where the column could not be measured; it then counts as drifted, and `note` says why."""
    threshold: float
    note: str = ""

    @property
    def drifted(self) -> bool:
        """Whether the column counts as drifted."""
        return self.score is None or not self.score < self.threshold  # a NaN counts too


@dataclass(frozen=True)
class DriftDecision:
    """What a drift report leads to, and why."""

    kind: Literal["first", "trained", "no drift"]
    reason: str

    @property
    def trains(self) -> bool:
        """Whether a candidate is to be trained."""
        return self.kind != "no drift"


def drift_share(columns: Sequence[ColumnDrift]) -> float:
    """Share of the columns that drifted.

    Raises:
        ValueError: there are none, so nothing was measured.
    """
    if not columns:
        raise ValueError("no column was measured, so there is no drift share")
    return sum(column.drifted for column in columns) / len(columns)


def decide(share: float | None, threshold: float) -> DriftDecision:
    """Whether to train a candidate on a window.

    Args:
        share: The measured drift share; None where there is no production model to compare with.
        threshold: The limit; drift must exceed it strictly.
    """
    if share is None:
        return DriftDecision("first", "there is no production model yet")
    if share > threshold:
        return DriftDecision("trained", f"drift_share {share:.4f} exceeds the threshold {threshold:.4f}")
    return DriftDecision("no drift", f"drift_share {share:.4f} does not exceed the threshold {threshold:.4f}")

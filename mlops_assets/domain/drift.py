"""Rules of drift: what the measured columns add up to, and whether it starts a training.

Measuring belongs to `mlops_assets.adapters.drift_measurement`.
"""

from collections.abc import Mapping, Sequence
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


def drift_share(columns: Sequence[ColumnDrift]) -> float:
    """Share of the columns that drifted.

    Raises:
        ValueError: there are none, so nothing was measured.
    """
    if not columns:
        raise ValueError("no column was measured, so there is no drift share")
    return sum(column.drifted for column in columns) / len(columns)


@dataclass(frozen=True)
class Learned:
    """What a model learned from: its newest window, and the data version of each."""

    window: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Tried:
    """A candidate that was trained and decided on before: on what, against which production, and by what."""

    learned: Learned
    production_epoch: int | None
    judged_by: Mapping[str, object]
    """The settings of training and gate and the code, by name, as they were then."""


@dataclass(frozen=True)
class Situation:
    """All that the decision on a window looks at."""

    window: str
    threshold: float
    missing_labels: str | None
    """What the window's training waits for; None where enough labels have come."""
    production: Learned | None
    production_epoch: int | None
    share: float | None
    """The measured drift share; None where there is nothing to compare with."""
    would_learn: Learned
    """What a candidate would learn from now: up to this window, or up to production's where that is newer."""
    judged_by: Mapping[str, object]
    """The settings of training and gate and the code, by name, as they are now."""
    tried: Tried | None
    """The last candidate of the window that `would_learn` ends with."""


Kind = Literal["first", "trained", "no drift", "waits for labels", "late", "not trainable", "answered"]


@dataclass(frozen=True)
class DriftDecision:
    """What a drift report leads to, and why."""

    kind: Kind
    reason: str
    trains: str | None = None
    """The window to train a candidate on, or None."""


def decide(now: Situation) -> DriftDecision:
    """Whether to train a candidate, and on which window.

    A window older than production's never brings production back to its period: where it belongs to what production
    should have learned from, a candidate of production's own window is trained anew, and else nothing is.
    """
    if now.missing_labels is not None:
        return DriftDecision("waits for labels", now.missing_labels)
    wanted = _wanted(now)
    if wanted.trains is None:
        return wanted
    if wanted.trains not in now.would_learn.versions:
        return _not_trainable(wanted, wanted.trains)
    if now.tried == Tried(now.would_learn, now.production_epoch, now.judged_by):
        return DriftDecision(
            "answered", f"a candidate learned from the same data and met the same production before ({wanted.reason})"
        )
    return wanted


def _not_trainable(wanted: DriftDecision, window: str) -> DriftDecision:
    """Nothing is trained on a window that cannot be: the training would fail, and say so to nobody who can help."""
    return DriftDecision(
        "late" if wanted.kind == "late" else "not trainable",
        f"{wanted.reason}, but {window} as it is stored cannot be trained on: it was removed, it lacks labels, or it "
        f"was stored under another contract; land it anew, or `mlops quarantine requeue {window}`",
    )


def _wanted(now: Situation) -> DriftDecision:
    window = now.window
    if now.production is None:
        return DriftDecision("first", "there is no production model yet", window)
    newest = now.production.window
    if window < newest:
        if window in now.would_learn.versions and now.would_learn != now.production:
            return DriftDecision("late", f"production's window {newest} would have learned from it too", newest)
        return DriftDecision("late", f"production is of the newer window {newest} already")
    if window == newest and window in now.production.versions and now.would_learn != now.production:
        return DriftDecision("trained", "production learned from another version of this window", window)
    if now.share is None:
        return DriftDecision(
            "first", "the contract changed: no row that production learned from is of its shape", window
        )
    if now.share > now.threshold:
        return DriftDecision(
            "trained", f"drift_share {now.share:.4f} exceeds the threshold {now.threshold:.4f}", window
        )
    return DriftDecision("no drift", f"drift_share {now.share:.4f} does not exceed the threshold {now.threshold:.4f}")

"""Rules of drift: whether what was measured starts a training.

What a report says of a column belongs to `drift_columns`; measuring to `mlops_assets.adapters.drift_measurement`, and
finding what the rules look at to `mlops_assets.adapters.drift_history`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from mlops_assets.domain.dataset_tables import Retraining


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
class NotEnoughData:
    """Too little to measure drift by: neither drift nor no drift."""

    reason: str


@dataclass(frozen=True)
class Situation:
    """All that the decision on a window looks at."""

    window: str
    threshold: float
    policy: Retraining
    missing_labels: str | None
    """What the window's training waits for; None where enough labels have come."""
    production: Learned | None
    production_epoch: int | None
    measured: float | NotEnoughData | None
    """The drift share; None where there is nothing to compare with."""
    earlier: Mapping[str, float]
    """The drift shares of the windows between production's and this one, as far as each was measured, and against this
    production; of at least the last `policy.of_last` - 1 of them."""
    windows_since_training: int | None
    """How many windows lie between the newest one before this that the loop trained a candidate on and this one; None
    where there is none, or it is further back than `policy.cooldown_windows`."""
    trainings: Sequence[datetime]
    """When the loop started its trainings of the last `policy.budget_days`; empty where no budget is named."""
    would_learn: Learned
    """What a candidate would learn from now: up to this window, or up to production's where that is newer."""
    judged_by: Mapping[str, object]
    """The settings of training and gate and the code, by name, as they are now."""
    tried: Tried | None
    """The last candidate of the window that `would_learn` ends with."""


Kind = Literal[
    "first",
    "trained",
    "no drift",
    "not enough data",
    "waits for labels",
    "late",
    "not yet",
    "cooling down",
    "not trainable",
    "answered",
    "over budget",
]


@dataclass(frozen=True)
class Step:
    """A rule that was asked, and what it said."""

    rule: str
    said: str
    """With the numbers that it looked at."""
    outcome: Literal["go", "stop"]


@dataclass(frozen=True)
class DriftDecision:
    """What a drift report leads to, and why."""

    kind: Kind
    reason: str
    trains: str | None = None
    """The window to train a candidate on, or None."""
    steps: tuple[Step, ...] = ()
    """The rules in the order in which they were asked; one that stops is the last."""


def decide(now: Situation) -> DriftDecision:
    """Whether to train a candidate, and on which window.

    A window older than production's never brings production back to its period: where it belongs to what production
    should have learned from, a candidate of production's own window is trained anew, and else nothing is.

    Drift must show in enough of the last windows, and not too soon after a training. A correction of what production
    learned from is no drift, and neither is a first model: both skip these two rules, and a first model, without which
    nothing answers, skips the budget too.

    What a candidate lost on is not tried again: the same data against the same production, by the same code and
    settings, gives the same verdict. Another window is other data, and so is another version of one: corrected rows,
    and labels that came late.

    What is put off is not lost. The next window is measured against the same production, and a window whose report is
    made anew is decided on anew.
    """
    wanted = _wanted(now)
    if wanted.trains is None:
        return wanted
    steps = list(wanted.steps)
    for asked in _restraints(now, wanted, wanted.trains):
        steps.append(Step(asked.rule, asked.said, "go" if asked.stops_as is None else "stop"))
        if asked.stops_as is not None:
            return DriftDecision(asked.stops_as, f"{wanted.reason}, but {asked.said}", None, tuple(steps))
    return replace(wanted, steps=tuple(steps))


def over_budget(policy: Retraining, trainings: Sequence[datetime], *, window: str) -> str | None:
    """Why the loop may not start a training now, and when it may; None where it may now.

    Args:
        policy: The budget.
        trainings: When the loop started its trainings of the last `policy.budget_days`.
        window: Whose report would start it.
    """
    limit = policy.budget_trainings
    if limit is None or len(trainings) < limit:
        return None
    frees_at = sorted(trainings)[-limit] + timedelta(days=policy.budget_days)
    return (
        f"trainings that answered drift in {policy.budget_days:g} days: {len(trainings)} of {limit}; a place "
        f"frees at {frees_at:%Y-%m-%d %H:%M %Z}: materialize drift_report of {window} anew then, or turn on "
        "drift_schedule"
    )


@dataclass(frozen=True)
class _Restraint:
    """What a rule says that may only keep a training from starting."""

    rule: str
    said: str
    stops_as: Kind | None = None


class _Asked:
    """The rules that were asked so far."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def passed(self, rule: str, said: str) -> None:
        """A rule that leaves it to the next."""
        self._steps.append(Step(rule, said, "go"))

    def ended(self, rule: str, kind: Kind, said: str, trains: str | None = None) -> DriftDecision:
        """The rule that says whether a training is wanted, and of which window."""
        last = Step(rule, said, "go" if trains else "stop")
        return DriftDecision(kind, said, trains, (*self._steps, last))


def _wanted(now: Situation) -> DriftDecision:
    """Whether there is a cause for a training, before anything that may restrain it."""
    asked, window = _Asked(), now.window
    if now.missing_labels is not None:
        return asked.ended("labels", "waits for labels", now.missing_labels)
    asked.passed("labels", "enough of its rows have a label")
    if now.production is None:
        return asked.ended("production", "first", "there is no production model yet", window)
    newest = now.production.window
    asked.passed("production", f"production is of the window {newest}, epoch {now.production_epoch}")
    if window < newest:
        if window in now.would_learn.versions and now.would_learn != now.production:
            said = f"production's window {newest} would have learned from it too"
            return asked.ended("period", "late", said, newest)
        return asked.ended("period", "late", f"production is of the newer window {newest} already")
    if window == newest and window in now.production.versions and now.would_learn != now.production:
        return asked.ended("period", "trained", "production learned from another version of this window", window)
    asked.passed("period", f"it is not older than production's window {newest}")
    if now.measured is None:
        said = "the contract changed: no row that production learned from is of its shape"
        return asked.ended("contract", "first", said, window)
    asked.passed("contract", "production learned from rows of its shape")
    if isinstance(now.measured, NotEnoughData):
        said = f"{now.measured.reason}: neither drift nor no drift"
        return asked.ended("enough data", "not enough data", said)
    asked.passed("enough data", "its drift could be measured")
    share, threshold = f"drift_share {now.measured:.4f}", f"the threshold {now.threshold:.4f}"
    if now.measured > now.threshold:
        return asked.ended(_DRIFT_SHARE, "trained", f"{share} exceeds {threshold}", window)
    return asked.ended(_DRIFT_SHARE, "no drift", f"{share} does not exceed {threshold}")


_DRIFT_SHARE = "drift share"


def _restraints(now: Situation, wanted: DriftDecision, trains: str) -> Iterator[_Restraint]:
    """What the rules say that a training must pass, in this order; which of them depends on why it is wanted."""
    if wanted.steps[-1].rule == _DRIFT_SHARE:
        yield _last_windows(now)
        yield _cooldown(now)
    yield _trainable(now, trains, "late" if wanted.kind == "late" else "not trainable")
    yield _answered(now)
    if wanted.kind != "first":
        yield _budget(now)


def _last_windows(now: Situation) -> _Restraint:
    must, of_last = now.policy.drifted_windows, now.policy.of_last
    before = sorted(now.earlier.items(), reverse=True)[: of_last - 1]
    drifted = [f"{window} {share:.4f}" for window, share in before if share > now.threshold]
    said = (
        f"{1 + len(drifted)} of the last {1 + len(before)} windows measured against this production drifted "
        f"({', '.join(['this one', *drifted])}), {must} of {of_last} must"
    )
    if 1 + len(drifted) >= must:
        return _Restraint("last windows", said)
    return _Restraint("last windows", f"{said}: a later one that drifts may complete them", "not yet")


def _cooldown(now: Situation) -> _Restraint:
    cooldown, since = now.policy.cooldown_windows, now.windows_since_training
    if not cooldown:
        return _Restraint("cooldown", "none is named")
    if since is None or since >= cooldown:
        return _Restraint("cooldown", f"the loop trained no candidate on the {cooldown} windows before it")
    said = (
        f"it is window {since + 1} after the one that the loop trained a candidate on, and drift in the first "
        f"{cooldown} starts no other: drift in a later one does"
    )
    return _Restraint("cooldown", said, "cooling down")


def _trainable(now: Situation, trains: str, stops_as: Kind) -> _Restraint:
    """Nothing is trained on a window that cannot be: the training would fail, and say so to nobody who can help."""
    if trains in now.would_learn.versions:
        return _Restraint("trainable", f"a candidate would learn from {', '.join(sorted(now.would_learn.versions))}")
    said = (
        f"{trains} as it is stored cannot be trained on: it was removed, it lacks labels, or it was stored under "
        f"another contract; land it anew, or `mlops quarantine requeue {trains}`"
    )
    return _Restraint("trainable", said, stops_as)


def _answered(now: Situation) -> _Restraint:
    if now.tried != Tried(now.would_learn, now.production_epoch, now.judged_by):
        return _Restraint("answered", "no candidate learned from the same data and met the same production before")
    said = (
        "a candidate learned from the same data and met the same production before: more data, more labels, another "
        "production, other settings or other code start the next"
    )
    return _Restraint("answered", said, "answered")


def _budget(now: Situation) -> _Restraint:
    if said := over_budget(now.policy, now.trainings, window=now.window):
        return _Restraint("budget", said, "over budget")
    limit, days = now.policy.budget_trainings, now.policy.budget_days
    if limit is None:
        return _Restraint("budget", "none is named")
    return _Restraint("budget", f"trainings that answered drift in {days:g} days: {len(now.trainings)} of {limit}")

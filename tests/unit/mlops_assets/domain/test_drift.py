from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.drift import ColumnDrift, Learned, Situation, Tried, decide, drift_share
from mlops_assets.domain.windows import last_windows


def column(score: float | None, *, threshold: float = 0.1) -> ColumnDrift:
    """A measured column."""
    return ColumnDrift(column="amount", method="wasserstein", score=score, threshold=threshold)


@pytest.mark.parametrize(("score", "drifted"), [(0.0, False), (0.0999, False), (0.1, True), (0.5, True)])
def test_a_column_drifts_where_its_distance_reaches_the_threshold(score: float, drifted: bool) -> None:
    """Evidently's own rule for distances; ours must not differ from its page."""
    assert column(score).drifted is drifted


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_column_that_could_not_be_measured_counts_as_drifted(score: float | None) -> None:
    """An all-null month must not pass for an undrifted one."""
    assert column(score).drifted
    assert drift_share([column(score), column(0.0)]) == 0.5


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1))
def test_the_share_counts_columns(scores: list[float | None]) -> None:
    """Every column weighs the same."""
    drifted = sum(score is None or score >= 0.1 for score in scores)
    assert drift_share([column(score) for score in scores]) == pytest.approx(drifted / len(scores))


def test_nothing_measured_is_an_error_and_not_no_drift() -> None:
    """A report without columns must never read as 0."""
    with pytest.raises(ValueError, match="no column was measured"):
        drift_share([])


ONE, TWO = Learned("2024-01", {"2024-01": "a"}), Learned("2024-02", {"2024-01": "a", "2024-02": "b"})

RULES = {"min_gain": 0.01, "code_sha256": "c"}


def situation(**changes: object) -> Situation:
    """Window 2024-02 landed after production learned from 2024-01; some of it changed."""
    usual = Situation(
        window="2024-02",
        threshold=0.3,
        missing_labels=None,
        production=ONE,
        production_epoch=1,
        share=0.5,
        would_learn=TWO,
        judged_by=RULES,
        tried=None,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "threshold", "kind", "trains"),
    [
        (0.3, 0.3, "no drift", None),
        (0.3001, 0.3, "trained", "2024-02"),
        (0.0, 0.0, "no drift", None),
        (0.01, 0.0, "trained", "2024-02"),
        (1.0, 1.0, "no drift", None),
    ],
)
def test_only_drift_that_exceeds_the_threshold_trains(
    share: float, threshold: float, kind: str, trains: str | None
) -> None:
    """Equality must not train: a threshold of 0 would otherwise retrain for ever."""
    decision = decide(situation(share=share, threshold=threshold))
    assert (decision.kind, decision.trains) == (kind, trains)


def test_a_decision_says_its_numbers() -> None:
    """The reason is what the run's tags and the skip message show."""
    assert decide(situation()).reason == "drift_share 0.5000 exceeds the threshold 0.3000"
    assert decide(situation(share=0.1)).reason == "drift_share 0.1000 does not exceed the threshold 0.3000"


def test_the_first_window_trains_the_first_model() -> None:
    """Without production there is nothing to drift from."""
    decision = decide(situation(production=None, production_epoch=None, share=None))
    assert (decision.kind, decision.trains) == ("first", "2024-02")
    assert decision.reason == "there is no production model yet"


def test_a_changed_contract_trains_anew() -> None:
    """There is a production model, and no row of the new shape that it learned from."""
    decision = decide(situation(share=None))
    assert (decision.kind, decision.trains) == ("first", "2024-02")
    assert "the contract changed" in decision.reason


@pytest.mark.parametrize("changes", [{}, {"production": None}, {"window": "2023-12"}])
def test_without_labels_everything_waits(changes: dict[str, object]) -> None:
    """Also the first window, and a late one: a gate without labels has nothing to judge by."""
    decision = decide(situation(missing_labels="3 of 9 clean rows have a label", **changes))
    assert (decision.kind, decision.trains) == ("waits for labels", None)
    assert decision.reason == "3 of 9 clean rows have a label"


def test_a_late_window_that_production_would_not_have_learned_from_trains_nothing() -> None:
    """However much it drifted: its period is over."""
    decision = decide(situation(window="2023-12", share=1.0, would_learn=ONE))
    assert (decision.kind, decision.trains) == ("late", None)


def test_a_late_window_that_production_would_have_learned_from_trains_productions_own_window() -> None:
    """A month that comes late completes what the newest model learns from, and moves nothing back."""
    late = situation(window="2024-01", production=Learned("2024-02", {"2024-02": "b"}), share=0.0)
    assert decide(late).trains == "2024-02"
    assert decide(late).kind == "late"


def test_another_version_of_what_production_learned_from_trains_its_window_anew() -> None:
    """Corrected data must reach the model, though its distribution is the same."""
    corrected = Learned("2024-01", {"2024-01": "z"})
    decision = decide(situation(window="2024-01", share=0.0, would_learn=corrected))
    assert (decision.kind, decision.trains) == ("trained", "2024-01")


def test_what_was_tried_and_lost_is_not_tried_again() -> None:
    """The same data and the same production give the same verdict, and cost a training each time."""
    lost = situation(tried=Tried(TWO, 1, RULES))
    assert (decide(lost).kind, decide(lost).trains) == ("answered", None)
    assert decide(replace(lost, production_epoch=2)).kind == "trained", "another production is another comparison"
    assert decide(situation(tried=Tried(ONE, 1, RULES))).kind == "trained", "so is other data"
    assert decide(replace(lost, judged_by={**RULES, "min_gain": 0})).kind == "trained", "so is another gate"


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "2024-01", "production": TWO, "would_learn": Learned("2024-02", {"2024-01": "z"})},
        {"window": "2024-01", "production": TWO, "would_learn": Learned("2024-01", {"2024-01": "z"})},
    ],
)
def test_a_late_window_trains_nothing_where_productions_window_cannot_be_trained_on(changes: dict[str, object]) -> None:
    """It landed anew without labels; it was removed, or is of another contract. The training would fail."""
    decision = decide(situation(**changes))
    assert (decision.kind, decision.trains) == ("late", None)
    assert "2024-02 as it is stored cannot be trained on" in decision.reason
    assert "`mlops quarantine requeue 2024-02`" in decision.reason


def test_a_window_that_cannot_be_trained_on_itself_is_not() -> None:
    """The contract changed since it was stored, and someone asked for its report alone."""
    decision = decide(situation(share=None, would_learn=Learned("2024-02", {})))
    assert (decision.kind, decision.trains) == ("not trainable", None)
    assert "`mlops quarantine requeue 2024-02`" in decision.reason


class Story:
    """Windows that land one after the other, the decision on each, and a gate."""

    def __init__(self, *, count: int, share: float) -> None:
        self.count = count
        self.share = share
        self.landed: dict[str, str] = {}
        self.production: Learned | None = None
        self.epoch = 0
        self.tried: dict[str, Tried] = {}
        self.kinds: list[str] = []
        self.periods: list[str] = []
        """The window of what was production after each step."""

    def learns(self, until: str) -> Learned:
        """What a candidate of a window learns from now."""
        return Learned(
            until, {name: self.landed[name] for name in last_windows(self.landed, until=until, count=self.count)}
        )

    def land(self, window: str, version: str, *, wins: bool = True) -> None:
        """A version of a window lands; the candidate that it leads to, if any, wins or loses."""
        self.landed[window] = version
        newest = max(window, self.production.window) if self.production else window
        epoch = self.epoch or None
        decision = decide(
            situation(
                window=window,
                production=self.production,
                production_epoch=epoch,
                share=self.share,
                would_learn=self.learns(newest),
                tried=self.tried.get(newest),
            )
        )
        self.kinds.append(decision.kind)
        if decision.trains is not None:
            candidate = self.learns(decision.trains)
            self.tried[decision.trains] = Tried(candidate, epoch, RULES)
            if wins or self.production is None:
                self.production, self.epoch = candidate, self.epoch + 1
        assert self.production is not None
        self.periods.append(self.production.window)


MONTHS = [f"2024-{month:02d}" for month in range(1, 13)]


@given(
    arrival=st.permutations(MONTHS), count=st.integers(1, 5), corrected=st.lists(st.sampled_from(MONTHS), max_size=3)
)
def test_shuffled_arrival_ends_with_the_same_production(arrival: list[str], count: int, corrected: list[str]) -> None:
    """Where every window drifts and every candidate wins; production knows all that it should have learned from."""
    story = Story(count=count, share=1.0)
    for step, window in enumerate([*arrival, *corrected]):
        story.land(window, f"version of step {step}" if step >= len(arrival) else "first version")
    assert story.periods == sorted(story.periods), "production went back to an older period"
    assert story.production == story.learns("2024-12")


@given(
    landings=st.lists(st.tuples(st.sampled_from(MONTHS), st.sampled_from("ab"), st.booleans()), max_size=30),
    count=st.integers(1, 5),
    share=st.sampled_from([0.0, 1.0]),
)
def test_whatever_loses_and_comes_again_production_never_goes_back(
    landings: list[tuple[str, str, bool]], count: int, share: float
) -> None:
    """And what lost is not tried again as it lands again."""
    story = Story(count=count, share=share)
    for window, version, wins in landings:
        story.land(window, version, wins=wins)
        epoch = story.epoch
        story.land(window, version, wins=False)
        assert wins or story.epoch == epoch
        story.land(window, version, wins=False)
        assert story.kinds[-1] in ("answered", "no drift", "late"), "a third time the same is never a training"
    assert story.periods == sorted(story.periods)


def test_without_drift_the_order_of_arrival_decides() -> None:
    """What docs/decisions/0006 does not promise: a newer window that has not drifted trains nothing."""
    ends = []
    for arrival in (("2024-01", "2024-02"), ("2024-02", "2024-01")):
        story = Story(count=2, share=0.1)
        for window in arrival:
            story.land(window, "a")
        ends.append(story.production)
    assert ends == [Learned("2024-01", {"2024-01": "a"}), story.learns("2024-02")]

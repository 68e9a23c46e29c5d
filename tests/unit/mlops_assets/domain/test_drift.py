from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.dataset_tables import Retraining
from mlops_assets.domain.drift import DriftDecision, Learned, NotEnoughData, Situation, Tried, decide, over_budget
from mlops_assets.domain.windows import last_windows

ONE, TWO = Learned("2024-01", {"2024-01": "a"}), Learned("2024-02", {"2024-01": "a", "2024-02": "b"})

RULES = {"min_gain": 0.01, "code_sha256": "c"}


def situation(**changes: object) -> Situation:
    """Window 2024-02 landed after production learned from 2024-01; some of it changed."""
    usual = Situation(
        window="2024-02",
        threshold=0.3,
        policy=Retraining(),
        missing_labels=None,
        production=ONE,
        production_epoch=1,
        measured=0.5,
        earlier={},
        windows_since_training=None,
        trainings=[],
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
    decision = decide(situation(measured=share, threshold=threshold))
    assert (decision.kind, decision.trains) == (kind, trains)


def test_a_decision_says_its_numbers() -> None:
    """The reason is what the run's tags and the skip message show."""
    assert decide(situation()).reason == "drift_share 0.5000 exceeds the threshold 0.3000"
    assert decide(situation(measured=0.1)).reason == "drift_share 0.1000 does not exceed the threshold 0.3000"


def test_the_first_window_trains_the_first_model() -> None:
    """Without production there is nothing to drift from."""
    decision = decide(situation(production=None, production_epoch=None, measured=None))
    assert (decision.kind, decision.trains) == ("first", "2024-02")
    assert decision.reason == "there is no production model yet"


def test_a_changed_contract_trains_anew() -> None:
    """There is a production model, and no row of the new shape that it learned from."""
    decision = decide(situation(measured=None))
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
    decision = decide(situation(window="2023-12", measured=1.0, would_learn=ONE))
    assert (decision.kind, decision.trains) == ("late", None)


def test_a_late_window_that_production_would_have_learned_from_trains_productions_own_window() -> None:
    """A month that comes late completes what the newest model learns from, and moves nothing back."""
    late = situation(window="2024-01", production=Learned("2024-02", {"2024-02": "b"}), measured=0.0)
    assert decide(late).trains == "2024-02"
    assert decide(late).kind == "late"


def test_another_version_of_what_production_learned_from_trains_its_window_anew() -> None:
    """Corrected data must reach the model, though its distribution is the same."""
    corrected = Learned("2024-01", {"2024-01": "z"})
    decision = decide(situation(window="2024-01", measured=0.0, would_learn=corrected))
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
    decision = decide(situation(measured=None, would_learn=Learned("2024-02", {})))
    assert (decision.kind, decision.trains) == ("not trainable", None)
    assert "`mlops quarantine requeue 2024-02`" in decision.reason


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
TWICE_IN_THREE = Retraining(drifted_windows=2, of_last=3)
COOLDOWN = Retraining(cooldown_windows=2)
TWO_IN_TEN_DAYS = Retraining(budget_trainings=2, budget_days=10)
SPENT = [NOON - timedelta(days=9), NOON - timedelta(days=1)]
STRICT = Retraining(drifted_windows=2, of_last=2, cooldown_windows=2, budget_trainings=2, budget_days=10)
RESTRAINED = {"policy": STRICT, "windows_since_training": 0, "trainings": SPENT}
LOST = Tried(TWO, 1, RULES)
NO_PRODUCTION = {"production": None, "production_epoch": None, "measured": None}
CORRECTED = {"window": "2024-01", "measured": 0.0, "would_learn": Learned("2024-01", {"2024-01": "z"})}
COMPLETED = {"window": "2024-01", "production": Learned("2024-02", {"2024-02": "b"}), "measured": 0.0}


@pytest.mark.parametrize(
    ("changes", "kind", "trains", "last_rule"),
    [
        # Whether a training is wanted.
        ({"missing_labels": "3 of 9", **NO_PRODUCTION}, "waits for labels", None, "labels"),
        (NO_PRODUCTION, "first", "2024-02", "answered"),
        ({"window": "2023-12", "would_learn": ONE}, "late", None, "period"),
        (COMPLETED, "late", "2024-02", "budget"),
        (CORRECTED, "trained", "2024-01", "budget"),
        ({"measured": None}, "first", "2024-02", "answered"),
        ({"measured": NotEnoughData("9 rows")}, "not enough data", None, "enough data"),
        ({"measured": 0.3}, "no drift", None, "drift share"),
        ({}, "trained", "2024-02", "budget"),
        # So many of the last windows must have drifted.
        ({"policy": TWICE_IN_THREE}, "not yet", None, "last windows"),
        ({"policy": TWICE_IN_THREE, "earlier": {"2024-01": 0.3}}, "not yet", None, "last windows"),
        ({"policy": TWICE_IN_THREE, "earlier": {"2024-01": 0.31}}, "trained", "2024-02", "budget"),
        ({"policy": TWICE_IN_THREE, "earlier": {"a": 0.9, "b": 0.0}}, "trained", "2024-02", "budget"),
        ({"policy": TWICE_IN_THREE, "earlier": {"a": 0.9, "b": 0.0, "c": 0.0}}, "not yet", None, "last windows"),
        ({"policy": TWICE_IN_THREE, "earlier": {"c": 0.9, "a": 0.0, "b": 0.0}}, "trained", "2024-02", "budget"),
        ({"policy": Retraining(), "earlier": {"a": 0.0}}, "trained", "2024-02", "budget"),
        # Not too soon after a training.
        ({"policy": COOLDOWN, "windows_since_training": 0}, "cooling down", None, "cooldown"),
        ({"policy": COOLDOWN, "windows_since_training": 1}, "cooling down", None, "cooldown"),
        ({"policy": COOLDOWN, "windows_since_training": 2}, "trained", "2024-02", "budget"),
        ({"policy": COOLDOWN, "windows_since_training": None}, "trained", "2024-02", "budget"),
        ({"windows_since_training": 0}, "trained", "2024-02", "budget"),
        # On what can be trained on, and was not tried in vain.
        ({"would_learn": Learned("2024-02", {})}, "not trainable", None, "trainable"),
        ({**COMPLETED, "would_learn": Learned("2024-02", {"2024-01": "a"})}, "late", None, "trainable"),
        ({"tried": LOST}, "answered", None, "answered"),
        ({"tried": LOST, "would_learn": Learned("2024-02", {"2024-02": "more"})}, "trained", "2024-02", "budget"),
        ({"tried": LOST, "production_epoch": 2}, "trained", "2024-02", "budget"),
        ({"tried": LOST, "judged_by": {"min_gain": 0.0}}, "trained", "2024-02", "budget"),
        # As often as the budget has a place.
        ({"policy": TWO_IN_TEN_DAYS, "trainings": SPENT}, "over budget", None, "budget"),
        ({"policy": TWO_IN_TEN_DAYS, "trainings": SPENT[:1]}, "trained", "2024-02", "budget"),
        ({"trainings": SPENT}, "trained", "2024-02", "budget"),
        # The rules of drift are not asked of corrections, and none of them of a first model.
        ({**RESTRAINED, **NO_PRODUCTION}, "first", "2024-02", "answered"),
        ({**RESTRAINED, "measured": None}, "first", "2024-02", "answered"),
        ({**RESTRAINED, **COMPLETED, "trainings": []}, "late", "2024-02", "budget"),
        ({**RESTRAINED, **CORRECTED, "trainings": []}, "trained", "2024-01", "budget"),
        ({**RESTRAINED, **COMPLETED}, "over budget", None, "budget"),
        ({**RESTRAINED, **CORRECTED}, "over budget", None, "budget"),
        # The order, where several would stop it.
        (RESTRAINED, "not yet", None, "last windows"),
        ({**RESTRAINED, "earlier": {"2024-01": 0.9}}, "cooling down", None, "cooldown"),
        ({"policy": TWO_IN_TEN_DAYS, "trainings": SPENT, "tried": LOST}, "answered", None, "answered"),
    ],
)
def test_the_policy(changes: dict[str, object], kind: str, trains: str | None, last_rule: str) -> None:
    """A row is a situation, what is decided in it, and the rule that was asked last."""
    decision = decide(situation(**changes))
    assert (decision.kind, decision.trains) == (kind, trains)
    assert decision.steps[-1].rule == last_rule
    assert decision.steps[-1].outcome == ("go" if trains else "stop")
    assert {step.outcome for step in decision.steps[:-1]} <= {"go"}, "nothing is asked after a rule that stops"


def test_the_steps_of_a_training_say_every_rule_with_its_numbers() -> None:
    """What `mlops explain` prints."""
    policy = Retraining(drifted_windows=2, of_last=3, cooldown_windows=1, budget_trainings=2, budget_days=10)
    decision = decide(situation(policy=policy, earlier={"2024-01": 0.4}, trainings=SPENT[:1]))
    assert [(step.rule, step.said) for step in decision.steps] == [
        ("labels", "enough of its rows have a label"),
        ("production", "production is of the window 2024-01, epoch 1"),
        ("period", "it is not older than production's window 2024-01"),
        ("contract", "production learned from rows of its shape"),
        ("enough data", "its drift could be measured"),
        ("drift share", "drift_share 0.5000 exceeds the threshold 0.3000"),
        (
            "last windows",
            "2 of the last 2 windows measured against this production drifted (this one, 2024-01 0.4000), 2 of 3 must",
        ),
        ("cooldown", "the loop trained no candidate on the 1 windows before it"),
        ("trainable", "a candidate would learn from 2024-01, 2024-02"),
        ("answered", "no candidate learned from the same data and met the same production before"),
        ("budget", "trainings that answered drift in 10 days: 1 of 2"),
    ]


def test_a_contract_that_names_no_policy_says_so() -> None:
    """And not that nothing was trained on the last 0 windows."""
    said = {step.rule: step.said for step in decide(situation()).steps}
    assert said["cooldown"] == said["budget"] == "none is named"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measured": NotEnoughData("9 rows in the current window")}, "neither drift nor no drift"),
        ({"policy": TWICE_IN_THREE}, "a later one that drifts may complete them"),
        ({"policy": COOLDOWN, "windows_since_training": 1}, "it is window 2 after the one"),
        ({"tried": LOST}, "more data, more labels"),
        ({"policy": TWO_IN_TEN_DAYS, "trainings": SPENT}, "a place frees at 2024-03-02 12:00 UTC"),
    ],
)
def test_what_is_put_off_says_what_it_waits_for(changes: dict[str, object], said: str) -> None:
    """Whoever reads it must know whether to wait or to act; and that it drifted, where it did."""
    decision = decide(situation(**changes))
    assert said in decision.reason
    assert decision.reason.startswith("drift_share 0.5000 exceeds") or decision.kind == "not enough data"


@given(
    days_ago=st.lists(st.floats(0, 9.99), max_size=6),
    limit=st.integers(1, 4),
)
def test_the_budget_frees_when_enough_of_its_trainings_are_over(days_ago: list[float], limit: int) -> None:
    """At that time, and not before, fewer than the limit lie within the days."""
    policy = Retraining(budget_trainings=limit, budget_days=10)
    started = [NOON - timedelta(days=ago) for ago in days_ago]
    said = over_budget(policy, started, window="2024-02")
    assert (said is None) == (len(started) < limit)
    if said is not None:
        frees_at = sorted(started, reverse=True)[limit - 1] + timedelta(days=10)
        assert f"frees at {frees_at:%Y-%m-%d %H:%M} UTC" in said
        assert sum(start + timedelta(days=10) > frees_at for start in started) < limit


learned = st.builds(
    Learned,
    st.sampled_from(["2024-01", "2024-02", "2024-03"]),
    st.dictionaries(st.sampled_from(["2024-01", "2024-02", "2024-03"]), st.sampled_from("ab")),
)
policies = st.builds(
    lambda last, drifted, cooldown, budget: Retraining(
        drifted_windows=min(drifted, last), of_last=last, cooldown_windows=cooldown, budget_trainings=budget
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 3),
    st.none() | st.integers(1, 3),
)
situations = st.builds(
    Situation,
    window=st.sampled_from(["2024-01", "2024-02", "2024-03"]),
    threshold=st.sampled_from([0.0, 0.3, 1.0]),
    policy=policies,
    missing_labels=st.sampled_from([None, None, "3 of 9"]),
    production=st.none() | learned,
    production_epoch=st.sampled_from([1, 2]),
    measured=st.none() | st.builds(NotEnoughData, st.just("9 rows")) | st.floats(0, 1),
    earlier=st.dictionaries(st.sampled_from(["2023-11", "2023-12"]), st.floats(0, 1)),
    windows_since_training=st.none() | st.integers(0, 4),
    trainings=st.lists(st.datetimes(min_value=datetime(2024, 1, 1), timezones=st.just(UTC)), max_size=4),
    would_learn=learned,
    judged_by=st.just(RULES),
    tried=st.none() | st.builds(Tried, learned, st.sampled_from([1, 2]), st.just(RULES)),
)


@given(situations)
def test_a_budget_that_is_spent_starts_nothing_but_a_first_model(now: Situation) -> None:
    """Whatever else is the case."""
    limit = now.policy.budget_trainings
    decision = decide(now)
    if limit is not None and len(now.trainings) >= limit and decision.trains:
        assert decision.kind == "first"


@given(situations)
def test_no_window_older_than_productions_is_ever_trained(now: Situation) -> None:
    """A late window completes production's own, or nothing."""
    trains = decide(now).trains
    assert trains is None or now.production is None or trains >= now.production.window
    assert trains in (None, now.window, now.production.window if now.production else now.window)


@given(situations)
def test_a_decision_trains_where_no_rule_stopped_it(now: Situation) -> None:
    """And what is trained on can be, and was not tried in vain."""
    decision = decide(now)
    stopped = [step for step in decision.steps if step.outcome == "stop"]
    assert bool(stopped) == (decision.trains is None)
    assert stopped in ([], [decision.steps[-1]])
    if decision.trains:
        assert decision.trains in now.would_learn.versions
        assert now.tried != Tried(now.would_learn, now.production_epoch, now.judged_by)


@given(situations)
def test_a_contract_that_names_no_policy_trains_wherever_the_threshold_is_exceeded(now: Situation) -> None:
    """What was trained or not somewhere else changes nothing then."""
    plain = replace(now, policy=Retraining())
    bare = replace(plain, earlier={}, windows_since_training=None, trainings=[])
    assert _core(decide(plain)) == _core(decide(bare))
    assert decide(plain).kind not in ("not yet", "cooling down", "over budget")


@given(situations)
def test_too_little_data_trains_nothing_and_is_not_called_drift(now: Situation) -> None:
    """Nor undrifted: the next look may say either."""
    decision = decide(replace(now, measured=NotEnoughData("9 rows")))
    assert decision.kind != "no drift"
    assert "drift share" not in [step.rule for step in decision.steps]


def _core(decision: DriftDecision) -> tuple[str, str, str | None]:
    return decision.kind, decision.reason, decision.trains


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
                measured=self.share,
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

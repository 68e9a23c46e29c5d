import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.gate import (
    Evidence,
    Gain,
    Production,
    Scored,
    candidate_beats_production,
    comparison,
    refusals,
    rows_to_decide,
    served_artifact_matches,
    verdict,
)

CANDIDATE = Scored(version=2, auc=0.8, log_loss=0.5, brier=0.2)
PRODUCTION = Production(version=1, auc=0.7, log_loss=0.6, brier=0.3, epoch=4, window="2013-01")
EVIDENCE = Evidence(
    window="2013-02",
    data_version="abc",
    training_windows={"2013-01": "abb", "2013-02": "abc"},
    training_rows=300,
    validation_rows=100,
    candidate=CANDIDATE,
    production=PRODUCTION,
    gain=Gain(gain=0.1, low=0.04, high=0.16, method="bootstrap", keys=20),
    min_gain=0.01,
    rule="interval",
    max_differing_share=0.001,
    differing_share=0.0,
    manifest_sha256="0" * 64,
    code_sha256="1" * 64,
    lock_sha256="2" * 64,
    dagster_run_id="run",
)


def evidence(*, candidate_auc: float = 0.8, production_auc: float | None = 0.7, **changes: object) -> Evidence:
    """The evidence with other numbers."""
    production = None if production_auc is None else PRODUCTION.model_copy(update={"auc": production_auc})
    candidate = CANDIDATE.model_copy(update={"auc": candidate_auc})
    return EVIDENCE.model_copy(update={"candidate": candidate, "production": production, **changes})


@given(production=st.floats(0, 1), min_gain=st.floats(0, 0.5))
def test_a_gain_of_exactly_min_gain_is_not_enough(production: float, min_gain: float) -> None:
    """The rule is strict: equal models must not replace each other every month."""
    at_the_limit = production + min_gain
    assert not candidate_beats_production(
        evidence(candidate_auc=at_the_limit, production_auc=production, min_gain=min_gain)
    )


@given(candidate=st.floats(0, 1), production=st.floats(0, 1), min_gain=st.floats(0, 0.5))
def test_the_gate_and_its_reason_say_the_same(candidate: float, production: float, min_gain: float) -> None:
    """A refusal without a reason, or a reason without a refusal, would promote or block silently."""
    seen = evidence(candidate_auc=candidate, production_auc=production, min_gain=min_gain, rule="plain")
    assert (refusals(seen, production_epoch=4) == []) == (candidate > production + min_gain)


@pytest.mark.parametrize(
    ("candidate_auc", "low", "rule", "said"),
    [
        (0.8, 0.04, "interval", "better"),
        (0.8, 1e-9, "interval", "better"),
        (0.8, 0.0, "interval", "undecided"),
        (0.8, -0.02, "interval", "undecided"),
        (0.8, None, "interval", "undecided"),
        # By the plain rule a lucky month is enough.
        (0.8, -0.02, "plain", "better"),
        (0.8, None, "plain", "better"),
        # A gain that is sure and too small is no gain; it needs no more rows to say so.
        (0.705, 0.002, "interval", "not better"),
        (0.71, 0.005, "interval", "not better"),
        (0.6, -0.2, "interval", "not better"),
    ],
)
def test_the_three_verdicts(candidate_auc: float, low: float | None, rule: str, said: str) -> None:
    """Undecided is a third thing: more rows may show what is there, and refusing it for good would lose it."""
    gain = EVIDENCE.gain
    assert gain is not None
    seen = evidence(candidate_auc=candidate_auc, rule=rule, gain=gain.model_copy(update={"low": low}))
    assert verdict(seen) == said
    assert candidate_beats_production(seen) is (said == "better")
    assert (refusals(seen, production_epoch=4) == []) is (said == "better")


def test_evidence_without_an_interval_is_undecided_by_the_interval() -> None:
    """A record that lacks what the rule asks for must not pass it."""
    assert verdict(evidence(gain=None)) == "undecided"


def test_an_undecided_gain_says_how_many_rows_it_takes() -> None:
    """Half the interval is as wide as the gain where there are so many rows: it falls with their root."""
    gain = Gain(gain=0.02, low=-0.02, high=0.06, method="bootstrap", keys=20)
    seen = evidence(candidate_auc=0.72, gain=gain)
    assert rows_to_decide(seen) == 100 * (2**2 - 1) + 1
    assert comparison(seen) == (
        "undecided: candidate AUC 0.7200 against production's 0.7000: gain 0.0200, 0.95 interval -0.0200 to 0.0600 "
        "(20 split keys) does not lie above zero; about 301 more labelled rows would decide if the gain stays"
    )


def test_too_few_split_keys_are_told_with_what_to_do() -> None:
    """A loop by day and week has two validation days a window, and would wait for ever."""
    seen = evidence(gain=Gain(gain=0.1, low=None, high=None, method="bootstrap", keys=2))
    (said,) = refusals(seen, production_epoch=4)
    assert said == (
        "undecided: candidate AUC 0.8000 against production's 0.7000, and 2 split keys tell nothing of how sure that "
        'is: name a finer `split_by`, or `[gate] rule = "plain"`, which does not ask'
    )


@pytest.mark.parametrize(
    "changes", [{}, {"candidate_auc": 0.7}, {"production_auc": None}, {"gain": None}, {"rule": "plain"}]
)
def test_what_is_decided_takes_no_more_rows(changes: dict[str, Any]) -> None:
    """And where nothing is known of how sure it is, nobody can say."""
    assert rows_to_decide(evidence(**changes)) is None


@given(gain=st.floats(1e-6, 1), low=st.floats(-1, 0), rows=st.integers(2, 10**6))
def test_rows_to_decide_are_some_where_the_interval_is_wide(gain: float, low: float, rows: int) -> None:
    """A number of rows that is not positive would contradict the verdict beside it."""
    seen = evidence(
        candidate_auc=0.8,
        validation_rows=rows,
        gain=Gain(gain=gain, low=low, high=gain - low, method="delong", keys=rows),
    )
    assert (rows_to_decide(seen) or 0) >= 1


def test_the_first_candidate_has_nothing_to_beat() -> None:
    """Without production even a poor model must start the loop."""
    first = evidence(candidate_auc=0.4, production_auc=None)
    assert candidate_beats_production(first)
    assert refusals(first, production_epoch=None) == []


def test_a_better_candidate_is_let_through() -> None:
    """The plain case."""
    assert refusals(EVIDENCE, production_epoch=4) == []


@pytest.mark.parametrize(("share", "matches"), [(0.0, True), (0.001, True), (0.0011, False), (1.0, False)])
def test_an_export_that_answers_otherwise_is_refused(share: float, matches: bool) -> None:
    """What is served must be what was evaluated."""
    seen = evidence(differing_share=share)
    assert served_artifact_matches(seen) is matches
    assert any("exported model differs" in reason for reason in refusals(seen, production_epoch=4)) is not matches


@pytest.mark.parametrize(("compared", "now"), [(True, 5), (True, 3), (True, None), (False, 1)])
def test_evidence_against_a_production_that_is_gone_is_stale(compared: bool, now: int | None) -> None:
    """A comparison with an older production says nothing of the one that would be replaced."""
    seen = evidence(production_auc=0.7 if compared else None)
    assert [reason for reason in refusals(seen, production_epoch=now) if reason.startswith("stale")]


@pytest.mark.parametrize(("window", "refused"), [("2012-12", True), ("2013-01", False), ("2013-02", False)])
def test_a_candidate_of_an_older_window_than_productions_is_late(window: str, refused: bool) -> None:
    """However good on its own window: the service must not go back to a period that is over."""
    found = refusals(evidence(window=window), production_epoch=4)
    assert bool([reason for reason in found if reason.startswith("late")]) is refused


def test_every_reason_for_a_refusal_is_named() -> None:
    """The user repairs what the check shows; the second fault must not wait for the next run."""
    seen = evidence(candidate_auc=0.7, differing_share=0.5)
    worse, differs, stale = refusals(seen, production_epoch=9)
    assert worse == "candidate AUC 0.7000 is not greater than production's 0.7000 + min_gain 0.01"
    assert differs == (
        "the exported model differs from the fitted pipeline on a share of 0.5000 of the rows, 0.001 is allowed"
    )
    assert stale == "stale: it was compared with production of epoch 4, production is now of epoch 9"


def leaves(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The way to every value of a nested record."""
    if isinstance(value, dict):
        return [leaf for key, part in value.items() for leaf in leaves(part, (*path, key))]
    return [path]


def other(value: object) -> object:
    """A value of the same type that is not this one."""
    match value:
        case int() | float():
            return value + 1
        case "bootstrap" | "interval":
            return {"bootstrap": "delong", "interval": "plain"}[value]
        case str() if set(value) <= set("0123456789abcdef") and len(value) == 64:
            return "f" * 64
        case _:
            return f"{value}!"


@pytest.mark.parametrize("path", leaves(EVIDENCE.model_dump()), ids=".".join)
def test_the_evidences_hash_covers_every_field(path: tuple[str, ...]) -> None:
    """A field outside the hash could be edited between the gate and the promotion."""
    record: dict[str, Any] = EVIDENCE.model_dump()
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other(place[path[-1]])
    changed = Evidence.model_validate(record)
    assert changed != EVIDENCE
    assert changed.sha256 != EVIDENCE.sha256


def test_taking_production_out_changes_the_hash() -> None:
    """Evidence without production would pass the gate for a first model."""
    assert evidence(production_auc=None).sha256 != EVIDENCE.sha256


def test_a_stored_record_reads_back_as_the_same() -> None:
    """The hash is taken of the text: a round trip must not change a digit."""
    read = Evidence.model_validate_json(EVIDENCE.to_json())
    assert read == EVIDENCE
    assert read.sha256 == EVIDENCE.sha256


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["differing_share", "min_gain", "max_differing_share"])
def test_evidence_holds_no_nan(field: str, number: float) -> None:
    """A NaN compares as false everywhere, which some rule would read as passed."""
    with pytest.raises(ValidationError, match="finite number"):
        Evidence.model_validate({**EVIDENCE.model_dump(), field: number})


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
def test_a_model_is_not_scored_nan(metric: str) -> None:
    """The same, of a model's metrics."""
    with pytest.raises(ValidationError, match="finite number"):
        Scored.model_validate({**CANDIDATE.model_dump(), metric: float("nan")})


def test_an_unknown_field_is_refused() -> None:
    """A field that this code does not know may be one that forbids the promotion."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Evidence.model_validate_json(json.dumps({**EVIDENCE.model_dump(), "segment": "night"}))


def test_a_hash_that_is_none_is_refused() -> None:
    """An empty hash would verify nothing."""
    with pytest.raises(ValidationError, match="pattern"):
        Evidence.model_validate({**EVIDENCE.model_dump(), "manifest_sha256": ""})

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.evidence import Evidence, Gain, Scored
from mlops_assets.domain.gate import (
    CHECKS,
    MAX_AUC_LOST,
    Standing,
    candidate_beats_production,
    refusals,
    rows_to_decide,
    verdict,
)
from tests.unit.mlops_assets.small_evidence import CANDIDATE, CASE, EVIDENCE, PARITY, PRODUCTION, SEGMENT
from tests.unit.mlops_assets.small_evidence import small_evidence as evidence


def standing(epoch: int | None) -> Standing | None:
    """The evidence's production, under an epoch."""
    return Standing(epoch, PRODUCTION.version, PRODUCTION.manifest_sha256) if epoch is not None else None


@pytest.mark.parametrize(
    "now", [Standing(4, 2, PRODUCTION.manifest_sha256), Standing(4, 1, "8" * 64), Standing(5, 1, "9" * 64), None]
)
def test_a_comparison_with_another_production_is_stale(now: Standing | None) -> None:
    """By version and bundle too: a pointer that someone forged may carry the ledger's own epoch."""
    (said,) = refusals(EVIDENCE, production=now)
    assert said.startswith("stale: it was compared with version 1 of epoch 4 (999999999999), production is now ")


@given(production=st.floats(0, 1), min_gain=st.floats(0, 0.5))
def test_a_gain_of_exactly_min_gain_is_not_enough(production: float, min_gain: float) -> None:
    """The rule is strict: equal models must not replace each other every month."""
    at_the_limit = production + min_gain
    seen = evidence(candidate_auc=at_the_limit, production_auc=production, gate={"min_gain": min_gain})
    assert not candidate_beats_production(seen).passed


@given(candidate=st.floats(0, 1), production=st.floats(0, 1), min_gain=st.floats(0, 0.5))
def test_the_gate_and_its_reason_say_the_same(candidate: float, production: float, min_gain: float) -> None:
    """A refusal without a reason, or a reason without a refusal, would promote or block silently."""
    seen = evidence(candidate_auc=candidate, production_auc=production, gate={"min_gain": min_gain, "rule": "plain"})
    assert (refusals(seen, production=standing(4)) == []) == (candidate > production + min_gain)


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
    seen = evidence(candidate_auc=candidate_auc, gate={"rule": rule}, gain=gain.model_copy(update={"low": low}))
    assert verdict(seen) == said
    assert candidate_beats_production(seen).passed is (said == "better")
    assert (refusals(seen, production=standing(4)) == []) is (said == "better")


def test_evidence_without_an_interval_is_undecided_by_the_interval() -> None:
    """A record that lacks what the rule asks for must not pass it."""
    assert verdict(evidence(gain=None)) == "undecided"


def test_an_undecided_gain_says_how_many_rows_it_takes() -> None:
    """Half the interval is as wide as the gain where there are so many rows: it falls with their root."""
    gain = Gain(gain=0.02, low=-0.02, high=0.06, method="bootstrap", keys=20)
    seen = evidence(candidate_auc=0.72, gain=gain)
    assert rows_to_decide(seen) == 4 * (100 * (2**2 - 1) + 1)
    assert candidate_beats_production(seen).said == (
        "undecided: candidate AUC 0.7200 against production's 0.7000: gain 0.0200, 0.95 interval -0.0200 to 0.0600 "
        "(20 split keys) does not lie above zero; about 1,204 more labelled rows in the window would decide if the "
        "gain stays"
    )


def test_too_few_split_keys_are_told_with_what_to_do() -> None:
    """A loop by day and week has two validation days a window, and would wait for ever."""
    seen = evidence(gain=Gain(gain=0.1, low=None, high=None, method="bootstrap", keys=2))
    (said,) = refusals(seen, production=standing(4))
    assert said == (
        "undecided: candidate AUC 0.8000 against production's 0.7000, and 2 split keys tell nothing of how sure that "
        'is: name a finer `split_by`, or `[gate] rule = "plain"`, which does not ask'
    )


@pytest.mark.parametrize(
    "changes", [{}, {"candidate_auc": 0.7}, {"production_auc": None}, {"gain": None}, {"gate": {"rule": "plain"}}]
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
    assert candidate_beats_production(first).passed
    assert refusals(first, production=standing(None)) == []


def test_a_better_candidate_is_let_through() -> None:
    """The plain case."""
    assert refusals(EVIDENCE, production=standing(4)) == []


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "candidate_beats_production": ({"candidate_auc": 0.7}, "is not greater than production's 0.7000 + min_gain 0.01"),
    "no_segment_regresses": (
        {"segments": (SEGMENT, SEGMENT.model_copy(update={"value": "south", "gain": -0.02, "holds": False}))},
        "not shown to be no worse than production by 0.05 in shop = south: gain -0.0200, at least -0.0100, p 0.004 "
        "(60 rows)",
    ),
    "known_cases_hold": (
        {"known_cases": (CASE, CASE.model_copy(update={"name": "a poor visit", "score": 0.25, "holds": False}))},
        "1 of 2 known cases do not hold: 'a poor visit': 0.2500 is not at least 0.5",
    ),
    "probabilities_are_calibrated": (
        {"candidate": CANDIDATE.model_copy(update={"calibration_error": 0.16})},
        "calibration error 0.1600 is greater than 0.15, production's 0.0300",
    ),
    "served_artifact_matches": (
        {"parity": PARITY.model_copy(update={"differing_share": 0.0011, "largest": 0.2})},
        "the exported model differs from the fitted pipeline on a share of 0.0011 of the rows, by up to 0.2; 0.001 is "
        "allowed",
    ),
    "prediction_is_fast_enough": (
        {"row_milliseconds": 1.5},
        "the exported model is too slow: 1.500 ms a row, 1.0 ms is the budget",
    ),
}
"""By check: what it must refuse, and what it says then."""


def test_every_check_has_a_fault_here() -> None:
    """One that refuses nothing would be a guard that does not guard."""
    assert FAULTS.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_by_its_check_and_by_no_other(name: str) -> None:
    """The check, and the promotion that asks again, with the same words."""
    changes, said = FAULTS[name]
    seen = evidence(**changes)
    assert {check: rule(seen).passed for check, rule in CHECKS.items()} == {check: check != name for check in CHECKS}
    (reason,) = refusals(seen, production=standing(4))
    assert said in reason
    assert CHECKS[name](seen).said == reason


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("served_artifact_matches", {"parity": PARITY.model_copy(update={"differing_share": 0.001})}),
        ("served_artifact_matches", {"parity": PARITY.model_copy(update={"fitted_auc": 0.8 + 0.99 * MAX_AUC_LOST})}),
        ("prediction_is_fast_enough", {"row_milliseconds": 1.0}),
        ("probabilities_are_calibrated", {"candidate": CANDIDATE.model_copy(update={"calibration_error": 0.15})}),
        ("known_cases_hold", {"known_cases": ()}),
        ("no_segment_regresses", {"segments": ()}),
        ("no_segment_regresses", {"segments": (SEGMENT.model_copy(update={"holds": None, "gain": None}),)}),
    ],
)
def test_what_lies_at_a_limit_passes(name: str, changes: dict[str, Any]) -> None:
    """And what the contract does not ask for."""
    assert CHECKS[name](evidence(**changes)).passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fitted_auc": 0.8 + 1.01 * MAX_AUC_LOST}, "in AUC: 0.8000 and 0.8010"),
        ({"differing_edges": ("price = -100", "shop null")}, "on 2 of 12 edge rows: price = -100; shop null"),
    ],
)
def test_an_export_that_answers_otherwise_is_refused(changes: dict[str, Any], said: str) -> None:
    """Few rows that differ may be the ones that matter, and edges that no row lies at may be the next window's."""
    ruling = CHECKS["served_artifact_matches"](evidence(parity=PARITY.model_copy(update=changes)))
    assert not ruling.passed
    assert said in ruling.said


def test_many_faults_of_one_kind_are_not_all_named() -> None:
    """A sentence is read; the table beside it has them all. The worst comes first."""
    gains = [-0.01, -0.04, -0.02, -0.03]
    failed = tuple(SEGMENT.model_copy(update={"value": str(gain), "gain": gain, "holds": False}) for gain in gains)
    said = CHECKS["no_segment_regresses"](evidence(segments=failed)).said
    assert [f"shop = {gain}" in said for gain in gains] == [False, True, True, True]
    assert said.index("-0.04") < said.index("-0.03") < said.index("-0.02")
    assert said.endswith("and 1 more")


@pytest.mark.parametrize(("compared", "now"), [(True, 5), (True, 3), (True, None), (False, 1)])
def test_evidence_against_a_production_that_is_gone_is_stale(compared: bool, now: int | None) -> None:
    """A comparison with an older production says nothing of the one that would be replaced."""
    seen = evidence(production_auc=0.7 if compared else None)
    assert [reason for reason in refusals(seen, production=standing(now)) if reason.startswith("stale")]


@pytest.mark.parametrize(("window", "refused"), [("2012-12", True), ("2013-01", False), ("2013-02", False)])
def test_a_candidate_of_an_older_window_than_productions_is_late(window: str, refused: bool) -> None:
    """However good on its own window: the service must not go back to a period that is over."""
    found = refusals(evidence(window=window), production=standing(4))
    assert bool([reason for reason in found if reason.startswith("late")]) is refused


def test_every_reason_for_a_refusal_is_named() -> None:
    """The user repairs what the check shows; the second fault must not wait for the next run."""
    seen = evidence(candidate_auc=0.7, row_milliseconds=2)
    worse, slow, stale = refusals(seen, production=standing(9))
    assert worse == "candidate AUC 0.7000 is not greater than production's 0.7000 + min_gain 0.01"
    assert slow.startswith("the exported model is too slow")
    assert stale.endswith("production is now version 1 of epoch 9 (999999999999)")


Path = tuple[str | int, ...]


def leaves(value: object, path: Path = ()) -> list[Path]:
    """The way to every value of a nested record."""
    if isinstance(value, dict):
        return [leaf for key, part in value.items() for leaf in leaves(part, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for at, part in enumerate(value) for leaf in leaves(part, (*path, at))]
    return [path]


def other(value: object) -> object:
    """A value of the same type that is not this one."""
    match value:
        case bool():
            return not value
        case []:
            return ["price null"]
        case int() | float():
            return value + 0.001 if isinstance(value, float) and value < 1 else value + 1
        case "bootstrap" | "interval":
            return {"bootstrap": "delong", "interval": "plain"}[value]
        case str() if set(value) <= set("0123456789abcdef") and len(value) == 64:
            return "f" * 64
        case _:
            return f"{value}!"


@pytest.mark.parametrize("path", leaves(EVIDENCE.model_dump(mode="json")), ids=lambda path: ".".join(map(str, path)))
def test_the_evidences_hash_covers_every_field(path: Path) -> None:
    """A field outside the hash could be edited between the gate and the promotion."""
    record: Any = EVIDENCE.model_dump(mode="json")
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other(place[path[-1]])
    changed = Evidence.model_validate_json(json.dumps(record))
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
@pytest.mark.parametrize("field", ["row_milliseconds"])
def test_evidence_holds_no_nan(field: str, number: float) -> None:
    """A NaN compares as false everywhere, which some rule would read as passed."""
    with pytest.raises(ValidationError, match="finite number"):
        Evidence.model_validate({**EVIDENCE.model_dump(), field: number})


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "calibration_error"])
def test_a_model_is_not_scored_nan(metric: str) -> None:
    """The same, of a model's metrics."""
    with pytest.raises(ValidationError, match="finite number"):
        Scored.model_validate({**CANDIDATE.model_dump(), metric: float("nan")})


def test_an_unknown_field_is_refused() -> None:
    """A field that this code does not know may be one that forbids the promotion."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Evidence.model_validate_json(json.dumps({**EVIDENCE.model_dump(mode="json"), "segment": "night"}))


def test_a_hash_that_is_none_is_refused() -> None:
    """An empty hash would verify nothing."""
    with pytest.raises(ValidationError, match="pattern"):
        Evidence.model_validate({**EVIDENCE.model_dump(), "manifest_sha256": ""})

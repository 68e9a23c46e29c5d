"""The gate: what a candidate must show to be promoted. What it is judged by belongs to `evidence`.

`refusals` is asked twice with the same evidence: by the checks on the candidate, and again by `production_model`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.windows import VALIDATION_ONE_IN

Verdict = Literal["better", "not better", "undecided"]

MAX_AUC_LOST = 0.001
"""By how much the exported model's AUC may differ from the fitted pipeline's. A tenth of the usual `min_gain`."""
MOST_NAMED = 3
"""Of segments, cases or rows in a sentence."""


@dataclass(frozen=True)
class Ruling:
    """What a check of the gate says of a candidate."""

    passed: bool
    said: str
    """What it rests on, with its numbers."""


def verdict(evidence: Evidence) -> Verdict:
    """What the comparison says.

    Better: the candidate's AUC is strictly greater than production's plus `min_gain`, and, by the rule `interval`, the
    lower bound of the difference is above zero. Undecided: the gain is large enough, and may be chance.
    """
    if evidence.production is None:
        return "better"
    if not evidence.candidate.auc > evidence.production.auc + evidence.gate.min_gain:
        return "not better"
    if evidence.gate.rule == "plain":
        return "better"
    low = evidence.gain.low if evidence.gain else None
    return "better" if low is not None and low > 0 else "undecided"


def rows_to_decide(evidence: Evidence) -> int | None:
    """How many more labelled rows, with as many a split key, would show the gain that was seen; None where unknown.

    The interval's width falls with the root of the keys. Of the rows that come, one in four is a validation row.
    """
    gain = evidence.gain
    if verdict(evidence) != "undecided" or gain is None or gain.low is None or gain.gain <= 0:
        return None
    more = math.floor(evidence.validation_rows * (((gain.gain - gain.low) / gain.gain) ** 2 - 1)) + 1
    return more * VALIDATION_ONE_IN


def candidate_beats_production(evidence: Evidence) -> Ruling:
    """Whether the candidate is better than production; it is without production."""
    return Ruling(verdict(evidence) == "better", _comparison(evidence))


def no_segment_regresses(evidence: Evidence) -> Ruling:
    """Whether it is shown of every segment that the candidate is not worse there by the margin."""
    compared = [segment for segment in evidence.segments if segment.holds is not None]
    few = len(evidence.segments) - len(compared)
    too_few = f"; {few} with too few rows" if few else ""
    if failed := sorted((one for one in compared if not one.holds), key=lambda one: one.gain or 0):
        named = [
            f"{one.name}: gain {one.gain:.4f}, at least {one.low:.4f}, p {one.p_value:.3f} ({one.rows:,} rows)"
            for one in failed
        ]
        margin = evidence.gate.segment_margin
        return Ruling(False, f"not shown to be no worse than production by {margin} in {_some(named)}{too_few}")
    if not evidence.segments:
        return Ruling(True, "no segments to compare")
    return Ruling(True, f"{len(compared)} segments are no worse by {evidence.gate.segment_margin}{too_few}")


def known_cases_hold(evidence: Evidence) -> Ruling:
    """Whether the candidate scores the user's known cases as they must be scored."""
    cases = evidence.known_cases
    if failed := [f"{case.name!r}: {case.score:.4f} is not {case.expected}" for case in cases if not case.holds]:
        return Ruling(False, f"{len(failed)} of {len(cases)} known cases do not hold: {_some(failed)}")
    return Ruling(True, f"{len(cases)} known cases hold" if cases else "the contract names no known cases")


def probabilities_are_calibrated(evidence: Evidence) -> Ruling:
    """Whether the candidate's probabilities lie near what is observed."""
    error, limit = evidence.candidate.calibration_error, evidence.gate.max_calibration_error
    beside = f", production's {evidence.production.calibration_error:.4f}" if evidence.production else ""
    if error > limit:
        return Ruling(False, f"calibration error {error:.4f} is greater than {limit}{beside}")
    return Ruling(True, f"calibration error {error:.4f}, {limit} is allowed{beside}")


def served_artifact_matches(evidence: Evidence) -> Ruling:
    """Whether the model that would be served answers as the fitted pipeline does."""
    parity, limit = evidence.parity, evidence.gate.max_differing_share
    faults = []
    if parity.differing_share > limit:
        faults.append(
            f"on a share of {parity.differing_share:.4f} of the rows, by up to {parity.largest:.2g}; {limit} is allowed"
        )
    if abs(evidence.candidate.auc - parity.fitted_auc) > MAX_AUC_LOST:
        faults.append(f"in AUC: {evidence.candidate.auc:.4f} and {parity.fitted_auc:.4f}")
    if parity.differing_edges:
        faults.append(
            f"on {len(parity.differing_edges)} of {parity.edge_rows} edge rows: {_some(parity.differing_edges)}"
        )
    if faults:
        return Ruling(False, f"the exported model differs from the fitted pipeline {' and '.join(faults)}")
    share = f"a share of {parity.differing_share:.4f} of the rows differs, by up to {parity.largest:.2g}"
    return Ruling(True, f"{share}, and none of {parity.edge_rows} edge rows")


def prediction_is_fast_enough(evidence: Evidence) -> Ruling:
    """Whether the exported model answers one row within the budget."""
    took, budget = evidence.row_milliseconds, evidence.gate.max_row_milliseconds
    said = f"{took:.3f} ms a row, {budget} ms is the budget"
    return Ruling(took <= budget, said if took <= budget else f"the exported model is too slow: {said}")


CHECKS: Mapping[str, Callable[[Evidence], Ruling]] = {
    rule.__name__: rule
    for rule in (
        candidate_beats_production,
        no_segment_regresses,
        known_cases_hold,
        probabilities_are_calibrated,
        served_artifact_matches,
        prediction_is_fast_enough,
    )
}
"""The gate's checks by name: each must pass."""


@dataclass(frozen=True)
class Standing:
    """What is production now, as the ledger says it."""

    epoch: int
    model_version: int
    manifest_sha256: str


def faults(evidence: Evidence) -> list[str]:
    """Why the candidate may not be promoted, whatever is production now; empty where nothing speaks against it."""
    found = [ruling.said for check in CHECKS.values() if not (ruling := check(evidence)).passed]
    if evidence.production is not None and evidence.window < evidence.production.window:
        found.append(
            f"late: it is of the window {evidence.window}, production is of the newer window "
            f"{evidence.production.window} already"
        )
    return found


def refusals(evidence: Evidence, *, production: Standing | None) -> list[str]:
    """Why the evidence does not allow a promotion now; empty where it does.

    Args:
        evidence: What the gate saw.
        production: What the candidate would replace; None where there is none.
    """
    found, compared = faults(evidence), evidence.production
    compared_with = Standing(compared.epoch, compared.version, compared.manifest_sha256) if compared else None
    if compared_with != production:
        found.append(f"stale: it was compared with {_said(compared_with)}, production is now {_said(production)}")
    return found


def _said(standing: Standing | None) -> str:
    if standing is None:
        return "no production"
    return f"version {standing.model_version} of epoch {standing.epoch} ({standing.manifest_sha256[:12]})"


def _comparison(evidence: Evidence) -> str:
    production, gain, said = evidence.production, evidence.gain, verdict(evidence)
    if production is None:
        return "there was no production model to compare with"
    if said == "not better":
        return (
            f"candidate AUC {evidence.candidate.auc:.4f} is not greater than production's {production.auc:.4f} + "
            f"min_gain {evidence.gate.min_gain}"
        )
    models = f"candidate AUC {evidence.candidate.auc:.4f} against production's {production.auc:.4f}"
    if gain is None or gain.low is None or gain.high is None:
        few = f"{gain.keys} split keys" if gain else "the rows"
        return (
            f"{said}: {models}, and {few} tell nothing of how sure that is: name a finer `split_by`, or "
            '`[gate] rule = "plain"`, which does not ask'
        )
    independent = "split keys" if gain.method == "bootstrap" else "rows"
    between = (
        f"{models}: gain {gain.gain:.4f}, {evidence.gate.confidence:.3g} interval {gain.low:.4f} to {gain.high:.4f} "
        f"({gain.keys:,} {independent})"
    )
    if said == "better":
        return between
    rows = rows_to_decide(evidence)
    wanted = f"; about {rows:,} more labelled rows in the window would decide if the gain stays" if rows else ""
    return f"undecided: {between} does not lie above zero{wanted}"


def _some(named: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{'; '.join(named[:MOST_NAMED])}{more}"

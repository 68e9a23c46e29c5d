"""The gate: what a candidate must show to be promoted, and the record of what it showed.

`refusals` is asked twice with the same evidence: by the checks on the candidate, and again by `production_model`.
"""

import hashlib
import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

EvidenceHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scored(_Record):
    """A model and its metrics on the comparison's rows."""

    version: int
    auc: float
    log_loss: float
    brier: float


class Production(Scored):
    """The production model that the candidate was compared with, as it was promoted."""

    epoch: int
    window: str
    """Its newest window."""


class Gain(_Record):
    """The candidate's AUC minus production's, and between which bounds it lies."""

    gain: float
    low: float | None
    """None where the rows tell nothing of how sure it is."""
    high: float | None
    method: Literal["delong", "bootstrap"]
    """Rows that are each their own split key, or split keys resampled (`auc_difference`)."""
    keys: int
    """Independent draws that it rests on."""


Verdict = Literal["better", "not better", "undecided"]


class Evidence(_Record):
    """What the gate saw: two models on the same rows, which neither has trained on."""

    window: str
    data_version: str
    training_windows: dict[str, str]
    """Data version by window."""
    training_rows: int
    validation_rows: int
    candidate: Scored
    production: Production | None
    """None where there was no production model."""
    gain: Gain | None = None
    """None where there was no production model, and of a candidate that an earlier version judged."""
    min_gain: float
    rule: Literal["interval", "plain"] = "plain"
    """`interval` where the interval of the gain must lie above zero too; earlier versions had none."""
    confidence: float = 0.95
    """Level of that interval."""
    max_differing_share: float
    differing_share: float
    """Share of the validation rows on which the exported model differs from the fitted pipeline."""
    manifest_sha256: EvidenceHash
    """The release bundle that was scored, and that alone may be promoted on this evidence."""
    code_sha256: str
    lock_sha256: str
    dagster_run_id: str

    @property
    def sha256(self) -> str:
        """Hash of the record; what the ledger and the model version's tag say."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The record as it is stored and hashed."""
        return self.model_dump_json(indent=2)


def candidate_beats_production(evidence: Evidence) -> bool:
    """Whether the candidate is better than production; true without production."""
    return verdict(evidence) == "better"


def verdict(evidence: Evidence) -> Verdict:
    """What the comparison says.

    Better: the candidate's AUC is strictly greater than production's plus `min_gain`, and, by the rule `interval`, the
    lower bound of the difference is above zero. Undecided: the gain is large enough, and may be chance.
    """
    if evidence.production is None:
        return "better"
    if not evidence.candidate.auc > evidence.production.auc + evidence.min_gain:
        return "not better"
    if evidence.rule == "plain":
        return "better"
    low = evidence.gain.low if evidence.gain else None
    return "better" if low is not None and low > 0 else "undecided"


def rows_to_decide(evidence: Evidence) -> int | None:
    """How many more labelled rows, with as many a split key, would show the gain that was seen; None where unknown.

    The interval's width falls with the root of the keys.
    """
    gain = evidence.gain
    if verdict(evidence) != "undecided" or gain is None or gain.low is None or gain.gain <= 0:
        return None
    return math.floor(evidence.validation_rows * (((gain.gain - gain.low) / gain.gain) ** 2 - 1)) + 1


def comparison(evidence: Evidence) -> str:
    """What the comparison says, with its numbers, in a sentence."""
    production, gain, said = evidence.production, evidence.gain, verdict(evidence)
    if production is None:
        return "there was no production model to compare with"
    if said == "not better":
        return (
            f"candidate AUC {evidence.candidate.auc:.4f} is not greater than production's {production.auc:.4f} + "
            f"min_gain {evidence.min_gain}"
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
        f"{models}: gain {gain.gain:.4f}, {evidence.confidence:.3g} interval {gain.low:.4f} to {gain.high:.4f} "
        f"({gain.keys:,} {independent})"
    )
    if said == "better":
        return between
    rows = rows_to_decide(evidence)
    wanted = f"; about {rows:,} more labelled rows would decide if the gain stays" if rows else ""
    return f"undecided: {between} does not lie above zero{wanted}"


def served_artifact_matches(evidence: Evidence) -> bool:
    """Whether the model that would be served answers as the fitted pipeline does."""
    return evidence.differing_share <= evidence.max_differing_share


def refusals(evidence: Evidence, *, production_epoch: int | None) -> list[str]:
    """Why the evidence does not allow a promotion; empty where it does.

    Args:
        evidence: What the gate saw.
        production_epoch: The ledger's epoch of the production model now; None where there is none.
    """
    found = []
    if not candidate_beats_production(evidence):
        found.append(comparison(evidence))
    if not served_artifact_matches(evidence):
        found.append(
            f"the exported model differs from the fitted pipeline on a share of {evidence.differing_share:.4f} of the "
            f"rows, {evidence.max_differing_share} is allowed"
        )
    if evidence.production is not None and evidence.window < evidence.production.window:
        found.append(
            f"late: it is of the window {evidence.window}, production is of the newer window "
            f"{evidence.production.window} already"
        )
    compared_with = evidence.production.epoch if evidence.production else None
    if compared_with != production_epoch:
        found.append(
            f"stale: it was compared with production of epoch {compared_with or 'none'}, "
            f"production is now of epoch {production_epoch or 'none'}"
        )
    return found

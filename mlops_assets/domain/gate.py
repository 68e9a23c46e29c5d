"""The gate: what a candidate must show to be promoted, and the record of what it showed.

`refusals` is asked twice with the same evidence: by the checks on the candidate, and again by `production_model`.
"""

import hashlib
from typing import Annotated

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
    min_gain: float
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
    """Whether the candidate's AUC is strictly greater than production's plus `min_gain`; true without production."""
    if evidence.production is None:
        return True
    return evidence.candidate.auc > evidence.production.auc + evidence.min_gain


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
    if not candidate_beats_production(evidence) and evidence.production is not None:
        found.append(
            f"candidate AUC {evidence.candidate.auc:.4f} is not greater than production's "
            f"{evidence.production.auc:.4f} + min_gain {evidence.min_gain}"
        )
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

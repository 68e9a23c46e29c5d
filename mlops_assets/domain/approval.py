"""Approval by a person: a request to promote one candidate, and what becomes of it.

A request is for one version, on one evidence, in place of one production. What of these changes makes it void, and so
does time; nothing that was answered once is answered again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Answer = Literal["approved", "rejected", "void"]


@dataclass(frozen=True)
class ApprovalRequest:
    """What a person is asked to let through."""

    number: int
    model_version: int
    evidence_sha256: str
    expected_epoch: int | None
    """Epoch of the production that the candidate was compared with; None where there was none."""
    comparison: str
    """What the gate says of the two."""
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ApprovalAnswer:
    """What was said to a request."""

    answer: Answer
    actor: str
    reason: str
    at: datetime


def void(
    request: ApprovalRequest, *, now: datetime, production_epoch: int | None, evidence_sha256: str | None
) -> str | None:
    """Why a request holds no more; None where it does.

    Args:
        request: The request.
        now: The time, with a zone.
        production_epoch: The ledger's epoch of the production model now; None where there is none.
        evidence_sha256: What MLflow says of the version's evidence now; None where it has none.
    """
    if now >= request.expires_at:
        return f"nobody answered until {request.expires_at.isoformat(timespec='seconds')}"
    if production_epoch != request.expected_epoch:
        return (
            f"production moved: it was of epoch {request.expected_epoch or 'none'} and is of epoch "
            f"{production_epoch or 'none'}"
        )
    if evidence_sha256 != request.evidence_sha256:
        return f"the evidence of version {request.model_version} is not the one that was asked about"
    return None


def stale(
    request: ApprovalRequest, answer: ApprovalAnswer, *, production_epoch: int | None, evidence_sha256: str | None
) -> str | None:
    """Why an answer holds no more; None where it does. It was given in time, or never held."""
    return void(request, now=answer.at, production_epoch=production_epoch, evidence_sha256=evidence_sha256)


def waiting(request: ApprovalRequest) -> str:
    """That a request is open, until when, and what to do."""
    version, until = request.model_version, request.expires_at.isoformat(timespec="seconds")
    return f"version {version} waits for approval until {until}: `mlops approve {version} --reason ...`, or reject"

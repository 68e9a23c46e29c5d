"""Candidates as the gate judged them, in the order of the verdicts.

By the check that is judged once for each candidate, and also where no candidate could be compared.
"""

from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from pydantic import ValidationError

from mlops_assets.adapters.ledger import Ledger
from mlops_assets.domain.evidence import Evidence

COMPARISON = dg.AssetCheckKey(dg.AssetKey("candidate_model"), "candidate_beats_production")
PAGE = 100


@dataclass(frozen=True)
class Judged:
    """A candidate that was judged."""

    at: float
    """When, in seconds since the epoch; tells it from all others."""
    window: str
    evidence: Evidence | None
    """What the gate saw; None where nothing could be compared, or the ledger does not know it."""
    fault: str | None
    """Why nothing could be compared; None where it was."""


def judged_since(instance: dg.DagsterInstance, ledger: Ledger, after: float) -> list[Judged]:
    """Those that were judged after a time, the oldest first.

    By the time of the verdict: a check has its id from when it was planned, which may be before another's.
    """
    found, cursor = [], None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(COMPARISON, limit=PAGE, cursor=cursor)
        verdicts = [(record, verdict) for record in page if (verdict := _verdict(record)) is not None]
        found += [_judged(instance, ledger, *one) for one in verdicts if one[1].at > after]
        if len(page) < PAGE or page[-1].create_timestamp <= after:
            return sorted(found, key=lambda judged: judged.at)
        cursor = page[-1].id


def last_judged(instance: dg.DagsterInstance) -> float:
    """When the newest was; 0 where none was."""
    page = instance.event_log_storage.get_asset_check_execution_history(COMPARISON, limit=PAGE)
    return max((verdict.at for record in page if (verdict := _verdict(record)) is not None), default=0.0)


@dataclass(frozen=True)
class _Verdict:
    at: float
    evaluation: dg.AssetCheckEvaluation


def _verdict(record: AssetCheckExecutionRecord) -> _Verdict | None:
    """None of one that was planned and has none."""
    evaluation = record.evaluation
    if record.event is None or not isinstance(evaluation, dg.AssetCheckEvaluation):
        return None
    return _Verdict(record.event.timestamp, evaluation)


def _judged(
    instance: dg.DagsterInstance, ledger: Ledger, record: AssetCheckExecutionRecord, verdict: _Verdict
) -> Judged:
    evaluation = verdict.evaluation
    shown = evaluation.metadata.get("evidence_sha256")
    evidence = _evidence(ledger, str(shown.value)) if shown else None
    if evidence is not None:
        return Judged(verdict.at, evidence.window, evidence, None)
    run = instance.get_run_by_id(record.run_id)
    window = run.tags.get("dagster/partition") if run else None
    fault = None if evaluation.passed or shown else evaluation.description or "the check says no more"
    return Judged(verdict.at, window or "unknown", None, fault)


def _evidence(ledger: Ledger, sha256: str) -> Evidence | None:
    """None where the ledger has none, or one of another version of this software."""
    try:
        return Evidence.model_validate_json(ledger.evidence(sha256) or "")
    except ValidationError:
        return None

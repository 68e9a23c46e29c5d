"""What has happened in the loop since a position, as notifications: each source of events in its own order.

A position is what the source orders its events by: a storage id of Dagster's, a time, an epoch, a request's number.
Who was told how far belongs to `mlops_assets.sensors.notification`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.event_log import reported_value
from mlops_assets.adapters.judged import judged_since, last_judged
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.promotion import BY_HAND
from mlops_assets.domain import notification
from mlops_assets.domain.notification import Notification

AT_ONCE = 100
"""Events of a source that one look takes; what is beyond them is taken by the next."""


@dataclass(frozen=True)
class Happened:
    """One event; most of them are nothing to tell of."""

    position: float
    at: float
    """In seconds since the epoch."""
    told: Notification | None


@dataclass(frozen=True)
class Source:
    """One kind of events, in their order."""

    since: Callable[[float], Iterable[Happened]]
    """What came after a position, the oldest first."""
    newest: Callable[[], float]
    """The position of the newest event; 0 where there is none."""


def sources(instance: dg.DagsterInstance, ledger: Ledger, approvals: Approvals) -> Mapping[str, Source]:
    """All of them, by name."""
    return {
        "data_window": _materializations(instance, "data_window", _quarantined),
        "drift_report": _materializations(instance, "drift_report", _drift_found),
        "gate": Source(lambda after: _judged(instance, ledger, after), lambda: last_judged(instance)),
        "promotion": Source(lambda after: _promoted(ledger, after), lambda: ledger.epoch() or 0),
        "approval": Source(lambda after: _asked(approvals, after), lambda: _newest_answered(approvals)),
    }


def _materializations(
    instance: dg.DagsterInstance, asset: str, told: Callable[[str, dg.EventLogRecord], Notification | None]
) -> Source:
    key = dg.AssetKey(asset)

    def since(after: float) -> Iterable[Happened]:
        records = dg.AssetRecordsFilter(asset_key=key, after_storage_id=int(after))
        for record in instance.fetch_materializations(records, limit=AT_ONCE, ascending=True).records:
            yield Happened(record.storage_id, record.timestamp, told(str(record.partition_key), record))

    def newest() -> float:
        records = instance.fetch_materializations(key, limit=1).records
        return records[0].storage_id if records else 0

    return Source(since, newest)


def _quarantined(window: str, record: dg.EventLogRecord) -> Notification | None:
    fault = reported_value(record, "fault")
    return notification.quarantined(window, str(fault)) if fault else None


def _drift_found(window: str, record: dg.EventLogRecord) -> Notification | None:
    table = reported_value(record, "columns")
    records = [column.data for column in table.records] if isinstance(table, dg.TableMetadataValue) else []
    return notification.drift_found(
        window,
        share=reported_value(record, "drift_share"),
        threshold=reported_value(record, "drift_share_threshold"),
        columns=[str(column["column"]) for column in records if column.get("counts") == "drifted"],
        decision=str(reported_value(record, "decision") or "says nothing"),
        reason=str(reported_value(record, "reason") or "the report was made by hand"),
    )


def _judged(instance: dg.DagsterInstance, ledger: Ledger, after: float) -> Iterable[Happened]:
    for judged in judged_since(instance, ledger, after):
        told = notification.refused(judged.evidence) if judged.evidence else None
        if judged.fault is not None:
            told = notification.not_comparable(judged.window, judged.fault)
        yield Happened(judged.at, judged.at, told)


def _promoted(ledger: Ledger, after: float) -> list[Happened]:
    """Up to one that is not over yet: it may still be given up, and its turn would be past."""
    history = sorted(ledger.history(), key=lambda entry: entry[0].epoch)
    found, before = [], None
    for promotion, outcome in history:
        if outcome == "open":
            break
        if outcome == "done" and promotion.epoch > after:
            told = notification.promoted(
                promotion.model_version,
                epoch=promotion.epoch,
                instead_of=before,
                actor=promotion.actor,
                reason=promotion.reason,
                by_hand=promotion.dagster_run_id == BY_HAND,
            )
            found.append(Happened(promotion.epoch, datetime.fromisoformat(promotion.at).timestamp(), told))
        before = promotion.model_version if outcome == "done" else before
    return found


def _asked(approvals: Approvals, after: float) -> list[Happened]:
    """The request that waits: one that was answered meanwhile needs no answer any more."""
    pending = approvals.pending()
    if pending is None or pending.number <= after:
        return []
    return [Happened(pending.number, pending.asked_at.timestamp(), notification.approval_wanted(pending))]


def _newest_answered(approvals: Approvals) -> float:
    """Before the request that waits, if there is one: it wants its answer whoever comes to know of it when."""
    newest = approvals.newest()
    if newest is None:
        return 0
    request, answer = newest
    return request.number if answer is not None else request.number - 1

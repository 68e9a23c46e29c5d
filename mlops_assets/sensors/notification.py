"""`notification_sensor`: tells people what happened, each event once, and what stands, when it begins and ends.

Each receiver has a position of its own in each source of events: one that is down is tried again, later and later, and
keeps nobody else waiting. The cursor moves when a tick ends, so a crash between a sending and that tells it once more.
"""

import heapq
import time
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from pydantic import BaseModel

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.happened import Happened, Source, sources
from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.loop_state import loop_state
from mlops_assets.adapters.notifier import NotSent, Receiver, receivers
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServiceClient, ServiceUnavailable, service_of
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.condition import (
    WAITING_SECONDS,
    Condition,
    begins,
    ends,
    service_behind,
    standing,
    stuck,
)
from mlops_assets.domain.notification import Kind, Notification, as_text

NAME = "notification_sensor"
EVERY_SECONDS = 10
SEND_SECONDS = 20
"""What a tick's sendings may take together, but for the last of each receiver: Dagster ends a tick after 60 s."""
LONGEST_WAIT_SECONDS = 300
"""Between two tries of a receiver that is down."""


class Told(BaseModel):
    """How far one receiver was told."""

    positions: dict[str, float]
    """By source of events."""
    standing: dict[str, tuple[Kind, str]] = {}
    """Kind and title of the conditions that it knows to stand, by their keys."""
    tries: int = 0
    """In vain, one after the other."""
    not_before: float = 0
    """When it is tried again, in seconds since the epoch."""


class Cursor(BaseModel):
    """What the sensor remembers. Dagster's page shows it: it names receivers, and holds no URL."""

    since: dict[str, float] = {}
    """When each condition that stands was seen first, by its key."""
    receivers: dict[str, Told] = {}


def notification_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on all that people are told of; switched off where settings name nobody to tell."""
    is_wanted = any(named.get_secret_value().strip() for named in (settings.notify, settings.notify_alarms))
    dataset = read_dataset(settings.dataset)
    landing, requeue = landing_at(settings.landing_location, dataset, settings.spool), Requeue(settings.requeued)
    service, releases = service_of(settings, timeout_seconds=2), ReleaseStore(settings.releases)

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_wanted else dg.DefaultSensorStatus.STOPPED,
        asset_selection=dg.AssetSelection.assets("production_model"),
        description="Tells of what happened, by the receivers that MLOPS_NOTIFY names.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        wanted = receivers(settings)
        if not wanted:
            return dg.SkipReason("MLOPS_NOTIFY names nobody to tell")
        settings.state.mkdir(parents=True, exist_ok=True)
        ledger, now = Ledger(settings.ledger_url), time.time()
        cursor = Cursor.model_validate_json(context.cursor or "{}")
        happening = sources(context.instance, ledger, Approvals(settings.ledger_url))
        state = loop_state(context.instance, ledger, landing, requeue, landing_after=WAITING_SECONDS)
        found = [*_service_conditions(service, releases), *stuck(state)]
        since = standing(found, cursor.since, now=now)
        due = [one for one in found if now - since[one.key] >= one.bears_seconds]
        outbox = _Outbox(settings, dataset.name, until=time.monotonic() + SEND_SECONDS, now=now)
        said, told = [], {}
        for receiver in wanted:
            before = cursor.receivers.get(receiver.name) or Told(
                positions={name: source.newest() for name, source in happening.items()}
            )
            told[receiver.name], error = outbox.tell(receiver, before, happening, due, standing_now=since)
            if error is not None:
                context.log.warning(f"{receiver.name}: {error}")
                said.append(f"{receiver.name} is not reached ({error}), try {told[receiver.name].tries}")
        sent = f"{outbox.sent} sent" if outbox.sent else "nothing new to tell"
        return dg.SensorResult(
            skip_reason=dg.SkipReason("; ".join([sent, *said])),
            cursor=Cursor(since=since, receivers=told).model_dump_json(),
        )

    return sense


class _Outbox:
    """The sendings of one tick."""

    def __init__(self, settings: Settings, loop: str, *, until: float, now: float) -> None:
        self.sent = 0
        self._loop = loop
        self._pages = settings.dagster_url
        self._runbooks = settings.runbooks_url
        self._until = until
        self._now = now

    def tell(
        self,
        receiver: Receiver,
        told: Told,
        happening: Mapping[str, Source],
        due: Sequence[Condition],
        *,
        standing_now: Mapping[str, float],
    ) -> tuple[Told, str | None]:
        """Tells a receiver what it does not know yet, alarms first, as far as it takes it and time allows.

        Returns:
            How far it was told then, and why no further, where it did not take something.
        """
        if self._now < told.not_before:
            return told, None
        told = told.model_copy(deep=True)
        try:
            for condition in due:
                if condition.key not in told.standing:
                    self._send(receiver, begins(condition), at=standing_now[condition.key])
                    told.standing[condition.key] = (condition.kind, condition.title)
            for key in told.standing.keys() - standing_now.keys():
                self._send(receiver, ends(*told.standing[key]), at=self._now)
                del told.standing[key]
            for source, event in _in_order(happening, told.positions):
                if self._is_over():
                    break
                self._send(receiver, event.told, at=event.at)
                told.positions[source] = event.position
        except NotSent as error:
            told.tries += 1
            told.not_before = self._now + min(EVERY_SECONDS * 2**told.tries, LONGEST_WAIT_SECONDS)
            return told, str(error)
        told.tries, told.not_before = 0, 0
        return told, None

    def _send(self, receiver: Receiver, told: Notification | None, *, at: float) -> None:
        if told is None or (receiver.alarms_only and not told.wakes):
            return
        title, body = as_text(told, loop=self._loop, at=at, pages=self._pages, runbooks=self._runbooks)
        receiver.send(title, body, told.severity)
        self.sent += 1

    def _is_over(self) -> bool:
        return time.monotonic() > self._until


def _in_order(happening: Mapping[str, Source], after: Mapping[str, float]) -> Iterable[tuple[str, Happened]]:
    """What came after the positions, by time, and never against the order of its source."""
    since = [[(name, event) for event in source.since(after.get(name, 0.0))] for name, source in happening.items()]
    return heapq.merge(*since, key=lambda one: one[1].at)


def _service_conditions(service: ServiceClient, releases: ReleaseStore) -> list[Condition]:
    pointer = releases.pointer()
    if pointer is None:
        return []
    try:
        served = service.served()
    except ServiceUnavailable as error:
        return service_behind(wanted=pointer.epoch, fault=str(error))
    refused = served.refused.get("reason") if served.refused else None
    workers = max(served.expected_workers, len(served.workers))
    return service_behind(
        wanted=pointer.epoch,
        fault=None,
        serving=served.serving(pointer.epoch),
        workers=workers,
        refused=str(refused) if refused else None,
    )

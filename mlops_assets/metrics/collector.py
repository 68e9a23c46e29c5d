"""Puts the loop's metrics together: each place is read by itself, and no more often than it can bear."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

import dagster as dg
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import service_of
from mlops_assets.config import Settings
from mlops_assets.metrics import standing
from mlops_assets.metrics.counted import Counted
from mlops_assets.metrics.families import gauges

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
"""What was read is told again for so long: two Prometheus servers and a curious person cost no more than one."""
LANDING_FRESH_SECONDS = 30.0
"""To list a bucket or ask a database for its windows costs money or patience."""


@dataclass
class _Place:
    """Where some of the metrics are read."""

    read: Callable[[], list[Metric]]
    fresh_seconds: float = FRESH_SECONDS
    families: list[Metric] = field(default_factory=list)
    is_up: bool = False
    read_at: float | None = None


class LoopCollector(Collector):
    """The metrics of one loop; a place that cannot be read is missing, and `mlops_source_up` says which."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        settings.state.mkdir(parents=True, exist_ok=True)
        ledger, approvals = Ledger(settings.ledger_url), Approvals(settings.ledger_url)
        releases, service = ReleaseStore(settings.releases), service_of(settings, timeout_seconds=2)
        log = GatheredLog(settings.prediction_log, settings.gathered_log)
        landing = landing_of(settings)
        requeue = Requeue(settings.requeued)
        self._lock = Lock()
        self._places = {
            "event log": _Place(Counted(instance, ledger).families),
            "dagster": _Place(lambda: standing.of_dagster(instance)),
            "ledger": _Place(lambda: standing.of_ledger(ledger)),
            "approvals": _Place(lambda: standing.of_approvals(approvals)),
            "releases": _Place(lambda: standing.of_releases(releases)),
            "service": _Place(lambda: standing.of_service(service)),
            "prediction log": _Place(lambda: standing.of_log(log)),
            "landing": _Place(lambda: standing.of_landing(instance, landing, requeue), LANDING_FRESH_SECONDS),
        }

    def describe(self) -> Iterable[Metric]:
        """Names nothing: what there is is known when it is read, and registering reads nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families; scrapes at the same time share one reading."""
        with self._lock:
            for name, place in self._places.items():
                _refresh(name, place)
            up = {name: float(place.is_up) for name, place in self._places.items()}
            found = [family for place in self._places.values() for family in place.families]
        return [*gauges("mlops_source_up", "1 where a place could be read.", "source", up), *found]


def _refresh(name: str, place: _Place) -> None:
    now = time.monotonic()
    if place.read_at is not None and now - place.read_at < place.fresh_seconds:
        return
    place.read_at = now
    try:
        place.families = place.read()
        place.is_up = True
    except Exception as error:
        if place.is_up:
            logger.exception("the metrics of %s cannot be read", name)
        else:
            logger.warning("the metrics of %s cannot be read: %s", name, error)
        place.families, place.is_up = [], False

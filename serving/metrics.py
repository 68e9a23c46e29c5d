"""What is counted, for Prometheus.

Labels are bounded: route templates and statuses, never what a client sent.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.release import POINTER, ReleaseInvalid, read_pointer
from serving.schemas import WorkerStatus

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client keeps the counters of several workers; set before it is imported (`serving.server`)."""
UNMATCHED = "unmatched"
"""The route of requests that no route took."""
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class _Collected(Collector):
    """Families that are known already."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self._requests = Counter("serving_requests", "Answers sent.", ["route", "status"], registry=registry)
        self._answers: dict[tuple[str | None, int], Counter] = {}
        """The series of `_requests` by its labels, for finding one there costs more than counting."""
        self._seconds = Histogram(
            "serving_prediction_seconds", "Decoding and prediction of a request.", buckets=SECONDS, registry=registry
        )
        self._rows = Counter("serving_rows", "Rows predicted.", registry=registry)
        self._unrecorded = Counter(
            "serving_unrecorded_rows", "Rows answered without a record in the prediction log.", registry=registry
        )
        self._swaps = Counter("serving_swaps", "Releases put into service.", registry=registry)
        self._refused = Counter("serving_refused_releases", "Releases refused.", registry=registry)

    def count_answer(self, route: str | None, status: int) -> None:
        """Counts an answer; `route` is its template, None of those that no route took."""
        found = self._answers.get((route, status))
        if found is None:
            found = self._answers[route, status] = self._requests.labels(route or UNMATCHED, status)
        found.inc()

    def count_unrecorded(self, rows: int) -> None:
        """Counts rows that were answered and could not be recorded."""
        self._unrecorded.inc(rows)

    def count_predictions(self, *, rows: int, seconds: Iterable[float]) -> None:
        """Counts answered prediction requests: their rows, and how long each took."""
        self._rows.inc(rows)
        for each in seconds:
            self._seconds.observe(each)

    def count_swap(self) -> None:
        """Counts a release that is served from now on."""
        self._swaps.inc()

    def exposition(self, workers: Sequence[WorkerStatus], releases: Path, *, expected_workers: int) -> bytes:
        """All series in Prometheus' text format: counted over the workers, and how each of them does.

        Args:
            workers: Those that live.
            releases: The folder with the pointer.
            expected_workers: How many should live.
        """
        counted = self.registry
        if folder := os.environ.get(SHARED):
            counted = CollectorRegistry()
            MultiProcessCollector(counted, folder)  # type: ignore[no-untyped-call]
        served = CollectorRegistry()
        served.register(_Collected(*_of_workers(workers), *_of_release(releases, expected_workers)))
        return generate_latest(counted) + generate_latest(served)

    def count_refusal(self) -> None:
        """Counts a release that is not served."""
        self._refused.inc()


# None of these is a `Gauge`: where counters are shared, that one would be kept beside them, and come out twice.


def _of_workers(workers: Sequence[WorkerStatus]) -> list[Metric]:
    now = datetime.now(UTC)
    read: dict[tuple[str, str], Callable[[WorkerStatus], float]] = {
        ("serving_model_version", "Served model version, 0 while none."): lambda worker: worker.model_version or 0,
        ("serving_epoch", "Epoch of the served promotion, 0 while none."): lambda worker: worker.epoch or 0,
        ("serving_refuses", "1 where the released bundle is refused."): lambda worker: worker.refused is not None,
        ("serving_log_failing", "1 where no answer can be recorded."): lambda worker: not worker.log.can_record,
        (
            "serving_log_unsynced_seconds",
            "Age of the oldest record that is not forced to the disk, 0 while none.",
        ): lambda worker: _age(worker.log.unsynced_since, now),
        (
            "serving_log_unsealed_seconds",
            "Age of the oldest record that is in no sealed segment, 0 while none.",
        ): lambda worker: _age(worker.log.unsealed_since, now),
    }
    families: list[Metric] = []
    for (name, what), value in read.items():
        family = GaugeMetricFamily(name, what, labels=["pid"])
        for worker in workers:
            family.add_metric([str(worker.pid)], float(value(worker)))
        families.append(family)
    return families


def _of_release(releases: Path, expected_workers: int) -> list[Metric]:
    """What should be served; names alone where the pointer cannot be read, or there is none."""
    expected = GaugeMetricFamily("serving_expected_workers", "Workers that there should be.", value=expected_workers)
    epoch = GaugeMetricFamily("serving_pointer_epoch", "Released epoch, 0 while none.")
    replaced = GaugeMetricFamily("serving_pointer_timestamp_seconds", "When the pointer was replaced last.")
    with suppress(ReleaseInvalid, OSError):
        pointer = read_pointer(releases)
        epoch.add_metric([], pointer.epoch if pointer else 0)
        if pointer is not None:
            replaced.add_metric([], (releases / POINTER).stat().st_mtime)
    return [expected, epoch, replaced]


def _age(since: str | None, now: datetime) -> float:
    return max((now - datetime.fromisoformat(since)).total_seconds(), 0.0) if since else 0.0

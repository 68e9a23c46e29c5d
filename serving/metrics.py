"""What is counted, for Prometheus.

Labels are bounded: route templates and statuses, never what a client sent.
"""

import os
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

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

    def count_prediction(self, *, rows: int, seconds: float) -> None:
        """Counts an answered prediction request."""
        self._rows.inc(rows)
        self._seconds.observe(seconds)

    def count_swap(self) -> None:
        """Counts a release that is served from now on."""
        self._swaps.inc()

    def exposition(self, workers: Sequence[WorkerStatus]) -> bytes:
        """All series in Prometheus' text format: counted over the workers, and what each of them serves."""
        counted = self.registry
        if folder := os.environ.get(SHARED):
            counted = CollectorRegistry()
            MultiProcessCollector(counted, folder)  # type: ignore[no-untyped-call]
        # Not a `Gauge`: where counters are shared, that one would be kept beside them, and come out twice.
        version = GaugeMetricFamily("serving_model_version", "Served model version, 0 while none.", labels=["pid"])
        epoch = GaugeMetricFamily("serving_epoch", "Epoch of the served promotion, 0 while none.", labels=["pid"])
        for worker in workers:
            version.add_metric([str(worker.pid)], worker.model_version or 0)
            epoch.add_metric([str(worker.pid)], worker.epoch or 0)
        served = CollectorRegistry()
        served.register(_Collected(version, epoch))
        return generate_latest(counted) + generate_latest(served)

    def count_refusal(self) -> None:
        """Counts a release that is not served."""
        self._refused.inc()

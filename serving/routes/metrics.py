"""`GET /metrics`: the counters, in Prometheus' text format. What is counted belongs to `serving.metrics`."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import generate_latest

from serving.metrics import Metrics


@get("/metrics", summary="Prometheus metrics", media_type="text/plain; version=0.0.4", sync_to_thread=False)
def prometheus(metrics: NamedDependency[SkipValidation[Metrics]]) -> bytes:
    """Answers with all series of this app."""
    return generate_latest(metrics.registry)

"""`GET /metrics`: the counters, in Prometheus' text format. What is counted belongs to `serving.metrics`."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from serving.metrics import Metrics
from serving.settings import Settings
from serving.workers import Workers


@get("/metrics", summary="Prometheus metrics", media_type="text/plain; version=0.0.4", sync_to_thread=False)
def prometheus(
    metrics: NamedDependency[SkipValidation[Metrics]],
    workers: NamedDependency[SkipValidation[Workers]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> bytes:
    """Answers with all series of this service."""
    return metrics.exposition(workers.living(), settings.releases, expected_workers=settings.workers)

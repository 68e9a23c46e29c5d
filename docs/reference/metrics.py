"""The metrics of the loop and of the service, as a page: those that both expose before much has happened."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
from litestar.testing import TestClient
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docs.reference.fields import table
from mlops_assets.config import Settings as LoopSettings
from mlops_assets.metrics.collector import LoopCollector
from serving.app import create_app
from serving.settings import Settings as ServiceSettings
from tests.unit.serving.bundles import publish

PAGE = """# Metrics

In Prometheus' format. Alerts on them are in `deploy/monitoring/alerts.yml`, with a heading each in the
[runbooks](../runbooks.md); how they are scraped stands under [operations](../operations/index.md#watch-it).

## The loop

What `mlops metrics` serves.

{loop}
## The service

What `GET /metrics` answers, of all its workers.

{service}"""


@cache
def page() -> str:
    """The page's text."""
    with TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
        home = Path(folder)
        loop = LoopCollector(LoopSettings(home=home / "loop"), instance).collect()
        publish(home / "releases", 1, epoch=1)
        settings = ServiceSettings(releases=home / "releases", state=home / "serving", allowed_hosts=("*",))
        with TestClient(create_app(settings)) as client:
            service = list(text_string_to_metric_families(client.get("/metrics").text))
    return PAGE.format(loop=_table(loop), service=_table(service))


def _table(families: Iterable[Metric]) -> str:
    shown = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    # When a counter was created is the client library's own word, and nobody's here.
    names = sorted(name for name in shown if not name.endswith("_created"))
    rows = [(f"`{name}`", shown[name].type, shown[name].documentation) for name in names]
    return table(("metric", "kind", "what it says"), rows)

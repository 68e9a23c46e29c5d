"""`mlops metrics`: the loop's metrics for Prometheus. What is measured belongs to `mlops_assets.metrics`."""

import signal
import threading

from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console

from mlops_assets.cli import dagster_databases
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.metrics.collector import LoopCollector


def serve_metrics(settings: Settings, console: Console, *, host: str, port: int) -> None:
    """Serves them until SIGINT or SIGTERM.

    Raises:
        UserError: there is no loop in the state folder, or the port is taken.
    """
    demand_state(settings)
    if not dagster_databases.are_made(settings):
        raise UserError(f"there is no loop in {settings.state}; `mlops up` or `mlops demo` starts one")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which the first process of a container would not heed
    with dagster_instance(settings) as instance:
        registry = CollectorRegistry()
        registry.register(LoopCollector(settings, instance))
        try:
            server, thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise UserError(f"{host}:{port} cannot be listened on ({error}); --port names another one") from error
        console.print(f"The loop's metrics: http://{host}:{port}/metrics")
        try:
            threading.Event().wait()
        finally:
            server.shutdown()
            thread.join()

"""Puts the service together. What its parts do belongs to their modules."""

from litestar import Litestar
from litestar.di import Provide

from serving.errors import problem_details
from serving.metrics import Metrics
from serving.routes.health import live, ready
from serving.routes.inference import infer, model_metadata, model_ready, server_metadata
from serving.routes.invocations import invocations, ping, version
from serving.routes.metrics import prometheus
from serving.routes.model import model
from serving.routes.openapi import assets, openapi
from serving.routes.predict import predict
from serving.settings import Settings
from serving.state import Serving
from serving.watcher import Watcher


def create_app(settings: Settings) -> Litestar:
    """An app with a state, metrics and a watcher of its own."""
    serving = Serving()
    metrics = Metrics()
    mlflow = [invocations, ping, version]
    open_inference = [server_metadata, model_metadata, model_ready, infer]
    return Litestar(
        route_handlers=[predict, *mlflow, *open_inference, model, live, ready, prometheus, assets()],
        dependencies={
            "serving": Provide(lambda: serving, sync_to_thread=False),
            "metrics": Provide(lambda: metrics, sync_to_thread=False),
        },
        lifespan=[Watcher(settings, serving, metrics).lifespan],
        before_send=[metrics.count_answer],
        plugins=[problem_details()],
        openapi_config=openapi(serving),
        logging_config=None,
        debug=False,  # else LITESTAR_DEBUG would put tracebacks into answers
    )

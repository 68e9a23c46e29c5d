"""Puts the service together. What its parts do belongs to their modules."""

import logging
import sys

from litestar import Litestar
from litestar.di import Provide

from serving.access import Access
from serving.answering import Answering
from serving.door import Door
from serving.errors import problem_details
from serving.feature_source import feature_source
from serving.log_segments import PROBE
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
from serving.routes.feedback import feedback
from serving.routes.health import live, ready
from serving.routes.inference import infer, model_metadata, model_ready, server_metadata
from serving.routes.invocations import invocations, ping, version
from serving.routes.metrics import prometheus
from serving.routes.model import model
from serving.routes.openapi import assets, openapi
from serving.routes.predict import predict_app
from serving.settings import Settings
from serving.state import Serving
from serving.watchdog import watchdog
from serving.watcher import Watcher
from serving.workers import Workers

SWITCH_SECONDS = 0.0002
"""How long a thread may keep the interpreter from others that want it.

At Python's 5 ms the event loop waits for a large request's thread, and that one for the end of each run of the model:
10,000 rows took 50 ms, and take 43 so.
"""


def create_app(settings: Settings, *, stuck_seconds: float = 0) -> Door:
    """An app with a state, metrics, a log and a watcher of its own.

    Args:
        settings: The service's.
        stuck_seconds: When to end the process, where it has no other purpose than this app.
    """
    serving, access, metrics = Serving(), Access(settings), Metrics()
    log = PredictionLog(
        settings.log,
        sync_seconds=settings.log_sync_seconds,
        seal_seconds=settings.log_seal_seconds,
        segment_bytes=settings.log_segment_bytes,
    )
    answering = Answering(settings, metrics, log)
    workers = Workers(settings, serving, log.writer, log.state)
    features = feature_source(settings)
    watcher = Watcher(settings, serving, features, metrics)
    mlflow = [invocations, ping, version]
    open_inference = [server_metadata, model_metadata, model_ready, infer]
    litestar = Litestar(
        route_handlers=[feedback, *mlflow, *open_inference, model, live, ready, prometheus, assets()],
        dependencies={
            "serving": _given(serving),
            "metrics": _given(metrics),
            "answering": _given(answering),
            "workers": _given(workers),
            "settings": _given(settings),
        },
        lifespan=[
            access.lifespan,
            watcher.lifespan,
            log.lifespan,
            answering.lifespan,
            workers.lifespan,
            watchdog(stuck_seconds),
        ],
        plugins=[problem_details()],
        openapi_config=openapi(serving),
        request_max_body_size=None,  # the door holds all bodies to one limit
        logging_config=None,
        debug=False,  # else LITESTAR_DEBUG would put tracebacks into answers
    )
    direct = {
        "/predict": predict_app(serving, features, answering),
        "/probe": predict_app(serving, features, answering, prefix=PROBE),
    }
    return Door(litestar, direct, answering.is_full, settings, access, metrics)


def app_from_environment() -> Door:
    """The app of a worker process."""
    settings = Settings()
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return create_app(settings, stuck_seconds=settings.stuck_seconds)


def _given(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)

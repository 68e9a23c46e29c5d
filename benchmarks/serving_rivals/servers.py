"""The sides: how each is started, what it is sent for some rows, and where its answer says the probabilities.

Here belongs what a side's own documents say of it. Starting and ending processes belongs to `running`.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving_rivals.environments import pinned, programs_of
from benchmarks.serving_rivals.model import Served
from mlops_assets.cli.programs import ROOT
from mlops_assets.cli.stack import free_port
from mlops_assets.config import LOOPBACK
from serving.keys import create
from serving.release import Row

HERE = Path(__file__).parent
Rows = list[Row]


@dataclass(frozen=True)
class Side:
    """A server, ready to be started."""

    title: str
    command: tuple[str, ...]
    port: int
    path: str
    body: Callable[[Rows], object]
    """What is sent, before it becomes JSON."""
    probabilities: Callable[[Any], list[float]] | None
    """Of the answer's JSON; None where no model answers."""
    batch_path: str | None = None
    """Where several rows go, if not to `path`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    """Its working directory."""
    headers: tuple[str, ...] = ()


Make = Callable[[Served, Path], Side]
"""A side that serves the model; the folder is its own.

Raises `NotInstalled` where its environment cannot be had.
"""


def service(served: Served, folder: Path) -> Side:
    """The project's service as it is run: prediction log, metrics, key check and a limit that is never reached."""
    port, keys = free_port(), folder / "keys.json"
    key = create(keys, "benchmark", ["predict"], days=None)
    environment = {
        "SERVING_KEYS": str(keys),
        "SERVING_RELEASES": str(served.releases),
        "SERVING_STATE": str(folder / "state"),
        "SERVING_PORT": str(port),
        "SERVING_LOG_LEVEL": "warning",
        "SERVING_REQUESTS_PER_SECOND": "1000000",
    }
    return Side(
        title="this service",
        command=(sys.executable, "-m", "serving"),
        port=port,
        path="/predict",
        body=_one_or_list,
        probabilities=lambda answer: [one["probability"] for one in answer["predictions"]],
        environment=environment,
        headers=(f"Authorization: Bearer {key}",),
    )


def noop(_: Served, __: Path) -> Side:
    """A typed Litestar handler that answers a constant."""
    port = free_port()
    return Side(
        title="Litestar, typed, no model",
        command=(sys.executable, "-m", *_uvicorn("benchmarks.serving_rivals.noop_app:create_app", port)),
        port=port,
        path="/predict",
        body=lambda rows: rows[0],
        probabilities=None,
    )


def fastapi(served: Served, _: Path) -> Side:
    """FastAPI, pandas and MLflow's pyfunc."""
    port = free_port()
    return Side(
        title=f"FastAPI {pinned('fastapi', 'fastapi')} + pyfunc",
        command=(str(programs_of("fastapi") / "python"), "-m", *_uvicorn("fastapi_app:create_app", port)),
        port=port,
        path="/predict",
        batch_path="/predict_batch",
        body=_one_or_list,
        probabilities=lambda answer: list(answer["probabilities"]),
        environment={"MODEL": str(served.mlflow_model)},
        folder=HERE,
    )


def mlflow(served: Served, folder: Path) -> Side:
    """`mlflow models serve`; it starts `uvicorn` by name, so its environment comes first on the PATH (`running`)."""
    port, programs = free_port(), programs_of("mlflow")
    serve = ("models", "serve", "--model-uri", str(served.mlflow_model), "--env-manager", "local", "--workers", "1")
    return Side(
        title=f"mlflow models serve {pinned('mlflow', 'mlflow')}",
        command=(str(programs / "mlflow"), *serve, "--host", LOOPBACK, "--port", str(port)),
        port=port,
        path="/invocations",
        body=lambda rows: {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}},
        probabilities=lambda answer: [true for _, true in answer["predictions"]],
        folder=folder,
    )


def mlserver(served: Served, folder: Path) -> Side:
    """MLServer with its MLflow runtime and its one inference worker, asked in the Open Inference Protocol."""
    port = free_port()
    implementation, parameters = "mlserver_mlflow.MLflowRuntime", {"uri": str(served.mlflow_model)}
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "flights", "implementation": implementation, "parameters": parameters})
    )
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "debug": False,
                "host": LOOPBACK,
                "http_port": port,
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "parallel_workers": 1,
            }
        )
    )
    texts = {feature.name for feature in served.features if feature.type == "category"}

    def inputs(rows: Rows) -> object:
        columns = [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": "BYTES" if name in texts else "FP64",
                "data": [row[name] for row in rows],
            }
            for name in rows[0]
        ]
        return {"parameters": {"content_type": "pd"}, "inputs": columns}

    return Side(
        title=f"MLServer {pinned('mlserver', 'mlserver')}",
        command=(str(programs_of("mlserver") / "mlserver"), "start", str(folder)),
        port=port,
        path="/v2/models/flights/infer",
        body=inputs,
        probabilities=lambda answer: answer["outputs"][0]["data"][1::2],
        folder=folder,
    )


def bentoml(served: Served, folder: Path) -> Side:
    """BentoML, its log of each request off."""
    port = free_port()
    serve = ("serve", "bento_service:Flights", "--working-dir", str(HERE), "--host", LOOPBACK, "--port", str(port))
    return Side(
        title=f"BentoML {pinned('bentoml', 'bentoml')}",
        command=(str(programs_of("bentoml") / "bentoml"), *serve),
        port=port,
        path="/predict",
        body=lambda rows: {"rows": rows},
        probabilities=lambda answer: list(answer),
        environment={
            "MODEL": str(served.pipeline),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        },
        folder=folder,
    )


SIDES: dict[str, Make] = {
    "service": service,
    "noop": noop,
    "fastapi": fastapi,
    "mlflow": mlflow,
    "mlserver": mlserver,
    "bentoml": bentoml,
}


def _uvicorn(app: str, port: int) -> tuple[str, ...]:
    quiet = ("--no-access-log", "--log-level", "warning")
    return ("uvicorn", app, "--factory", "--host", LOOPBACK, "--port", str(port), *quiet)


def _one_or_list(rows: Rows) -> object:
    return rows[0] if len(rows) == 1 else rows

"""The MLflow run that a training is tracked in: dagster-mlflow's, imported inside the function, for it takes seconds.

Here belongs when a run begins and ends. What is registered of it belongs to `model_registry`.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import dagster as dg

TRACKING_URI = "MLFLOW_TRACKING_URI"


class TrackedRun(Protocol):
    """What is used of the object that dagster-mlflow's resource hands out: MLflow's functions, bound to its run."""

    def log_params(self, params: dict[str, object]) -> None:
        """Logs parameters."""

    def log_metrics(self, metrics: dict[str, float]) -> object:
        """Logs metrics."""

    def set_tags(self, tags: dict[str, str]) -> object:
        """Tags the run."""

    def active_run(self) -> Any:  # noqa: ANN401 -- MLflow's own Run, imported late
        """The run."""


def tracked_run(context: "dg.InitResourceContext") -> Iterator[Any]:
    """dagster-mlflow's `mlflow_tracking`: an MLflow run for the Dagster run, ended with it."""
    import warnings

    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dagster-mlflow is in beta and says so at each import
        from dagster_mlflow import mlflow_tracking

    users_own = os.environ.get(TRACKING_URI)
    try:
        yield from mlflow_tracking.resource_fn(context)  # type: ignore[call-arg]
    finally:
        # The hook that ends runs is bound to jobs, and closes early in some (dagster#21872).
        mlflow.end_run()
        # MLflow writes its tracking URI into the environment, where settings would take it for the user's.
        os.environ.pop(TRACKING_URI, None)
        if users_own is not None:
            os.environ[TRACKING_URI] = users_own

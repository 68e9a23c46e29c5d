"""Prevents a run that stays open in MLflow, and an address of MLflow that the next settings take for the user's."""

import os
from pathlib import Path

import dagster as dg
import pytest
from mlflow import MlflowClient

from mlops_assets.adapters.tracked_run import TRACKING_URI, tracked_run


@pytest.mark.parametrize("users_own", [None, "http://127.0.0.1:1"])
def test_the_run_ends_and_the_environment_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users_own: str | None
) -> None:
    if users_own is None:
        monkeypatch.delenv(TRACKING_URI, raising=False)
    else:
        monkeypatch.setenv(TRACKING_URI, users_own)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    @dg.resource(config_schema={"experiment_name": str, "mlflow_tracking_uri": str, "env": dict, "extra_tags": dict})
    def mlflow(context: dg.InitResourceContext):  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield from tracked_run(context)

    @dg.op(required_resource_keys={"mlflow"})
    def train(context: dg.OpExecutionContext) -> None:
        context.resources.mlflow.log_metrics({"auc": 0.75})

    config = {"experiment_name": "small", "mlflow_tracking_uri": uri, "env": {}, "extra_tags": {}}

    @dg.job(resource_defs={"mlflow": mlflow.configured(config)})
    def training() -> None:
        train()

    assert training.execute_in_process().success
    assert os.environ.get(TRACKING_URI) == users_own
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"auc": 0.75}

"""The jobs that the sensors start. Their steps run in one process: a process of its own costs each step seconds."""

import dagster as dg

window_job = dg.define_asset_job(
    "window_job",
    selection=dg.AssetSelection.assets("data_window", "drift_report", "realised_performance"),
    executor_def=dg.in_process_executor,
    description="A landed window is validated and stored, its drift is measured, and how good the answers on it were.",
)
training_job = dg.define_asset_job(
    "training_job",
    selection=dg.AssetSelection.assets("candidate_model", "production_model"),
    tags={"mlops/lane": "training"},  # one at a time, see dagster.yaml
    executor_def=dg.in_process_executor,
    description="A candidate is trained and compared; what the gate lets through becomes production.",
)

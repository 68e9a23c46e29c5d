"""What sensors and schedules start. A job's steps run in one process: a process of its own costs each step seconds."""

import dagster as dg

from mlops_assets.adapters.training_runs import LANE

window_job = dg.define_asset_job(
    "window_job",
    selection=dg.AssetSelection.assets("data_window", "drift_report", "realised_performance", "feature_table"),
    executor_def=dg.in_process_executor,
    description="A landed window is validated and stored, its drift is measured, and how good the answers on it were; "
    "the features of its entities become those that the service looks up.",
)
drift_job = dg.define_asset_job(
    "drift_job",
    selection=dg.AssetSelection.assets("drift_report"),
    executor_def=dg.in_process_executor,
    description="The drift of a window that is in use is measured anew, and decided on anew.",
)
training_job = dg.define_asset_job(
    "training_job",
    selection=dg.AssetSelection.assets("candidate_model", "production_model"),
    tags=LANE,
    executor_def=dg.in_process_executor,
    description="A candidate is trained and compared; what the gate lets through becomes production.",
)
promotion_job = dg.define_asset_job(
    "promotion_job",
    selection=dg.AssetSelection.assets("production_model"),
    executor_def=dg.in_process_executor,
    description="What a person approved becomes production.",
)
prediction_log_job = dg.define_asset_job(
    "prediction_log_job",
    selection=dg.AssetSelection.assets("prediction_log"),
    executor_def=dg.in_process_executor,
    description="What the service answered, and what came true of it, is gathered.",
)
prediction_window_job = dg.define_asset_job(
    "prediction_window_job",
    selection=dg.AssetSelection.assets("prediction_log", "prediction_window"),
    executor_def=dg.in_process_executor,
    description="What was answered in a period lands as a window.",
)
scoring_job = dg.define_asset_job(
    "scoring_job",
    selection=dg.AssetSelection.assets("scored_window"),
    executor_def=dg.in_process_executor,
    description="The production model scores all rows of a window. Nothing starts it by itself.",
)

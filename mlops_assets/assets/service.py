"""`prediction_service`: the running service, which the graph observes and does not make."""

import dagster as dg

prediction_service = dg.AssetSpec(
    "prediction_service",
    deps=["production_model"],
    group_name="loop",
    owners=["team:ml"],
    kinds={"litestar", "onnx"},
    description="What the prediction service says it serves. It follows the release by itself; `service_sensor` "
    "observes it and sends it the release's cases.",
)

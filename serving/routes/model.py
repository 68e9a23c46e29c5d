"""`GET /model`: what is served, and what was refused."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from serving.schemas import ModelInfo
from serving.state import Serving


@get("/model", summary="The served model", sync_to_thread=False)
def model(serving: NamedDependency[SkipValidation[Serving]]) -> ModelInfo:
    """Answers 200 with nulls while there is none."""
    slot, refused = serving.slot, serving.refused
    if slot is None:
        return ModelInfo(ready=False, refused=refused)
    return ModelInfo(
        ready=True,
        model_name=slot.manifest.model_name,
        model_version=slot.pointer.model_version,
        epoch=slot.pointer.epoch,
        promoted_at=slot.pointer.promoted_at,
        metrics=slot.manifest.metrics,
        training_windows=slot.manifest.training_windows,
        features=slot.manifest.features,
        loaded_at=slot.loaded_at,
        refused=refused,
    )

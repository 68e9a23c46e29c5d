"""`GET /model`: what is served, and what was refused."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from serving.schemas import ModelInfo
from serving.settings import Settings
from serving.state import Serving
from serving.workers import Workers


@get("/model", summary="The served model", sync_to_thread=False)
def model(
    serving: NamedDependency[SkipValidation[Serving]],
    workers: NamedDependency[SkipValidation[Workers]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> ModelInfo:
    """Answers 200 with nulls while there is none."""
    slot, refused = serving.slot, serving.refused
    living, expected = workers.living(), settings.workers
    if slot is None:
        return ModelInfo(ready=False, refused=refused, workers=living, expected_workers=expected)
    return ModelInfo(
        ready=True,
        model_name=slot.manifest.model_name,
        model_version=slot.pointer.model_version,
        epoch=slot.pointer.epoch,
        promoted_at=slot.pointer.promoted_at,
        promoted_by=slot.pointer.promoted_by,
        metrics=slot.manifest.metrics,
        training_windows=slot.manifest.training_windows,
        features=slot.manifest.features,
        loaded_at=slot.loaded_at,
        refused=refused,
        workers=living,
        expected_workers=expected,
    )

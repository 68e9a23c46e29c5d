"""`GET /health/live` and `GET /health/ready`: the process answers; a model answers.

Under `/v2` they are the Open Inference Protocol's.
"""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from serving.answering import Answering, served
from serving.errors import problem_answer
from serving.schemas import Live, Ready
from serving.state import Serving


@get(["/health/live", "/v2/health/live"], summary="The process answers", sync_to_thread=False)
def live() -> Live:
    """Says nothing about the model: a restart would not bring one."""
    return Live(live=True)


@get(
    ["/health/ready", "/v2/health/ready"],
    summary="A model answers",
    responses={503: problem_answer("No model is served yet, or its answers cannot be recorded")},
    sync_to_thread=False,
)
def ready(
    serving: NamedDependency[SkipValidation[Serving]], answering: NamedDependency[SkipValidation[Answering]]
) -> Ready:
    """Stays ready when a release is refused: the one before still answers."""
    slot = served(serving)
    answering.demand_record()
    return Ready(ready=True, model_version=slot.pointer.model_version, epoch=slot.pointer.epoch)

"""One way from a request's body to a prediction, whichever door it came in by: timed, counted, errors as problems."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from serving.errors import no_model, prediction_failed, problem_answer, rows_invalid
from serving.metrics import Metrics
from serving.predictor import PredictionFailed
from serving.rows import RowsInvalid
from serving.slot import Slot
from serving.state import Serving

INLINE_BYTES = 16 * 1024
"""About a hundred rows of a dozen features; a larger body would hold up the others for over a millisecond."""


PROBLEMS = {
    400: problem_answer("The body is not rows of the served model"),
    500: problem_answer("The model gave no usable answer"),
    503: problem_answer("No model is served yet"),
}
"""What every door may answer instead, for the OpenAPI page."""


def served(serving: Serving) -> Slot:
    """The slot that answers a request: read once, and after the body has arrived.

    A swap while it arrived must not part the row type from the model.
    """
    if serving.slot is None:
        raise no_model()
    return serving.slot


def version_header(slot: Slot) -> dict[str, str]:
    """Which model answers, on every answer and every refusal of a row."""
    return {"X-Model-Version": str(slot.pointer.model_version)}


async def answered(slot: Slot, metrics: Metrics, body: bytes, predict: Callable[[bytes], list[float]]) -> list[float]:
    """The probabilities that `predict` finds for a body; a large one is taken apart in a thread."""
    began = perf_counter()
    try:
        large = len(body) > INLINE_BYTES
        probabilities = await asyncio.to_thread(predict, body) if large else predict(body)
    except RowsInvalid as error:
        raise rows_invalid(error, version_header(slot)) from error
    except PredictionFailed as error:
        raise prediction_failed(error, version_header(slot)) from error
    metrics.count_prediction(rows=len(probabilities), seconds=perf_counter() - began)
    return probabilities

"""`POST /predict`: rows in, probabilities out."""

import asyncio
from time import perf_counter
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from serving.errors import no_model, not_json, prediction_failed, problem_answer, rows_invalid
from serving.metrics import Metrics
from serving.predictor import PredictionFailed
from serving.rows import RowsInvalid
from serving.schemas import Prediction, Predictions
from serving.state import Serving

INLINE_BYTES = 16 * 1024
"""About a hundred rows of a dozen features; a larger body would hold up the others for over a millisecond."""


@post(
    "/predict",
    status_code=200,
    summary="Predict one row or a list of rows",
    description="A list of 1 to 10,000 rows, or one row alone. The answer has the same shape for both.",
    responses={
        200: ResponseSpec(Predictions, description="A probability for each row, in order", generate_examples=False),
        400: problem_answer("The body is not rows of the served model"),
        415: problem_answer("The body is not declared as JSON"),
        500: problem_answer("The model gave no usable answer"),
        503: problem_answer("No model is served yet"),
    },
)
async def predict(
    request: Request[Any, Any, Any],
    serving: NamedDependency[SkipValidation[Serving]],
    metrics: NamedDependency[SkipValidation[Metrics]],
) -> Response[bytes]:
    """Answers with the model that is served when the body has arrived."""
    content_type, _ = request.content_type
    if content_type != MediaType.JSON:
        raise not_json(content_type)
    body = await request.body()
    # Read once, and after the body: a swap while it arrived must not part the row type from the model.
    slot = serving.slot
    if slot is None:
        raise no_model()
    headers = {"X-Model-Version": str(slot.pointer.model_version)}
    began = perf_counter()
    try:
        large = len(body) > INLINE_BYTES
        probabilities = await asyncio.to_thread(slot.predict, body) if large else slot.predict(body)
    except RowsInvalid as error:
        raise rows_invalid(error, headers) from error
    except PredictionFailed as error:
        raise prediction_failed(error, headers) from error
    metrics.count_prediction(rows=len(probabilities), seconds=perf_counter() - began)
    answer = Predictions(
        slot.pointer.model_version, slot.pointer.epoch, [Prediction(probability) for probability in probabilities]
    )
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, headers=headers)

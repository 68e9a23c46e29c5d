"""`POST /predict`: rows in, probabilities out."""

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from serving.answering import PROBLEMS, answered, served, version_header
from serving.errors import not_json, problem_answer
from serving.metrics import Metrics
from serving.schemas import Prediction, Predictions
from serving.state import Serving


@post(
    "/predict",
    status_code=200,
    summary="Predict one row or a list of rows",
    description="A list of 1 to 10,000 rows, or one row alone. The answer has the same shape for both.",
    responses={
        200: ResponseSpec(Predictions, description="A probability for each row, in order", generate_examples=False),
        415: problem_answer("The body is not declared as JSON"),
        **PROBLEMS,
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
    slot = served(serving)
    probabilities = await answered(slot, metrics, body, slot.predict)
    answer = Predictions(
        slot.pointer.model_version, slot.pointer.epoch, [Prediction(probability) for probability in probabilities]
    )
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, headers=version_header(slot))

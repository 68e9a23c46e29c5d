"""`POST /invocations`, `GET /ping` and `GET /version`: for clients of `mlflow models serve`, with another address.

The bodies belong to `serving.scoring_protocol`.
"""

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from serving.answering import PROBLEMS, answered, served, version_header
from serving.errors import not_scorable, problem_answer
from serving.metrics import Metrics
from serving.schemas import Scores
from serving.scoring_protocol import answer_of, records_of_csv, records_of_json
from serving.state import Serving

PROTOCOL = "3"
"""MLflow's major version whose protocol this is; its own server answers with its whole version."""
CSV = "text/csv"


@get("/ping", summary="MLflow: a model answers", media_type=MediaType.TEXT, sync_to_thread=False)
def ping(serving: NamedDependency[SkipValidation[Serving]]) -> str:
    """As MLflow's own server, an empty line; a problem where no model is served."""
    served(serving)
    return "\n"


@get("/version", summary="MLflow: the protocol's version", media_type=MediaType.TEXT, sync_to_thread=False)
def version() -> str:
    """Answers whether or not there is a model."""
    return PROTOCOL


@post(
    "/invocations",
    status_code=200,
    summary="MLflow: predict rows",
    description="`dataframe_split`, `dataframe_records`, `instances` or `inputs` as JSON, or CSV with a header. Each "
    "row is answered with the probabilities of false and of true.",
    responses={
        200: ResponseSpec(Scores, description="Two probabilities for each row, in order", generate_examples=False),
        415: problem_answer("The body is declared as neither JSON nor CSV"),
        **PROBLEMS,
    },
)
async def invocations(
    request: Request[Any, Any, Any],
    serving: NamedDependency[SkipValidation[Serving]],
    metrics: NamedDependency[SkipValidation[Metrics]],
) -> Response[bytes]:
    """Answers by the same model and the same rules as `/predict`."""
    content_type, _ = request.content_type
    if content_type not in (MediaType.JSON, CSV):
        raise not_scorable(content_type)
    body = await request.body()
    slot = served(serving)
    records_of = records_of_csv if content_type == CSV else records_of_json

    def predict(body: bytes) -> list[float]:
        return slot.predict_records(records_of(body, slot.manifest.features))

    answer = answer_of(await answered(slot, metrics, body, predict))
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON, headers=version_header(slot))

"""`POST /invocations`, `GET /ping` and `GET /version`: for clients of `mlflow models serve`, with another address.

The bodies belong to `serving.scoring_protocol`.
"""

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from serving.answering import Answering, answer_headers, served
from serving.door import body_of
from serving.errors import PROBLEMS, not_scorable, problem_answer
from serving.rows import Values
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
    answering: NamedDependency[SkipValidation[Answering]],
) -> Response[bytes]:
    """Answers by the same model and the same rules as `/predict`."""
    content_type, _ = request.content_type
    if content_type not in (MediaType.JSON, CSV):
        raise not_scorable(content_type)
    slot = served(serving)
    records_of = records_of_csv if content_type == CSV else records_of_json

    def decode(body: bytes) -> list[Values]:
        return slot.rows.convert(records_of(body, slot.manifest.features))

    answer = await answering.answer(slot, body_of(request.scope), decode)
    scores = answer_of(answer.probabilities)
    return Response(msgspec.json.encode(scores), media_type=MediaType.JSON, headers=answer_headers(answer))

"""`/v2`: the Open Inference Protocol, for clients of KServe, Triton and MLServer with another address.

The bodies belong to `serving.inference_protocol`, `/v2/health` to `serving.routes.health`.
"""

from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from serving.answering import Answering, answer_headers, served, version_header
from serving.door import body_of
from serving.errors import INFERENCE_PROTOCOL, PROBLEMS, not_served, not_tensors, problem_answer
from serving.inference_protocol import EXTENSIONS, HEADER_LENGTH, Question, answer_of, metadata_of, question_of
from serving.rows import Values
from serving.schemas import InferenceAnswer, ModelMetadata, ModelReady, ServerMetadata
from serving.slot import Slot
from serving.state import Serving

SERVER = ServerMetadata(name="prediction-service", version="1", extensions=list(EXTENSIONS))
BYTES = "application/octet-stream"
NO_TYPE = ""
"""Triton's client declares none; a browser's form always declares another."""
_MODEL = INFERENCE_PROTOCOL + "/models/{name:str}"
_VERSION = _MODEL + "/versions/{version:str}"
_PROBLEMS = {404: problem_answer("Another model or version is served"), 503: PROBLEMS[503]}


@get(INFERENCE_PROTOCOL, summary="Open Inference Protocol: the service", sync_to_thread=False)
def server_metadata() -> ServerMetadata:
    """Answers whether or not there is a model."""
    return SERVER


@get([_MODEL, _VERSION], summary="Open Inference Protocol: the model", responses=_PROBLEMS, sync_to_thread=False)
def model_metadata(request: Request[Any, Any, Any], serving: NamedDependency[SkipValidation[Serving]]) -> ModelMetadata:
    """What it takes and gives."""
    return metadata_of(_slot_of(request, serving).manifest)


@get(
    [f"{_MODEL}/ready", f"{_VERSION}/ready"],
    summary="Open Inference Protocol: the model answers",
    responses=_PROBLEMS,
    sync_to_thread=False,
)
def model_ready(request: Request[Any, Any, Any], serving: NamedDependency[SkipValidation[Serving]]) -> ModelReady:
    """Only the served version is ready, and no other."""
    return ModelReady(_slot_of(request, serving).manifest.model_name, ready=True)


@post(
    [f"{_MODEL}/infer", f"{_VERSION}/infer"],
    status_code=200,
    summary="Open Inference Protocol: predict rows",
    description="One input for each feature, by name, of shape [n] or [n, 1]; NaN, null and an empty text are null. "
    "Inputs and the output `probability` are JSON or binary tensor data.",
    responses={
        200: ResponseSpec(InferenceAnswer, description="A probability for each row, in order", generate_examples=False),
        415: problem_answer("The body is declared as neither JSON nor bytes, or as compressed"),
        **PROBLEMS,
        **_PROBLEMS,
    },
)
async def infer(
    request: Request[Any, Any, Any],
    serving: NamedDependency[SkipValidation[Serving]],
    answering: NamedDependency[SkipValidation[Answering]],
) -> Response[bytes]:
    """Answers by the same model and the same rules as `/predict`."""
    content_type, _ = request.content_type
    if content_type not in (MediaType.JSON, BYTES, NO_TYPE):
        raise not_tensors(content_type)
    slot = _slot_of(request, serving)
    question: Question

    def decode(body: bytes) -> list[Values]:
        nonlocal question
        question = question_of(body, request.headers.get(HEADER_LENGTH), slot.manifest)
        return slot.rows.convert(question.records)

    found = await answering.answer(slot, body_of(request.scope), decode)
    answer, header_length = answer_of(question, slot.manifest, found.probabilities)
    headers = answer_headers(found)
    if header_length is None:
        return Response(answer, media_type=MediaType.JSON, headers=headers)
    return Response(answer, media_type=BYTES, headers={**headers, HEADER_LENGTH: str(header_length)})


def _slot_of(request: Request[Any, Any, Any], serving: Serving) -> Slot:
    """The served slot, if it is the one that the path asks for."""
    slot = served(serving)
    # Not parameters of the routes: where a path has no version, Litestar would look for one in the query.
    name, version = request.path_params["name"], request.path_params.get("version")
    served_name, served_version = slot.manifest.model_name, str(slot.pointer.model_version)
    if name != served_name or version not in (None, served_version):
        asked = f"model {name!r}" if version is None else f"model {name!r} version {version!r}"
        raise not_served(asked, f"model {served_name!r} version {served_version!r}", version_header(slot))
    return slot

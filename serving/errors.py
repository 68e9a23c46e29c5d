"""Errors on the wire: every one is a problem as RFC 9457 has it, and none shows a traceback.

What is an error is decided where it is raised.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin
from litestar.types import Send
from msgspec import UNSET

from serving.keys import Scope
from serving.schemas import Problem

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
INFERENCE_PROTOCOL = "/v2"
"""Where the Open Inference Protocol's paths begin, unknown ones too."""


class ServiceProblem(ProblemDetailsException):
    """A problem that says its detail once more as `error` to clients that look for it there."""

    def content(self, path: str) -> Problem:
        """What a request for a path is answered."""
        answers_inference = f"{path}/".startswith(f"{INFERENCE_PROTOCOL}/")
        return Problem(
            type=self.type_ or "about:blank",
            title=self.title or "",
            status=self.status_code,
            detail=self.detail,
            error=self.detail if answers_inference else UNSET,
        )

    def to_response(self, request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """The same, where Litestar answers."""
        content = msgspec.to_builtins(self.content(request.scope["path"]))
        return Response(content, status_code=self.status_code, headers=self.headers, media_type=PROBLEM)


def no_model() -> ServiceProblem:
    """Nothing is served yet; the watcher may change that at any moment."""
    detail = "no release is loaded; see /model for a refused one"
    return _problem(503, "no-model", "No model is served yet", detail, {"Retry-After": "1"})


def not_json(content_type: str) -> ServiceProblem:
    """The body is not declared as JSON."""
    return _problem(415, "not-json", "The body must be application/json", f"content type is {content_type!r}", {})


def not_scorable(content_type: str) -> ServiceProblem:
    """The body is declared as neither JSON nor CSV."""
    title = "The body must be application/json or text/csv"
    return _problem(415, "not-scorable", title, f"content type is {content_type!r}", {})


def cannot_record(reason: str) -> ServiceProblem:
    """The rows would be answered, and no record of it be kept."""
    logger.debug("not recorded: %s", reason)
    detail = "the prediction log cannot be written, so the rows are not answered; see the service's log"
    return _problem(503, "cannot-record", "The answer cannot be recorded", detail, {"Retry-After": "1"})


def full() -> ServiceProblem:
    """More requests are under way than the service takes on."""
    detail = "too many requests are under way; ask again"
    return _problem(503, "full", "The service is full", detail, {"Retry-After": "1"})


def too_long(seconds: float) -> ServiceProblem:
    """The rows took longer than an answer may."""
    detail = f"no answer was found in {seconds:g} s; ask for fewer rows at once"
    return _problem(503, "too-long", "The answer takes too long", detail, {"Retry-After": "1"})


def foreign_page() -> ServiceProblem:
    """A page of another site asks, in the name of whoever looks at it."""
    return _problem(403, "foreign-page", "Pages of other sites are not answered", "ask from a server of yours", {})


def too_many(seconds: float) -> ServiceProblem:
    """This caller asks more often than it may."""
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return _problem(429, "too-many-requests", "Too many requests", "this caller asks more often than it may", headers)


def misnamed(host: str) -> ServiceProblem:
    """The request is for another host."""
    detail = f"no host {host[:100]!r} is served here; SERVING_ALLOWED_HOSTS names those that are"
    return _problem(400, "misnamed", "The service has another name", detail, {})


def unauthorized() -> ServiceProblem:
    """There is no key, or none that lives."""
    detail = "send a live key: `Authorization: Bearer <key>`"
    return _problem(401, "unauthorized", "A key is needed", detail, {"WWW-Authenticate": "Bearer"})


def forbidden(scopes: Sequence[Scope]) -> ServiceProblem:
    """The key is for other things."""
    return _problem(403, "forbidden", "The key does not allow it", f"the key needs the scope {' or '.join(scopes)}", {})


def compressed(encoding: str) -> ServiceProblem:
    """The body would have to be unpacked, and how large it becomes is not seen before."""
    detail = f"content encoding is {encoding[:100]!r}; send it as it is"
    return _problem(415, "compressed", "The body must not be compressed", detail, {})


def not_tensors(content_type: str) -> ServiceProblem:
    """The body is declared as neither JSON nor bytes."""
    title = "The body must be application/json or application/octet-stream"
    return _problem(415, "not-tensors", title, f"content type is {content_type!r}", {})


def not_served(asked: str, served: str, headers: Mapping[str, str]) -> ServiceProblem:
    """Another model or version is asked for than the one that is served."""
    detail = f"{asked} is not served; {served} is"
    return _problem(404, "not-served", "No such model is served", detail, headers)


def too_large(limit: int) -> ServiceProblem:
    """The body has more bytes than are taken."""
    return _problem(413, "too-large", "The body is too large", f"at most {limit} bytes are taken", {})


def method_not_allowed(allowed: str) -> ServiceProblem:
    """The route takes another method."""
    return _problem(405, "method-not-allowed", "Method Not Allowed", f"the method is {allowed}", {"Allow": allowed})


def rows_invalid(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """The body is not rows of the served model."""
    return _problem(400, "rows-invalid", "The body is not rows of the served model", str(error), headers)


def entity_unknown(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """Nobody is known by the key that was sent."""
    return _problem(404, "entity-unknown", "No features are known by this key", str(error), headers)


def features_stale(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """The features that are known are too old to answer from."""
    return _problem(409, "features-stale", "The newest features are too old", str(error), headers)


def features_unavailable(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """No features can be looked up now."""
    title = "No features can be looked up"
    return _problem(503, "features-unavailable", title, str(error), {**headers, "Retry-After": "1"})


def labels_invalid(fault: str) -> ServiceProblem:
    """The body is not labels."""
    return _problem(400, "labels-invalid", "The body is not labels", fault, {})


def prediction_failed(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """The model gave no usable answer to valid rows."""
    logger.error("prediction failed: %s", error)
    return _problem(500, "prediction-failed", "The model gave no usable answer", str(error), headers)


def unexpected(error: Exception) -> ServiceProblem:
    """A fault of the service's own, of which the client is told nothing."""
    logger.error("unexpected error", exc_info=error)
    return _of(HTTPException(status_code=500, detail="unexpected error, see the service's log"))


async def send(problem: ServiceProblem, path: str, send: Send) -> None:
    """Answers with a problem where Litestar does not."""
    body = msgspec.json.encode(problem.content(path))
    headers = {
        "content-type": PROBLEM,
        "content-length": str(len(body)),
        **(problem.headers or {}),
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def problem_details() -> ProblemDetailsPlugin:
    """Makes a problem of every exception, Litestar's own included."""
    return ProblemDetailsPlugin(ProblemDetailsConfig(exception_to_problem_detail_map={Exception: _of}))


def problem_answer(description: str) -> ResponseSpec:
    """The OpenAPI entry of an error."""
    return ResponseSpec(Problem, description=description, media_type=PROBLEM, generate_examples=False)


PROBLEMS = {
    401: problem_answer("A key is needed, and none that lives was sent"),
    403: problem_answer("The key has not the scope, or a page of another site asks"),
    413: problem_answer("The body is too large"),
    429: problem_answer("The caller asks more often than it may"),
    400: problem_answer("The body is not rows of the served model"),
    500: problem_answer("The model gave no usable answer"),
    503: problem_answer("No model is served yet, the service is full, or the answer cannot be recorded"),
}
"""What every door to the model may answer instead, for the OpenAPI page."""


def _problem(status: int, name: str, title: str, detail: str, headers: Mapping[str, str]) -> ServiceProblem:
    return ServiceProblem(
        status_code=status, type_=f"urn:problem-type:{name}", title=title, detail=detail, headers=dict(headers)
    )


def _of(error: Exception) -> ServiceProblem:
    if not isinstance(error, HTTPException):
        return unexpected(error)
    return ServiceProblem(
        status_code=error.status_code,
        type_="about:blank",
        title=HTTPStatus(error.status_code).phrase,
        detail=error.detail,
        headers=error.headers,
    )

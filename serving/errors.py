"""Errors on the wire: every one is a problem as RFC 9457 has it, and none shows a traceback.

What is an error is decided where it is raised.
"""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin
from litestar.types import Send

from serving.keys import Scope
from serving.schemas import Problem

logger = logging.getLogger(__name__)


def no_model() -> ProblemDetailsException:
    """Nothing is served yet; the watcher may change that at any moment."""
    detail = "no release is loaded; see /model for a refused one"
    return _problem(503, "no-model", "No model is served yet", detail, {"Retry-After": "1"})


def not_json(content_type: str) -> ProblemDetailsException:
    """The body is not declared as JSON."""
    return _problem(415, "not-json", "The body must be application/json", f"content type is {content_type!r}", {})


def not_scorable(content_type: str) -> ProblemDetailsException:
    """The body is declared as neither JSON nor CSV."""
    title = "The body must be application/json or text/csv"
    return _problem(415, "not-scorable", title, f"content type is {content_type!r}", {})


def cannot_record(reason: str) -> ProblemDetailsException:
    """The rows would be answered, and no record of it be kept."""
    logger.debug("not recorded: %s", reason)
    detail = "the prediction log cannot be written, so the rows are not answered; see the service's log"
    return _problem(503, "cannot-record", "The answer cannot be recorded", detail, {"Retry-After": "1"})


def full() -> ProblemDetailsException:
    """More requests are under way than the service takes on."""
    detail = "too many requests are under way; ask again"
    return _problem(503, "full", "The service is full", detail, {"Retry-After": "1"})


def too_many(seconds: float) -> ProblemDetailsException:
    """This caller asks more often than it may."""
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return _problem(429, "too-many-requests", "Too many requests", "this caller asks more often than it may", headers)


def misnamed(host: str) -> ProblemDetailsException:
    """The request is for another host."""
    detail = f"no host {host[:100]!r} is served here; SERVING_ALLOWED_HOSTS names those that are"
    return _problem(400, "misnamed", "The service has another name", detail, {})


def unauthorized() -> ProblemDetailsException:
    """There is no key, or none that lives."""
    detail = "send a live key: `Authorization: Bearer <key>`"
    return _problem(401, "unauthorized", "A key is needed", detail, {"WWW-Authenticate": "Bearer"})


def forbidden(scope: Scope) -> ProblemDetailsException:
    """The key is for other things."""
    return _problem(403, "forbidden", "The key does not allow it", f"the key needs the scope {scope!r}", {})


def encoded(encoding: str) -> ProblemDetailsException:
    """The body is compressed, which is not undone here: how large it becomes is not seen before."""
    detail = f"content encoding is {encoding[:100]!r}; send it as it is"
    return _problem(415, "encoded", "The body must not be compressed", detail, {})


def too_large(limit: int) -> ProblemDetailsException:
    """The body has more bytes than are taken."""
    return _problem(413, "too-large", "The body is too large", f"at most {limit} bytes are taken", {})


def method_not_allowed(allowed: str) -> ProblemDetailsException:
    """The route takes another method."""
    return _problem(405, "method-not-allowed", "Method Not Allowed", f"the method is {allowed}", {"Allow": allowed})


def rows_invalid(error: Exception, headers: Mapping[str, str]) -> ProblemDetailsException:
    """The body is not rows of the served model."""
    return _problem(400, "rows-invalid", "The body is not rows of the served model", str(error), headers)


def labels_invalid(error: Exception) -> ProblemDetailsException:
    """The body is not labels."""
    return _problem(400, "labels-invalid", "The body is not labels", str(error), {})


def prediction_failed(error: Exception, headers: Mapping[str, str]) -> ProblemDetailsException:
    """The model gave no usable answer to valid rows."""
    logger.error("prediction failed: %s", error)
    return _problem(500, "prediction-failed", "The model gave no usable answer", str(error), headers)


def unexpected(error: Exception) -> ProblemDetailsException:
    """A fault of the service's own, of which the client is told nothing."""
    logger.error("unexpected error", exc_info=error)
    return ProblemDetailsException(
        status_code=500,
        type_="about:blank",
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        detail="unexpected error, see the service's log",
    )


async def send(problem: ProblemDetailsException, send: Send) -> None:
    """Answers with a problem where Litestar does not."""
    known = Problem(problem.type_ or "about:blank", problem.title or "", problem.status_code, problem.detail)
    body = msgspec.json.encode(known)
    headers = {
        "content-type": "application/problem+json",
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
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


PROBLEMS = {
    400: problem_answer("The body is not rows of the served model"),
    500: problem_answer("The model gave no usable answer"),
    503: problem_answer("No model is served yet, the service is full, or the answer cannot be recorded"),
}
"""What every door to the model may answer instead, for the OpenAPI page."""


def _problem(status: int, name: str, title: str, detail: str, headers: Mapping[str, str]) -> ProblemDetailsException:
    return ProblemDetailsException(
        status_code=status, type_=f"urn:problem-type:{name}", title=title, detail=detail, headers=dict(headers)
    )


def _of(error: Exception) -> ProblemDetailsException:
    if not isinstance(error, HTTPException):
        return unexpected(error)
    return ProblemDetailsException(
        status_code=error.status_code,
        type_="about:blank",
        title=HTTPStatus(error.status_code).phrase,
        detail=error.detail,
        headers=error.headers,
    )

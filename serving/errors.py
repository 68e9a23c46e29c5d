"""Errors on the wire: every one is a problem as RFC 9457 has it, and none shows a traceback.

What is an error is decided where it is raised.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin

from serving.schemas import Problem

logger = logging.getLogger(__name__)

INFERENCE_PROTOCOL = "/v2"
"""Where the Open Inference Protocol's paths begin, unknown ones too."""


class ServiceProblem(ProblemDetailsException):
    """A problem that says its detail once more as `error` to clients that look for it there."""

    def to_response(self, request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """The answer that this problem is."""
        if f"{request.scope['path']}/".startswith(f"{INFERENCE_PROTOCOL}/"):
            self.extra = {"error": self.detail}
        return super().to_response(request)


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


def not_tensors(content_type: str) -> ServiceProblem:
    """The body is declared as neither JSON nor bytes."""
    title = "The body must be application/json or application/octet-stream"
    return _problem(415, "not-tensors", title, f"content type is {content_type!r}", {})


def compressed(encoding: str) -> ServiceProblem:
    """The body would have to be unpacked first."""
    title = "The body must not be compressed"
    return _problem(415, "compressed", title, f"content encoding is {encoding!r}", {})


def not_served(asked: str, served: str, headers: Mapping[str, str]) -> ServiceProblem:
    """Another model or version is asked for than the one that is served."""
    detail = f"{asked} is not served; {served} is"
    return _problem(404, "not-served", "No such model is served", detail, headers)


def rows_invalid(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """The body is not rows of the served model."""
    return _problem(400, "rows-invalid", "The body is not rows of the served model", str(error), headers)


def prediction_failed(error: Exception, headers: Mapping[str, str]) -> ServiceProblem:
    """The model gave no usable answer to valid rows."""
    logger.error("prediction failed: %s", error)
    return _problem(500, "prediction-failed", "The model gave no usable answer", str(error), headers)


def problem_details() -> ProblemDetailsPlugin:
    """Makes a problem of every exception, Litestar's own included."""
    return ProblemDetailsPlugin(ProblemDetailsConfig(exception_to_problem_detail_map={Exception: _of}))


def problem_answer(description: str) -> ResponseSpec:
    """The OpenAPI entry of an error."""
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


def _problem(status: int, name: str, title: str, detail: str, headers: Mapping[str, str]) -> ServiceProblem:
    return ServiceProblem(
        status_code=status, type_=f"urn:problem-type:{name}", title=title, detail=detail, headers=dict(headers)
    )


def _of(error: Exception) -> ServiceProblem:
    if not isinstance(error, HTTPException):
        logger.error("unexpected error", exc_info=error)
        error = HTTPException(status_code=500, detail="unexpected error, see the service's log")
    return ServiceProblem(
        status_code=error.status_code,
        type_="about:blank",
        title=HTTPStatus(error.status_code).phrase,
        detail=error.detail,
        headers=error.headers,
    )

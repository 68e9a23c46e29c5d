"""Errors on the wire: every one is a problem as RFC 9457 has it, and none shows a traceback.

What is an error is decided where it is raised.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin

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


def rows_invalid(error: Exception, headers: Mapping[str, str]) -> ProblemDetailsException:
    """The body is not rows of the served model."""
    return _problem(400, "rows-invalid", "The body is not rows of the served model", str(error), headers)


def prediction_failed(error: Exception, headers: Mapping[str, str]) -> ProblemDetailsException:
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


def _problem(status: int, name: str, title: str, detail: str, headers: Mapping[str, str]) -> ProblemDetailsException:
    return ProblemDetailsException(
        status_code=status, type_=f"urn:problem-type:{name}", title=title, detail=detail, headers=dict(headers)
    )


def _of(error: Exception) -> ProblemDetailsException:
    if not isinstance(error, HTTPException):
        logger.error("unexpected error", exc_info=error)
        error = HTTPException(status_code=500, detail="unexpected error, see the service's log")
    return ProblemDetailsException(
        status_code=error.status_code,
        type_="about:blank",
        title=HTTPStatus(error.status_code).phrase,
        detail=error.detail,
        headers=error.headers,
    )

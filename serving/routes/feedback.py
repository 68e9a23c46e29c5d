"""`POST /feedback`: what came true of rows that were answered before, by their ids."""

from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from serving import errors
from serving.answering import Answering
from serving.door import body_of
from serving.entity_key import key_text
from serving.rows import MAX_ROWS, RowId
from serving.schemas import Recorded


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came true of one row."""

    id: RowId
    """As the row had it, or as its answer gave it."""
    label: bool


Labels = Label | Annotated[list[Label], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


@post(
    "/feedback",
    status_code=200,
    summary="Labels of rows that were answered",
    description="One label, or a list of 1 to 10,000. Of several labels for one id the last one holds. Whether the id "
    "was ever answered is seen when the log is gathered.",
    responses={400: errors.problem_answer("The body is not labels"), 415: errors.problem_answer("It is not JSON")},
)
async def feedback(
    request: Request[Any, Any, Any], answering: NamedDependency[SkipValidation[Answering]]
) -> Response[Recorded]:
    """Answers when the labels are on record."""
    content_type, _ = request.content_type
    if content_type != MediaType.JSON:
        raise errors.not_json(content_type)
    try:
        given = msgspec.json.decode(body_of(request.scope), type=Labels)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.labels_invalid(str(error)) from None
    labels = [(key_text(label.id), label.label) for label in (given if isinstance(given, list) else [given])]
    if nobodys := [position for position, (id_, _) in enumerate(labels) if id_ is None]:
        raise errors.labels_invalid(f"label {nobodys[0]}: its id is a text that stands for null")
    await answering.record_labels([(id_, label) for id_, label in labels if id_ is not None])
    return Response(Recorded(len(labels)))

"""`POST /predict`: rows in, probabilities out.

An ASGI app that `serving.door` calls by itself: Litestar's way here and back costs more than the prediction
(docs/decisions). Its entry of the OpenAPI page stands in `serving.routes.openapi`.
"""

from typing import cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from serving import errors
from serving.answering import Answering, served
from serving.door import body_of
from serving.schemas import Prediction, Predictions
from serving.state import Serving

JSON = b"application/json"


def predict_app(serving: Serving, answering: Answering) -> ASGIApp:
    """The route of one service."""
    encoder = msgspec.json.Encoder()

    async def predict(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- the body has arrived
        """Answers with the model that is served when the body has arrived."""
        if cast("HTTPScope", scope)["method"] != "POST":
            raise errors.method_not_allowed("POST")
        demand_json(scope)
        slot = served(serving)
        answer = await answering.answer(slot, body_of(scope), slot.rows.decode)
        pointer = slot.pointer
        rows = [Prediction(*pair) for pair in zip(answer.ids, answer.probabilities, strict=True)]
        body = encoder.encode(Predictions(answer.request_id, pointer.model_version, pointer.epoch, rows))
        headers = [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            (b"x-model-version", b"%d" % pointer.model_version),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return predict


def demand_json(scope: Scope) -> None:
    """Demands that the body is declared as JSON: what a browser sends without asking first is not."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value == JSON or value.partition(b";")[0].strip().lower() == JSON:
                return
            raise errors.not_json(value.decode("latin-1")[:100])
    raise errors.not_json("")

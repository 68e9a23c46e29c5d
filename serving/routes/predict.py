"""`POST /predict`: rows in, probabilities out; and `POST /probe`, the same for whoever watches the service.

An ASGI app that `serving.door` calls by itself: Litestar's way here and back costs more than the prediction
(docs/decisions). Its entry of the OpenAPI page stands in `serving.routes.openapi`.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from serving import errors
from serving.answering import Answering, served, version_header
from serving.door import body_of
from serving.feature_source import FeatureSource
from serving.feature_table import EntityUnknown, FeaturesStale, FeaturesUnavailable
from serving.rows import RowsInvalid
from serving.schemas import EntityPrediction, EntityPredictions, Prediction, Predictions
from serving.slot import Slot
from serving.state import Serving

JSON = b"application/json"


def predict_app(serving: Serving, features: FeatureSource, answering: Answering, *, prefix: str = "") -> ASGIApp:
    """The route of one service, whose requests have ids that begin with `prefix`."""
    encoder = msgspec.json.Encoder()

    async def predict(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- the body has arrived
        """Answers with the model that is served when the body has arrived."""
        if cast("HTTPScope", scope)["method"] != "POST":
            raise errors.method_not_allowed("POST")
        demand_json(scope)
        slot, body = served(serving), body_of(scope)
        pointer = slot.pointer
        answer: Predictions | EntityPredictions
        if (entity := slot.rows.entity_of(body)) is not None:
            answer = await _of_entity(slot, entity, features, answering, prefix)
        else:
            found = await answering.answer(slot, body, slot.rows.decode, body_is_rows=True, prefix=prefix)
            rows = [Prediction(*pair) for pair in zip(found.ids, found.probabilities, strict=True)]
            answer = Predictions(found.request_id, pointer.model_version, pointer.epoch, rows)
        content = encoder.encode(answer)
        headers = [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(content)),
            (b"x-model-version", b"%d" % pointer.model_version),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    return predict


async def _of_entity(
    slot: Slot, asked: Mapping[str, Any], features: FeatureSource, answering: Answering, prefix: str
) -> EntityPredictions:
    """Answers from the features that are known of an entity, as if the client had sent them."""
    headers = version_header(slot)
    try:
        known = await features.find(asked[cast("str", slot.manifest.entity_key)], slot.manifest)
        rows = slot.rows.convert([{**asked, **known.features}])
    except EntityUnknown as error:
        raise errors.entity_unknown(error, headers) from error
    except FeaturesStale as error:
        raise errors.features_stale(error, headers) from error
    except (FeaturesUnavailable, RowsInvalid) as error:
        raise errors.features_unavailable(error, headers) from error
    found = await answering.answer(slot, b"", lambda _: rows, prefix=prefix)
    prediction = EntityPrediction(
        id=found.ids[0],
        probability=found.probabilities[0],
        features=known.features,
        as_of=known.as_of,
        age_seconds=known.age_seconds,
        window=known.window,
    )
    return EntityPredictions(found.request_id, slot.pointer.model_version, slot.pointer.epoch, [prediction])


def demand_json(scope: Scope) -> None:
    """Demands that the body is declared as JSON: what a browser sends without asking first is not."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value == JSON or value.partition(b";")[0].strip().lower() == JSON:
                return
            raise errors.not_json(value.decode("latin-1")[:100])
    raise errors.not_json("")

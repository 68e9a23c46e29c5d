"""`/schema`: the OpenAPI document and its Swagger page, both of the model that is served now.

Litestar makes the document of the routes once; the rows of the served model are laid over a copy of it at each request.
"""

from copy import deepcopy
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.response import File

from serving.routes.feedback import Labels
from serving.schemas import EntityPredictions, Predictions
from serving.slot import Slot
from serving.state import Serving

ASSETS = "/schema/assets"
STYLE, SCRIPT = "swagger-ui.css", "swagger-ui-bundle.js"
MEDIA_TYPES = {STYLE: "text/css", SCRIPT: "text/javascript"}
# Without `validatorUrl: null` the page sends the document's address to validator.swagger.io.
PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Prediction service</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{ASSETS}/{STYLE}">
</head>
<body>
<div id="swagger"></div>
<script src="{ASSETS}/{SCRIPT}"></script>
<script>
SwaggerUIBundle({{url: "/schema/openapi.json", dom_id: "#swagger", deepLinking: true, validatorUrl: null}})
</script>
</body>
</html>
"""


class LiveDocument(JsonRenderPlugin):
    """The OpenAPI document, with the rows of the served model."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(path="/openapi.json")
        self._serving = serving

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Renders Litestar's document, unchanged while no model is served."""
        slot = self._serving.slot
        return self.render_json(request, live_document(openapi_schema, slot))


class SwaggerPage(OpenAPIRenderPlugin):
    """Swagger UI from the installed package; it loads nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__(path=["/swagger", "/"])

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """Renders the page, which fetches the document by itself."""
        return PAGE.encode()


def live_document(document: dict[str, Any], slot: Slot | None) -> dict[str, Any]:
    """A copy of Litestar's document with `/predict` and `/probe`, and with the rows of the model that is served."""
    live = deepcopy(document)
    _lay_predict(live)
    if slot is not None:
        _lay_rows(live, slot)
    live["paths"]["/probe"] = {
        "post": {
            **live["paths"]["/predict"]["post"],
            "operationId": "Probe",
            "summary": "Check the service",
            "description": "As `/predict`, for whoever watches the service: on record, and no row of a window.",
        }
    }
    return live


def _lay_predict(live: dict[str, Any]) -> None:
    """Adds what Litestar leaves out; what goes wrong at `/predict` does as at MLflow's."""
    (answer, labels), components = msgspec.json.schema_components(
        [Predictions, Labels], ref_template="#/components/schemas/{name}"
    )
    live["components"]["schemas"] |= components
    problems = live["paths"]["/invocations"]["post"]["responses"]
    content = {"application/json": {"schema": answer}}
    problems = {**problems, "415": {**problems["415"], "description": "The body is not declared as JSON"}}
    predict = {
        "post": {
            "operationId": "Predict",
            "summary": "Predict one row or a list of rows",
            "description": "A list of 1 to 10,000 rows, or one row alone. The answer has the same shape for both.",
            "requestBody": _json_body({}),
            "responses": {
                **problems,
                "200": {"description": "A probability for each row, in order", "headers": {}, "content": content},
            },
            "deprecated": False,
        }
    }
    live["paths"] = {"/predict": predict, **live["paths"]}  # the page lists them in this order
    feedback = live["paths"]["/feedback"]["post"]
    feedback["requestBody"] = _json_body(labels)
    feedback["responses"] = {**problems, **feedback["responses"]}


def _lay_rows(live: dict[str, Any], slot: Slot) -> None:
    """Lets `/predict` take the rows of this model, with one of its cases as example."""
    entity = slot.rows.entity_type
    asked = [slot.rows.body_type, *([] if entity is None else [entity])]
    given = [Predictions, *([] if entity is None else [EntityPredictions])]
    kinds, components = msgspec.json.schema_components([*asked, *given], ref_template="#/components/schemas/{name}")
    body, answer = ({"anyOf": list(part)} for part in (kinds[: len(asked)], kinds[len(asked) :]))
    examples = {"one row": {"value": slot.example}, "a list of rows": {"value": [slot.example]}}
    live["components"]["schemas"] |= components
    live["paths"]["/predict"]["post"]["requestBody"] = _json_body(body, examples=examples)
    # Of MLflow's forms the one that says what is in it; the route takes the others too.
    records = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1}
    live["paths"]["/invocations"]["post"]["requestBody"] = _json_body(
        {
            "type": "object",
            "properties": {"dataframe_records": records},
            "required": ["dataframe_records"],
            "additionalProperties": False,
        }
    )
    responses = live["paths"]["/predict"]["post"]["responses"]
    responses["200"]["content"]["application/json"]["schema"] = answer
    if entity is not None:
        for status, text in (
            ("404", "No features are known by the entity"),
            ("409", "Its newest features are too old"),
        ):
            responses[status] = {**responses["400"], "description": text}
    live["info"]["description"] = (
        f"Serves {slot.manifest.model_name} version {slot.pointer.model_version}, epoch {slot.pointer.epoch}."
    )


def _json_body(schema: dict[str, Any], **content: Any) -> dict[str, Any]:  # noqa: ANN401 -- whatever OpenAPI has
    return {"required": True, "content": {"application/json": {"schema": schema, **content}}}


def openapi(serving: Serving) -> OpenAPIConfig:
    """The configuration that puts document and page under `/schema`."""
    return OpenAPIConfig(
        title="Prediction service",
        version="1",
        description="No model is served yet.",
        path="/schema",
        render_plugins=[SwaggerPage(), LiveDocument(serving)],
    )


def assets() -> HTTPRouteHandler:
    """The two of Swagger UI's files that the page needs.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    # Found without being imported: it would bring Jinja, for nothing.
    folder = Path(str(distribution("swagger-ui-py").locate_file("swagger_ui/static")))

    @route([f"{ASSETS}/{name}" for name in MEDIA_TYPES], http_method=["GET", "HEAD"], include_in_schema=False)
    async def asset(request: Request[Any, Any, Any]) -> File:
        name = request.url.path.rpartition("/")[2]
        path = folder / name
        return File(path=path, filename=name, media_type=MEDIA_TYPES[name], content_disposition_type="inline")

    return asset

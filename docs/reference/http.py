"""The service's OpenAPI document, as it serves it for the flights, and a page of it."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from litestar.testing import TestClient

from docs.reference.fields import table
from mlops_assets.adapters.release_store import ServedModel, features_of
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.domain.known_cases import as_frame
from serving.app import create_app
from serving.release import Case
from serving.settings import Settings
from tests.unit.serving.bundles import onnx_model, promote, write_bundle

METHODS = ("get", "post")
PAGE = """# HTTP

As the service serves it at `/schema/openapi.json` for the flights: [openapi.json](openapi.json). A service of yours
has your rows in it, and says so at `/schema`. What the protocols, errors and limits mean:
[the service](../concepts/serving.md).

{operations}
## Schemas

{schemas}"""


@cache
def page() -> str:
    """The page's text."""
    document = openapi()
    operations = (
        _operation(path, method, documented[method])
        for path, documented in sorted(document["paths"].items())
        for method in METHODS
        if method in documented
    )
    schemas = (_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return PAGE.format(operations="\n".join(operations), schemas="\n".join(filter(None, schemas)))


def text() -> str:
    """The document as a file."""
    return json.dumps(openapi(), indent=1)


@cache
def openapi() -> dict[str, Any]:
    """What a service with a model of the flights answers; that of a formula, for no answer of it is in the document."""
    dataset = read_dataset(FLIGHTS)
    features, model = features_of(dataset), onnx_model(1, columns=len(dataset.features))
    known = dataset.known_cases[0]
    (score,) = ServedModel(model, features).score(as_frame([known], dataset.features))
    row = {name: known.row.get(name) for name in dataset.features}
    with TemporaryDirectory() as folder:
        releases = Path(folder) / "releases"
        write_bundle(
            releases,
            1,
            features=features,
            model=model,
            cases=[Case(row, float(score))],
            row_id=dataset.row_id,
            context=tuple(dataset.context),
            entity_key=dataset.entity_key,
        )
        promote(releases, 1, epoch=1)
        settings = Settings(releases=releases, state=Path(folder) / "serving", allowed_hosts=("*",))
        with TestClient(create_app(settings)) as client:
            document: dict[str, Any] = client.get("/schema/openapi.json").json()
    return document


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    asked = [
        f"`{media}`: {_kind(content['schema']) or 'any'}"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    rows = [
        (status, response["description"], _answer(response))
        for status, response in sorted(operation["responses"].items())
    ]
    parts = [
        f"## `{method.upper()} {path}`",
        operation.get("summary", ""),
        operation.get("description", ""),
        f"Body: {'; '.join(asked)}" if asked else "",
        table(("status", "when", "answer"), rows),
    ]
    return "\n\n".join(part for part in parts if part)


def _answer(response: Mapping[str, Any]) -> str:
    named = (_kind(content.get("schema", {})) for content in response.get("content", {}).values())
    return ", ".join(dict.fromkeys(filter(None, named))) or "-"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (f"`{key}`", _kind(value), "yes" if key in required else "no", value.get("description", ""))
        for key, value in schema.get("properties", {}).items()
    ]
    said = schema.get("description", "")
    described = table(("field", "takes", "required", "what it is"), rows) if rows else _kind(schema) + "\n"
    return "\n\n".join(part for part in (f"### {name}", said, described) if part)


def _kind(schema: Mapping[str, Any]) -> str:
    """What a schema takes, in words, with a link where it is one of the page's."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        return " or ".join(dict.fromkeys(filter(None, map(_kind, several))))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "")
    if kinds == "array":
        return f"list of {_kind(schema.get('items', {})) or 'any'}"
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return ", ".join([words, *_bounds(schema)]) if words else ""


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "minimum" in schema:
        yield f"at least {schema['minimum']:g}"
    if "maximum" in schema:
        yield f"at most {schema['maximum']:g}"

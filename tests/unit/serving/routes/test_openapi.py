"""Prevents that the document says something else than the service accepts, and that the page needs the internet."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from litestar.testing import TestClient

from serving.app import create_app
from serving.door import Door
from serving.release import Case, Feature
from serving.routes.openapi import live_document
from serving.settings import Settings
from serving.slot import load
from tests.unit.serving.bundles import ROW, eventually, onnx_model, probability, promote, write_bundle


def _document(client: TestClient[Door]) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/schema/openapi.json").json()
    return document


def _body(document: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    return body


def test_without_a_model_the_document_has_no_rows(empty_client: TestClient[Door]) -> None:
    """Prevents an invented row type, and a broken page before the first promotion."""
    document = _document(empty_client)
    assert "Row" not in document["components"]["schemas"]
    assert _body(document) == {"schema": {}}
    assert next(iter(document["paths"])) == "/predict", "what is asked for most is first on the page"


def test_the_document_has_the_rows_of_the_served_model(client: TestClient[Door]) -> None:
    """Prevents that a client must guess names, ranges and categories."""
    document = _document(client)
    row = document["components"]["schemas"]["Row"]
    assert row["required"] == ["hour"]
    assert row["additionalProperties"] is False
    assert (row["properties"]["hour"]["minimum"], row["properties"]["hour"]["maximum"]) == (0, 23)
    assert row["properties"]["dep delay"]["description"] == "Minutes of delay at departure."
    assert {"enum": ["AA", "B6", "ÜA"]} in row["properties"]["carrier"]["anyOf"]
    (rows,) = _body(document)["schema"]["anyOf"]
    assert {"$ref": "#/components/schemas/Row"} in rows["anyOf"]


def test_the_examples_are_answered(client: TestClient[Door]) -> None:
    """Prevents that "Try it out" begins with a 400."""
    for example in _body(_document(client))["examples"].values():
        assert client.post("/predict", json=example["value"]).status_code == 200


def test_the_document_follows_a_swap(releases: Path, client: TestClient[Door]) -> None:
    """Prevents that the rows of an earlier model stay in Litestar's cached document."""
    assert "dep delay" in _document(client)["components"]["schemas"]["Row"]["properties"]
    names = ("delay", "hour of day", "line")
    features = tuple(Feature(name=name, type="float", nullable=False) for name in names)
    row = dict(zip(names, (12.5, 7.0, 1.0), strict=True))
    write_bundle(releases, 2, features=features, model=onnx_model(2), cases=[Case({**row}, probability(ROW, 2))])
    promote(releases, 2, epoch=2)
    eventually(lambda: client.get("/model").json()["model_version"] == 2)
    document = _document(client)
    assert list(document["components"]["schemas"]["Row"]["properties"]) == list(names)
    assert _body(document)["examples"]["one row"]["value"] == row
    assert document["info"]["description"] == "Serves flights version 2, epoch 2."


def test_the_document_of_the_routes_stays_as_it_was(releases: Path, settings: Settings) -> None:
    """Prevents that a model's rows are written into Litestar's cache."""
    document = create_app(settings).litestar.openapi_schema.to_schema()
    before = deepcopy(document)
    pointer = promote(write_bundle(releases, 1).parent, 1, epoch=1)
    assert live_document(document, load(releases, pointer)) != before
    assert document == before


def test_the_page_loads_nothing_from_elsewhere(client: TestClient[Door]) -> None:
    """Prevents an empty page where there is no internet, and that the validator is sent our address."""
    for path in ("/schema", "/schema/swagger"):
        page = client.get(path)
        assert page.status_code == 200
        assert "//" not in re.sub("<!.*?>", "", page.text)
        assert "validatorUrl: null" in page.text
        assets = [client.get(asset) for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text)]
        assert [asset.status_code for asset in assets] == [200, 200]
        # A browser takes no style sheet of another type.
        assert [asset.headers["content-type"].partition(";")[0] for asset in assets] == ["text/css", "text/javascript"]
    assert client.head("/schema/assets/swagger-ui.css").status_code == 200
    assert client.get("/schema/assets/swagger-editor-bundle.js").status_code == 404, "the page does not need it"

"""Prevents that clients of the Open Inference Protocol get other answers, or errors that they cannot read."""

import json
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from serving.door import Door
from tests.unit.serving.bundles import ROW, probability

INFER = "/v2/models/flights/infer"
INPUTS: list[dict[str, Any]] = [
    {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["B6", ""]},
    {"name": "hour", "shape": [2, 1], "datatype": "INT64", "data": [7, 8]},
    {"name": "dep delay", "shape": [2], "datatype": "FP64", "data": [12.5, None]},
]
ANSWERS = [probability(ROW, 1), probability({"hour": 8}, 1)]


def request_of_triton(delays: list[float], **asking: Any) -> tuple[bytes, dict[str, str]]:  # noqa: ANN401
    """Body and headers of Triton's own client, with its inputs in bytes."""
    columns = {"FP32": ("dep delay", np.array(delays, "f4")), "INT64": ("hour", np.array([7] * len(delays)))}
    inputs = []
    for datatype, (name, column) in columns.items():
        inputs.append(InferInput(name, list(column.shape), datatype))
        inputs[-1].set_data_from_numpy(column)
    body, header_length = InferenceServerClient.generate_request_body(inputs, **asking)
    return body, {"Inference-Header-Content-Length": str(header_length)}


def test_rows_are_answered_in_json(client: TestClient[Door]) -> None:
    """By the model that is served, and with the request's id."""
    response = client.post(INFER, json={"id": "7", "inputs": INPUTS})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-model-version"] == "1"
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("flights", "1", "7")
    (output,) = answer["outputs"]
    assert output["data"] == pytest.approx(ANSWERS, abs=1e-6)
    assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP64", [2])


def test_the_answer_is_that_of_predict(client: TestClient[Door]) -> None:
    """To the last bit, also where it comes as bytes."""
    body, headers = request_of_triton([12.5])
    response = client.post(INFER, content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    answer = InferenceServerClient.parse_response_body(
        response.content, header_length=int(response.headers["inference-header-content-length"])
    )
    predicted = client.post("/predict", json={"dep delay": 12.5, "hour": 7}).json()["predictions"]
    assert answer.as_numpy("probability").tolist() == [predicted[0]["probability"]]


def test_many_rows_are_answered_in_a_thread(client: TestClient[Door]) -> None:
    """In their order."""
    delays = [float(delay) for delay in range(5_000)]
    body, headers = request_of_triton(delays, outputs=[InferRequestedOutput("probability", binary_data=False)])
    (output,) = client.post(INFER, content=body, headers=headers).json()["outputs"]
    assert output["data"] == pytest.approx(
        [probability({"dep delay": delay, "hour": 7}, 1) for delay in delays], abs=1e-5
    )


def test_the_served_version_may_be_named(client: TestClient[Door]) -> None:
    """As a client does that must not be answered by another."""
    response = client.post("/v2/models/flights/versions/1/infer", json={"inputs": INPUTS})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/{}", "/v2/models/{}/ready", "/v2/models/{}/infer"])
@pytest.mark.parametrize("model", ["planes", "flights/versions/2", "flights/versions/01", "flights%20", "%FF"])
def test_another_model_or_version_is_not_found(client: TestClient[Door], path: str, model: str) -> None:
    """With what is served instead, where this protocol's clients look for it."""
    address = path.format(model)
    response = client.post(address, json={"inputs": INPUTS}) if "infer" in path else client.get(address)
    assert response.status_code == 404
    problem = response.json()
    assert problem["type"] == "urn:problem-type:not-served"
    assert problem["error"] == problem["detail"]
    assert problem["error"].endswith("is not served; model 'flights' version '1' is")
    assert response.headers["x-model-version"] == "1"


def test_a_version_in_the_query_is_none(client: TestClient[Door]) -> None:
    """Prevents that the path's version can be said in a second place."""
    assert client.get("/v2/models/flights/ready", params={"version": "2"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": [{**INPUTS[1], "data": [7, 24]}]}, "$[1].hour"),
        ({"inputs": [{**INPUTS[1], "name": "late"}]}, "late"),
        ({"inputs": INPUTS[:1]}, "hour"),
        ({"inputs": [{**INPUTS[1], "shape": [10**18]}]}, "$.inputs[0].shape"),
        ({"inputs": INPUTS, "outputs": [{"name": "label"}]}, "label"),
        ({"instances": [ROW]}, "instances"),
    ],
)
def test_rows_that_predict_refuses_are_refused_here(client: TestClient[Door], body: dict[str, Any], said: str) -> None:
    """With the path of the fault: as a problem, and where this protocol's clients look for it."""
    response = client.post(INFER, json=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert said in problem["detail"]
    assert problem["error"] == problem["detail"]


@pytest.mark.parametrize("path", ["/v2/models/flights/config", "/v2/nowhere", "/v2/models/flights/infer"])
def test_what_no_route_takes_is_told_in_the_protocols_form(client: TestClient[Door], path: str) -> None:
    """Prevents that a client fails at reading the error instead of telling it."""
    response = client.get(path)
    assert response.status_code in (404, 405)
    assert response.json()["error"]


@pytest.mark.parametrize("path", ["/nowhere", "/v2x", "/predict"])
def test_other_doors_have_problems_alone(client: TestClient[Door], path: str) -> None:
    """Prevents that one protocol's form spreads to all."""
    assert "error" not in client.get(path).json()


@pytest.mark.parametrize("declared", ["application/json; charset=utf-8", "application/octet-stream", None])
def test_a_body_is_json_bytes_or_undeclared(client: TestClient[Door], declared: str | None) -> None:
    """Triton's own client declares nothing."""
    headers = {} if declared is None else {"content-type": declared}
    response = client.post(INFER, content=json.dumps({"inputs": INPUTS}), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "header", [{"content-type": "text/plain"}, {"content-type": "multipart/form-data"}, {"content-encoding": "gzip"}]
)
def test_another_body_is_refused(client: TestClient[Door], header: dict[str, str]) -> None:
    """A browser's form must not reach the model, and a compressed body is not guessed at."""
    response = client.post(INFER, content=json.dumps({"inputs": INPUTS}), headers=header)
    assert response.status_code == 415
    assert next(iter(header.values())) in response.json()["error"]


def test_the_service_and_the_model_describe_themselves(client: TestClient[Door]) -> None:
    """A client that follows the description is answered."""
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]
    metadata = client.get("/v2/models/flights/versions/1").json()
    assert metadata == client.get("/v2/models/flights").json()
    assert (metadata["name"], metadata["versions"]) == ("flights", ["1"])
    values = {"FP32": 12.5, "INT64": 7, "BYTES": "B6"}
    inputs = [{**given, "shape": [1], "data": [values[given["datatype"]]]} for given in metadata["inputs"]]
    (output,) = client.post(INFER, json={"inputs": inputs}).json()["outputs"]
    assert output["data"] == pytest.approx([probability(ROW, 1)], abs=1e-6)
    assert {key: output[key] for key in ("name", "datatype")} == {
        key: metadata["outputs"][0][key] for key in ("name", "datatype")
    }


def test_answers_are_counted_by_route(client: TestClient[Door]) -> None:
    """Prevents a series for every model that a client makes up."""
    client.post(INFER, json={"inputs": INPUTS})
    for made_up in range(3):
        client.get(f"/v2/models/{made_up}/ready")
    metrics = client.get("/metrics").text
    assert 'serving_requests_total{route="/v2/models/{name}/infer",status="200"} 1.0' in metrics
    assert 'serving_requests_total{route="/v2/models/{name}/ready",status="404"} 3.0' in metrics
    assert "serving_rows_total 2.0" in metrics


def test_the_document_has_the_errors_of_these_routes(client: TestClient[Door]) -> None:
    """Prevents that a client is surprised by a status."""
    paths = client.get("/schema/openapi.json").json()["paths"]
    infer = paths["/v2/models/{name}/versions/{version}/infer"]["post"]
    assert infer["responses"].keys() >= {"200", "400", "404", "415", "500", "503"}
    assert {parameter["name"] for parameter in infer["parameters"]} == {"name", "version"}


def test_without_a_model_it_says_so(empty_client: TestClient[Door]) -> None:
    """A client that waits for readiness waits for the first release; the service itself lives."""
    assert empty_client.get("/v2/health/live").status_code == 200
    assert empty_client.get("/v2").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/flights", "/v2/models/flights/ready"):
        assert empty_client.get(path).status_code == 503
    response = empty_client.post(INFER, json={"inputs": INPUTS})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "no release" in response.json()["error"]


def test_with_a_model_it_is_ready(client: TestClient[Door]) -> None:
    """The service, and the served version alone."""
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/flights/ready",
        "/v2/models/flights/versions/1/ready",
    ):
        assert client.get(path).status_code == 200

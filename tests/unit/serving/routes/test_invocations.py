"""Prevents that clients of MLflow get other answers, other refusals or other statuses than those of `/predict`."""

from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from serving.app import create_app
from serving.door import Door
from serving.settings import Settings
from tests.unit.serving.bundles import ROW, probability

SPLIT = {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}}
CSV = "dep delay,hour,carrier\n12.5,7,B6\n"


def test_rows_are_answered_with_both_probabilities(client: TestClient[Door]) -> None:
    """In the shape of `mlflow models serve`, by the model that is served."""
    response = client.post("/invocations", json=SPLIT)
    assert response.status_code == 200
    assert response.headers["x-model-version"] == "1"
    ((false, true),) = response.json()["predictions"]
    assert true == pytest.approx(probability(ROW, 1), abs=1e-6)
    assert false + true == pytest.approx(1)


def test_csv_and_json_are_answered_alike(client: TestClient[Door]) -> None:
    """And as `/predict` answers."""
    by_csv = client.post("/invocations", content=CSV, headers={"content-type": "text/csv; charset=utf-8"})
    by_json = client.post("/invocations", json=SPLIT)
    predicted = client.post("/predict", json=ROW)
    assert by_csv.json() == by_json.json()
    assert by_json.json()["predictions"][0][1] == predicted.json()["predictions"][0]["probability"]


def test_many_rows_are_answered_in_a_thread(client: TestClient[Door]) -> None:
    """In their order."""
    rows = [{**ROW, "hour": hour % 24} for hour in range(2_000)]
    answers = client.post("/invocations", json={"dataframe_records": rows}).json()["predictions"]
    assert [true for _, true in answers] == pytest.approx([probability(row, 1) for row in rows], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dataframe_records": [{**ROW, "hour": 24}]}, "$[0].hour"),
        ({"dataframe_records": [{**ROW, "carrier": "ZZ"}]}, "$[0].carrier"),
        ({"dataframe_records": [{**ROW, "late": True}]}, "late"),
        ({"dataframe_records": [{"carrier": "B6"}]}, "hour"),
        ({"dataframe_records": []}, "length"),
        ({"rows": [ROW]}, "is an object with one of"),
    ],
)
def test_rows_that_predict_refuses_are_refused_here(client: TestClient[Door], body: dict[str, Any], said: str) -> None:
    """With the path of the fault, as a problem."""
    response = client.post("/invocations", json=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert said in response.json()["detail"]


def test_another_content_type_is_refused(client: TestClient[Door]) -> None:
    """A browser's form must not reach the model."""
    assert client.post("/invocations", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415


def test_ping_and_version_answer_as_mlflows(client: TestClient[Door]) -> None:
    """Its client waits for the one, and may ask for the other."""
    assert (client.get("/ping").status_code, client.get("/ping").text) == (200, "\n")
    assert client.get("/version").text == "3"


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    """A client that waits for `/ping` waits for the first release."""
    with TestClient(
        create_app(Settings(releases=tmp_path, state=tmp_path / "serving", allowed_hosts=("*",)))
    ) as client:
        assert client.get("/ping").status_code == 503
        response = client.post("/invocations", json=SPLIT)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"

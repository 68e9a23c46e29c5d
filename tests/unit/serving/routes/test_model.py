"""Prevents that an operator cannot tell what is served, or why a promoted release is not."""

from pathlib import Path

from litestar.testing import TestClient

from serving.door import Door
from serving.release import MODEL
from tests.unit.serving.bundles import change_byte, eventually, publish


def test_without_a_model_all_is_null(empty_client: TestClient[Door]) -> None:
    """Prevents an error where an operator looks why nothing is served."""
    response = empty_client.get("/model")
    assert response.status_code == 200
    answer = response.json()
    assert answer.pop("ready") is False
    (worker,) = answer.pop("workers")
    assert (worker["model_version"], worker["epoch"], answer.pop("expected_workers")) == (None, None, 1)
    assert set(answer.values()) == {None}


def test_the_served_model_is_described(client: TestClient[Door]) -> None:
    """Prevents that a field is left out or comes from another release."""
    answer = client.get("/model").json()
    assert answer["ready"] is True
    assert (answer["model_name"], answer["model_version"], answer["epoch"]) == ("flights", 1, 1)
    assert answer["metrics"] == {"auc": 0.7}
    assert answer["training_windows"] == [{"window": "2013-01", "data_version": "abc"}]
    assert [feature["name"] for feature in answer["features"]] == ["dep delay", "hour", "carrier"]
    assert answer["promoted_at"] == "2013-02-01T00:00:00+00:00"
    assert answer["promoted_by"] == "production_model"
    assert answer["loaded_at"]
    assert answer["refused"] is None


def test_a_refused_release_is_named_beside_the_served_one(releases: Path, client: TestClient[Door]) -> None:
    """Prevents that a promotion that is not served goes unexplained."""
    change_byte(publish(releases, 2) / MODEL)
    eventually(lambda: client.get("/model").json()["refused"])
    answer = client.get("/model").json()
    assert answer["model_version"] == 1
    assert (answer["refused"]["model_version"], answer["refused"]["epoch"]) == (2, 2)
    assert "model.onnx" in answer["refused"]["reason"]

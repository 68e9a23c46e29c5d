"""Prevents that traffic is sent to a service without a model, or that such a service is restarted for it."""

from pathlib import Path

from litestar.testing import TestClient

from serving.door import Door
from serving.release import MODEL
from tests.unit.serving.bundles import change_byte, eventually, publish


def test_live_before_the_first_promotion_and_ready_by_itself_after(
    releases: Path, empty_client: TestClient[Door]
) -> None:
    """Prevents that the first promotion needs a restart, or that its absence causes one."""
    assert empty_client.get("/health/live").status_code == 200
    response = empty_client.get("/health/ready")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    publish(releases, 1)
    eventually(lambda: empty_client.get("/health/ready").status_code == 200)


def test_ready_at_once_when_a_release_is_there_and_still_after_a_refusal(
    releases: Path, client: TestClient[Door]
) -> None:
    """Prevents that a restart begins with 503, and that a bad release ends the traffic of a good one."""
    ready = {"ready": True, "model_version": 1, "epoch": 1}
    assert client.get("/health/ready").json() == ready
    change_byte(publish(releases, 2) / MODEL)
    eventually(lambda: client.get("/model").json()["refused"])
    assert client.get("/health/ready").json() == ready

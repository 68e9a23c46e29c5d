"""The whole circle with a real service: trained, served over HTTP, recorded, and landed as the next window."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from tests.end_to_end.service_process import environment
from tests.integration.conftest import Loop
from tests.integration.test_prediction_log import reported, run
from tests.unit.serving.bundles import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]


def test_what_is_asked_today_is_learned_from_tomorrow(loop: Loop) -> None:
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    random = np.random.default_rng(3)
    rows: list[dict[str, Any]] = [
        {
            "visit": f"live-{number}",
            "customer": f"customer-{number % 400}",
            "price": float(price),
            "visits": number % 9,
            "shop": "north",
        }
        for number, price in enumerate(random.normal(3, 1, 1000))
    ]
    truths = [{"id": row["visit"], "label": bool(row["price"] > random.normal(3, 0.5))} for row in rows]
    began = datetime.now(UTC)
    port = loop.settings.service_port
    served = environment(loop.settings.releases, loop.settings.state / "serving", port)
    service = subprocess.Popen([sys.executable, "-m", "serving"], env=served, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            eventually(lambda: _is_ready(client), seconds=30)
            answers = [client.post("/predict", json=row) for row in rows[:200]]  # one by one, and as a batch
            answers.append(client.post("/predict", json=rows[200:]))
            assert {answer.status_code for answer in answers} == {200}
            assert client.post("/feedback", json=truths).json() == {"recorded": 1000}
            assert len(client.get("/model").json()["workers"]) == 1
    finally:
        service.terminate()
        service.wait()

    period = {"since": began.isoformat(), "until": datetime.now(UTC).isoformat()}
    assert reported(run(loop, "prediction_log_job"), "prediction_log")["rows"] == 1000
    made = reported(run(loop, "prediction_window_job", **period, name="2024-02"), "prediction_window")
    assert (made["window"], made["written"], made["labelled"]) == ("2024-02", 1000, 1000)
    checks = loop.ingest("2024-02").get_asset_check_evaluations()
    assert all(check.passed for check in checks)
    assert loop.reported("drift_report", "2024-02")["decision"] == "trained"
    assert loop.train("2024-02").success


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False

"""The real process on loopback. Prevents what shows only there: requests lost at a swap, a process that never ends."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest

from serving.release import MODEL
from tests.end_to_end.conftest import Start
from tests.unit.serving.bundles import ROW, change_byte, eventually, probability, promote, publish, write_bundle

pytestmark = pytest.mark.end_to_end


def test_becomes_ready_by_itself_when_the_first_release_appears(releases: Path, start: Start) -> None:
    """Prevents that the service must be started after the first promotion, or again for it."""
    service = start()
    assert service.status("/health/ready") == 503
    assert service.client.post("/predict", json=ROW).status_code == 503
    publish(releases, 1)
    eventually(lambda: service.status("/health/ready") == 200)
    version, answer = service.predict()
    assert version == 1
    assert answer == pytest.approx(probability(ROW, 1), abs=1e-6)


def test_no_request_fails_or_mixes_models_during_swaps(releases: Path, start: Start) -> None:
    """Prevents lost requests at a promotion, and the number of one model beside the answer of another."""
    publish(releases, 1)
    write_bundle(releases, 2)
    service = start()
    done = Event()

    def ask() -> list[tuple[int, float]]:
        answers = []
        with httpx.Client(base_url=service.client.base_url, timeout=5) as client:
            while not done.is_set():
                answers.append(replace(service, client=client).predict())
        return answers

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        try:
            for epoch in range(2, 12):
                version = 2 - epoch % 2
                promote(releases, version, epoch=epoch)
                eventually(partial(service.serves, version, epoch))
        finally:
            done.set()
        answers = [answer for thread in asking for answer in thread.result()]
    assert {version for version, _ in answers} == {1, 2}
    for version, answer in answers:
        assert answer == pytest.approx(probability(ROW, version), abs=1e-6)


def test_a_corrupted_release_leaves_the_old_one_answering(releases: Path, start: Start) -> None:
    """Prevents that a damaged copy takes the service down, or is served."""
    publish(releases, 1)
    service = start()
    bundle = write_bundle(releases, 2)
    change_byte(bundle / MODEL)
    promote(releases, 2, epoch=2)
    eventually(lambda: service.client.get("/model").json()["refused"])
    assert service.predict()[0] == 1
    assert service.status("/health/ready") == 200


def test_sigterm_ends_it_even_while_a_client_holds_on(releases: Path, start: Start) -> None:
    """Prevents that a deploy waits for a client which never finishes its request."""
    publish(releases, 1)
    service = start()
    with socket.create_connection((service.client.base_url.host, service.client.base_url.port or 0)) as slow:
        slow.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        service.predict()
        service.process.terminate()
        service.process.wait(timeout=5)


def test_answers_soon_after_a_kill(releases: Path, start: Start) -> None:
    """Prevents that a crash leaves something behind that keeps the next process from serving."""
    publish(releases, 1)
    service = start()
    service.process.kill()
    service.process.wait(timeout=5)
    assert start().predict()[0] == 1


def test_mlflows_own_client_is_answered(start: Start, releases: Path) -> None:
    """Whoever asked `mlflow models serve` changes the address and nothing else: nulls as pandas has them, too."""
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    publish(releases, 1)
    service = start()
    made_by: Any = ScoringServerClient  # which has no types
    client = made_by(service.client.base_url.host, service.client.base_url.port)
    client.wait_server_ready(timeout=20)
    rows = [ROW, {**ROW, "dep delay": None}, {**ROW, "carrier": None}]
    answered = client.invoke(pd.DataFrame(rows)).get_predictions()
    assert answered[1].tolist() == pytest.approx([probability(row, 1) for row in rows], abs=1e-6)
    assert client.get_version() == "3"


@pytest.fixture
def triton(start: Start, releases: Path) -> Iterator[Any]:
    """Triton's own client of a service that serves version 1."""
    from tritonclient.http import InferenceServerClient

    publish(releases, 1)
    address = start().client.base_url
    with InferenceServerClient(f"{address.host}:{address.port}") as client:
        yield client


@pytest.mark.parametrize("as_bytes", [True, False])
def test_tritons_own_client_is_answered(triton: Any, as_bytes: bool) -> None:  # noqa: ANN401 -- it has no types
    """Whoever asked Triton or KServe changes the address and nothing else: in bytes, in JSON, and in both."""
    from tritonclient.http import InferInput, InferRequestedOutput

    rows = [ROW, {**ROW, "dep delay": None}, {**ROW, "carrier": None}]
    columns = {
        "dep delay": np.array([12.5, np.nan, 12.5], "f4"),
        "hour": np.array([[7], [7], [7]]),
        "carrier": np.array(["B6", "B6", ""], "O"),
    }
    declared = {tensor["name"]: tensor["datatype"] for tensor in triton.get_model_metadata("flights")["inputs"]}
    inputs = [InferInput(name, column.shape, declared[name]) for name, column in columns.items()]
    outputs = [InferRequestedOutput("probability", binary_data=as_bytes)]
    for mixed in (False, True):
        for position, (tensor, column) in enumerate(zip(inputs, columns.values(), strict=True)):
            tensor.set_data_from_numpy(column, binary_data=as_bytes != (mixed and position == 1))
        for asked in (outputs, None):
            answer = triton.infer("flights", inputs, model_version="1", outputs=asked, request_id="7")
            assert answer.as_numpy("probability") == pytest.approx([probability(row, 1) for row in rows], abs=1e-6)
            assert (answer.get_response()["id"], answer.get_response()["model_version"]) == ("7", "1")


def test_tritons_own_client_sees_what_is_ready_and_reads_the_errors(triton: Any) -> None:  # noqa: ANN401 -- as above
    """Prevents that it fails at the answer where it should tell what is wrong."""
    from tritonclient.http import InferInput
    from tritonclient.utils import InferenceServerException

    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("flights")
    assert triton.is_model_ready("flights", "1")
    assert not triton.is_model_ready("flights", "2")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    hour = InferInput("hour", [1], "INT64").set_data_from_numpy(np.array([24]))
    with pytest.raises(InferenceServerException, match=r"^\[400\] Expected `int` <= 23 - at `\$\[0\]\.hour`$"):
        triton.infer("flights", [hour])
    with pytest.raises(
        InferenceServerException, match=r"^\[404\] model 'planes' is not served; model 'flights' .* is$"
    ):
        triton.infer("planes", [hour])
    with pytest.raises(InferenceServerException, match=r"^\[415\] content encoding is 'gzip'; send it as it is$"):
        triton.infer("flights", [hour], request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match=r"^\[404\] Not Found$"):
        triton.get_model_config("flights")

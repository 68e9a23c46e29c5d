"""The service against broken clients, full disks and hostile bytes, with a real process."""

import asyncio
import json
import random
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.keys import create
from serving.release import Case
from tests.end_to_end.conftest import Start
from tests.end_to_end.load import BODY, PREDICT, Load, request
from tests.end_to_end.service_process import environment
from tests.unit.serving.bundles import ROW, eventually, promote, publish, write_bundle

pytestmark = pytest.mark.end_to_end


def _exchange(port: int, sent: bytes, *, seconds: float = 10, ends: bool = False) -> bytes:
    """What is answered until the service closes, or has said nothing for a while; `ends` says that no more comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with suppress(OSError):
            connection.sendall(sent)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(OSError):
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


def test_slow_clients_are_let_go_and_the_others_answered(releases: Path, start: Start) -> None:
    """Prevents that some hundred sleeping clients take the service from all (rows 43 and 45)."""
    publish(releases, 1)
    service = start(read_seconds="2")
    beginnings = [
        b"",
        b"POST /pre",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n1",
    ]

    async def sleep(beginning: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(beginning)
        answer = await asyncio.wait_for(reader.read(), 15)
        writer.close()
        return answer

    async def both() -> tuple[list[bytes], Load]:
        load = Load(service.port)
        asking = asyncio.create_task(load.run(4, pause=0.02))
        answers = await asyncio.gather(*(sleep(beginning) for beginning in beginnings for _ in range(40)))
        load.done.set()
        await asking
        return answers, load

    answers, load = asyncio.run(both())
    assert {answer.split(b"\r\n")[0] for answer in answers[120:160]} == {b"HTTP/1.1 408 Request Timeout"}
    assert load.failures == []
    assert load.statuses.keys() == {200}


def test_a_client_that_takes_no_answer_is_let_go(releases: Path, start: Start) -> None:
    """Prevents that answers nobody reads fill the memory."""
    publish(releases, 1)
    service = start(read_seconds="1")
    process = psutil.Process(service.process.pid)
    body = b"[" + b",".join([BODY] * 5000) + b"]"
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", service.port))
        reader.settimeout(1)
        with suppress(TimeoutError):  # as soon as the service takes no more, there are answers that wait
            for _ in range(50):
                reader.sendall(request("/predict", body))
        own = reader.getsockname()[1]
        eventually(lambda: own not in _peers(process), seconds=15)
    assert service.predict()[0] == 1


def _peers(process: psutil.Process) -> set[int]:
    return {found.raddr.port for found in process.net_connections("tcp") if found.raddr}


def test_clients_that_hang_up_leave_nothing_behind(releases: Path, start: Start) -> None:
    """Prevents leaked descriptors, and a traceback for each closed browser (row 44)."""
    publish(releases, 1)
    service = start()
    process = psutil.Process(service.process.pid)
    service.predict()
    before = process.num_fds()
    for number in range(500):
        connection = socket.create_connection(("127.0.0.1", service.port))
        connection.sendall(PREDICT[: random.randint(1, len(PREDICT))] if number % 2 else PREDICT)  # noqa: S311
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST at close
        connection.close()
    eventually(lambda: process.num_fds() <= before + 2)
    assert service.predict()[0] == 1
    assert "Traceback" not in service.output.read_text()


def _raw(body: bytes, *headers: str, method: str = "POST", path: str = "/predict") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


def _corpus() -> Iterator[tuple[bytes, set[int]]]:
    """Requests and what may be answered; none stands for a connection that is closed (rows 40 to 42)."""
    json_type = "Content-Type: application/json"

    def sized(body: bytes) -> bytes:
        return _raw(body, json_type, f"Content-Length: {len(body)}")

    row = json.dumps(ROW)
    for body in (
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[null]",
        b"\x00",
        b"\xff\xfe{",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"NaN",
        row.replace("12.5", "NaN").encode(),
        row.replace("12.5", "Infinity").encode(),
        row.replace("12.5", "1e999").encode(),
        row.replace("12.5", "1e300").encode(),
        row.replace("12.5", '"1"').encode(),
        row.replace("12.5", "true").encode(),
        row.replace("7", "1" + "0" * 400).encode(),
        row.replace("7", "7.5").encode(),
        row.replace("B6", "ZZ").encode(),
        row.replace("B6", "\\ud800").encode(),
        row.replace('"hour": 7, ', "").encode(),
        row.replace("{", '{"unknown": 1, ').encode(),
        row.encode()[:-1],
        row.encode() + b"x",
        b" " * 1_000_000 + b"{",
    ):
        yield sized(body), {400}
    yield sized(row.replace("{", '{"hour": 3, ').encode()), {200, 400}  # a key twice
    yield _raw(row.encode(), "Content-Type: text/plain", f"Content-Length: {len(row)}"), {415}
    yield _raw(row.encode(), f"Content-Length: {len(row)}"), {415}
    yield _raw(b"x", json_type, "Content-Length: 99999999999"), {413}
    yield _raw(b"x", json_type, "Content-Length: -1"), {400}
    yield _raw(b"x", json_type, "Content-Length: 1", "Content-Length: 2"), {400}
    yield _raw(b"x", json_type, "Content-Length: 1", "Transfer-Encoding: chunked"), {400}
    yield _raw(b"1\r\n{\r\n" * 1000 + b"0\r\n\r\n", json_type, "Transfer-Encoding: chunked"), {400}
    yield _raw(b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n", json_type, "Transfer-Encoding: chunked"), {400, 408, 413}
    yield _raw(b"10000\r\n" + b" " * 0x10000 + b"\r\n" * 1, json_type, "Transfer-Encoding: chunked"), {400, 408, 413}
    many = b"".join(b"100000\r\n" + b" " * 0x100000 + b"\r\n" for _ in range(12)) + b"0\r\n\r\n"
    yield _raw(many, json_type, "Transfer-Encoding: chunked"), {413}
    yield _raw(b"\x1f\x8b\x08", json_type, "Content-Encoding: gzip", "Content-Length: 3"), {415}
    yield _raw(b"", "X: " + "a" * 200_000), {400, 401, 404, 405, 415, 431}
    yield _raw(b"", *(f"X{n}: y" for n in range(5000))), {400, 404, 405, 415, 431}
    yield _raw(b"", method="GET", path="/" + "a" * 60_000), {400, 404, 414}
    for path in ("/%00", "/%ff", "/..%2f..%2fetc/passwd", "//model", "/model?x=%ff", "/schema/assets/..%2f..%2fx"):
        yield _raw(b"", method="GET", path=path), {200, 400, 404}
    for method in ("DELETE", "TRACE", "CONNECT", "PATCH", "FOO"):
        yield _raw(b"", method=method), {400, 404, 405, 415}
    yield b"\x00" * 100, {400}
    yield b"GET / HTTP/9.9\r\n\r\n", {400, 505, 404}
    yield b"\x16\x03\x01\x02\x00", {400}
    yield b"POST /predict HTTP/1.0\r\n\r\n", {400, 415}
    yield _raw(b"", "Upgrade: websocket", "Connection: Upgrade", method="GET", path="/model"), {200, 400, 426}


def test_hostile_bytes_are_answered_with_the_clients_fault(releases: Path, start: Start) -> None:
    """Prevents a 500, a hang or a death by something that a client sends."""
    publish(releases, 1)
    service = start(read_seconds="2")
    before = psutil.Process(service.process.pid).memory_info().rss
    for sent, allowed in _corpus():
        answer = _exchange(service.port, sent)
        status = int(answer.split(b" ", 2)[1]) if answer else None
        assert status in allowed, (sent[:200], answer[:300])
        for inside in (b"Traceback", b"site-packages", b"/tmp", b'File "', b"\r\nserver:", b"uvicorn"):
            assert inside not in answer
    assert service.predict()[0] == 1
    assert "Traceback" not in service.output.read_text()
    assert psutil.Process(service.process.pid).memory_info().rss - before < 100 * 2**20


@pytest.mark.parametrize("requests", [1500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_no_mutation_of_a_request_is_a_fault_of_the_service(releases: Path, start: Start, requests: int) -> None:
    """Prevents a 500 by bytes that nobody thought of; the seed is fixed, so a fault can be seen again."""
    publish(releases, 1)
    service = start(read_seconds="1")
    chance = random.Random(6)  # noqa: S311 -- not for secrets
    doors = [
        PREDICT,
        request("/invocations", json.dumps({"instances": [ROW]}).encode()),
        request("/feedback", b'{"id": "a", "label": true}'),
    ]
    for _ in range(requests):
        sent = bytearray(chance.choice(doors))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(sent))
            match chance.randrange(3):
                case 0:
                    sent[at] = chance.randrange(256)
                case 1:
                    del sent[at : at + chance.randint(1, 9)]
                case _:
                    sent[at:at] = chance.randbytes(chance.randint(1, 9))
            if not sent:
                break
        answer = _exchange(service.port, bytes(sent), seconds=5, ends=True)
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
        assert status < 500, bytes(sent)
    assert service.predict()[0] == 1
    assert "Traceback" not in service.output.read_text()


def test_a_full_disk_refuses_what_it_cannot_record_and_recovers(releases: Path, start: Start) -> None:
    """Prevents answers without a record, and a restart for room on the disk (row 47)."""
    publish(releases, 1)
    service = start()
    service.predict()
    service.limit_files(2000)
    statuses = [service.client.post("/predict", json=ROW) for _ in range(30)]
    refused = [answer for answer in statuses if answer.status_code != 200]
    assert refused
    assert {(answer.status_code, answer.json()["type"]) for answer in refused} == {
        (503, "urn:problem-type:cannot-record")
    }
    assert service.status("/health/ready") == 503
    assert service.status("/health/live") == 200
    service.limit_files(None)
    eventually(lambda: service.status("/health/ready") == 200)
    service.predict()
    answered = 2 + len(statuses) - len(refused)
    assert len(service.recorded()) == answered


def test_a_full_disk_may_be_answered_and_counted_instead(releases: Path, start: Start) -> None:
    """Prevents that whoever prefers answers to records gets neither, or does not see how many are missing."""
    publish(releases, 1)
    service = start(log_full="serve-and-count")
    service.limit_files(0)
    for _ in range(5):
        service.predict()
    assert service.status("/health/ready") == 200
    assert "serving_unrecorded_rows_total 5.0" in service.client.get("/metrics").text


def test_running_out_of_descriptors_ends_nothing(releases: Path, start: Start) -> None:
    """Prevents that a flood of connections ends the service (row 51)."""
    publish(releases, 1)
    service = start(read_seconds="1")
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    held = []
    for _ in range(100):
        with suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", service.port), timeout=2))
    for connection in held:
        connection.close()
    eventually(lambda: service.status("/health/live") == 200, seconds=20)
    assert service.predict()[0] == 1


def test_it_listens_on_loopback_alone(releases: Path, start: Start) -> None:
    """Prevents a service that is open to the network because nobody said otherwise (S1)."""
    publish(releases, 1)
    service = start()
    listening = [
        found.laddr
        for process in service.processes()
        for found in process.net_connections()
        if found.status == "LISTEN"
    ]
    assert [address.ip for address in listening] == ["127.0.0.1"]


@pytest.mark.parametrize("keys", [None, "[]"])
def test_a_public_address_needs_keys(tmp_path: Path, keys: str | None) -> None:
    """Prevents an open service on the network (S1)."""
    settings = {"host": "0.0.0.0"}  # noqa: S104 -- what must be refused
    if keys is not None:
        (tmp_path / "keys.json").write_text(keys)
        settings["keys"] = str(tmp_path / "keys.json")
    refused = subprocess.run(
        [sys.executable, "-m", "serving"],
        env=environment(tmp_path, tmp_path, 1, **settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "there are no keys. Make one with `python -m serving.keys create" in refused.stderr


def test_a_key_is_seen_neither_in_its_output_nor_in_its_arguments(releases: Path, start: Start, tmp_path: Path) -> None:
    """Prevents that a key is read by whoever may list processes or read logs (S3)."""
    publish(releases, 1)
    secret = create(tmp_path / "keys.json", "all", ["admin"], days=None)
    service = start(keys=str(tmp_path / "keys.json"), log_level="debug")
    headers = {"Authorization": f"Bearer {secret}"}
    assert service.client.post("/predict", json=ROW, headers=headers).status_code == 200
    assert service.client.post("/predict", json={"x": 1}, headers=headers).status_code == 400
    assert service.client.get("/model", headers={"Authorization": secret}).status_code == 401
    assert secret not in service.output.read_text()
    for process in service.processes():
        assert secret not in " ".join(process.cmdline())
        assert secret not in str(process.environ())


def test_it_has_loaded_nothing_that_unpickles(releases: Path) -> None:
    """Prevents that a model file can run code (S10)."""
    publish(releases, 1)
    code = (
        "import sys; from pathlib import Path; from serving.release import read_pointer; from serving.slot import load;"
        "import serving.app, serving.server; releases = Path(sys.argv[1]); load(releases, read_pointer(releases));"
        "print(sorted({'cloudpickle', 'joblib', 'skops', 'sklearn', 'mlflow', 'dagster', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code, str(releases)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_answered_row_is_on_the_disk_first_where_that_is_asked(releases: Path, start: Start) -> None:
    """Prevents that the strictest setting answers before, or not at all."""
    publish(releases, 1)
    service = start(log_sync_seconds="0")

    async def ask() -> Load:
        load = Load(service.port)
        asking = asyncio.create_task(load.run(16))
        await asyncio.sleep(1)
        load.done.set()
        await asking
        return load

    load = asyncio.run(ask())
    assert load.statuses.keys() == {200}
    assert len(service.recorded()) == len(load.answers)


def test_requests_one_after_another_on_one_connection_are_all_answered(releases: Path, start: Start) -> None:
    """Prevents that answers written together get lost or change places; clients may send before they are answered."""
    publish(releases, 1)
    service = start()

    async def ask() -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        head = b"HEAD /model HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        writer.write(
            PREDICT + head + PREDICT + b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
        return [int(part.split(b" ")[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]

    statuses = asyncio.run(ask())
    assert len(statuses) == 4
    assert statuses == [200, 405, 200, 404]


def test_a_client_that_waits_to_be_told_to_send_is_told(releases: Path, start: Start) -> None:
    """Prevents that `Expect: 100-continue`, which curl sends with a large body, waits until it is given up."""
    publish(releases, 1)
    service = start()
    head, body = request("/predict", headers="Expect: 100-continue\r\n").split(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def spinning_model() -> bytes:
    """Adds up the first feature one by one, so a request says itself how long the model takes: 1e12 is for days."""
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["go on"], ["still"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ],
    )
    constants = {
        "none": np.float32(0),
        "first": np.int64(0),
        "half": np.full((1, 2), 0.5, np.float32),
        "zero": np.zeros(1, np.float32),
        "yes": np.bool_(True),
    }
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["features"], ["missing"]),
            helper.make_node("Where", ["missing", "zero", "features"], ["filled"]),
            helper.make_node("ReduceMax", ["filled"], ["largest"], keepdims=0),
            helper.make_node("Cast", ["largest"], ["steps"], to=TensorProto.INT64),
            helper.make_node("Loop", ["steps", "yes", "none"], ["nothing"], body=step),
            helper.make_node("Gather", ["filled", "first"], ["column"], axis=1),
            helper.make_node("Unsqueeze", ["column", "axis"], ["columns"]),
            helper.make_node("Mul", ["columns", "zero"], ["zeros"]),
            helper.make_node("Add", ["zeros", "nothing"], ["more zeros"]),
            helper.make_node("Add", ["more zeros", "half"], ["probabilities"]),
        ],
        "spinning",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
        + [numpy_helper.from_array(np.ones(1, np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def test_a_worker_that_is_stuck_in_its_model_ends_itself_and_another_answers(releases: Path, start: Start) -> None:
    """Prevents that one row which a model cannot bear takes the service from all, health included (row 49)."""
    write_bundle(releases, 1, model=spinning_model(), cases=[Case(ROW, 0.5)])
    promote(releases, 1, epoch=1)
    service = start(stuck_seconds="1", workers="2")
    eventually(lambda: service.serves(1, 1))
    assert service.predict() == (1, 0.5)
    before = {worker["pid"] for worker in service.model()["workers"]}
    with pytest.raises(httpx.TransportError):
        service.client.post("/predict", json={**ROW, "dep delay": 1e12}, timeout=20)
    eventually(lambda: service.serves(1, 1) and {one["pid"] for one in service.model()["workers"]} != before)
    assert service.predict() == (1, 0.5)
    assert "Timeout (0:00:01)!" in service.output.read_text(), "where it was stuck is told"


def test_the_log_is_for_its_owner_alone(releases: Path, start: Start) -> None:
    """Prevents that the log, with what was asked, is open to all."""
    publish(releases, 1)
    service = start()
    service.predict()
    for path in (service.state / "log").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert (service.state / "log").stat().st_mode & 0o077 == 0

"""The service under load, with a real process: nothing that was asked is lost, mixed up or left behind.

Each has a short form for every run and a long one for `make soak`.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.load import BODY, PREDICT, READY, Answered, Connection, Load, request
from tests.end_to_end.service_process import Service
from tests.unit.serving.bundles import ROW, eventually, probability, promote, publish, write_bundle

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]
soak = pytest.mark.soak


def _under(load: Load, clients: int, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Runs a load, and something else beside it, which ends it."""

    async def both() -> None:
        asking = asyncio.create_task(load.run(clients))
        try:
            await meanwhile()
        finally:
            load.done.set()
            await asyncio.wait_for(asking, 60)

    asyncio.run(both())


async def _until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.05)


async def _answered(load: Load, more: int) -> None:
    wanted = len(load.answers) + more
    async with asyncio.timeout(60):
        while len(load.answers) < wanted:
            await asyncio.sleep(0.01)


def _demand_each_answer_is_its_models(answers: list[Answered]) -> None:
    expected = {version: probability(ROW, version) for version in (1, 2)}
    for answer in answers:
        said = answer.json
        assert answer.headers["x-model-version"] == str(said["model_version"])
        value = said["predictions"][0]["probability"]
        assert value == pytest.approx(expected[said["model_version"]], abs=1e-6)


@pytest.mark.parametrize(
    ("clients", "swaps", "workers"), [(200, 4, 1), (50, 4, 2), pytest.param(1000, 20, 1, marks=soak)]
)
def test_swaps_lose_no_request_and_mix_no_models(
    releases: Path, start: Start, clients: int, swaps: int, workers: int
) -> None:
    """Prevents a failed request at a promotion, and the number of one model beside the answer of another."""
    publish(releases, 1)
    write_bundle(releases, 2)
    service = start(workers=str(workers))
    load = Load(service.port)

    async def swap() -> None:
        await _answered(load, clients)
        for epoch in range(2, 2 + swaps):
            version = 2 - epoch % 2
            promote(releases, version, epoch=epoch)
            await _until(lambda version=version, epoch=epoch: service.serves(version, epoch))  # type: ignore[misc]
            await _answered(load, clients)

    _under(load, clients, swap)
    assert load.failures == []
    assert load.statuses.keys() == {200}
    assert {answer.json["model_version"] for answer in load.answers} == {1, 2}
    _demand_each_answer_is_its_models(load.answers)


@pytest.mark.parametrize("swaps", [20, pytest.param(200, marks=soak)])
def test_swaps_leave_nothing_behind(releases: Path, start: Start, swaps: int) -> None:
    """Prevents that a service which is promoted to every day grows until it is killed."""
    publish(releases, 1)
    write_bundle(releases, 2)
    service = start()
    process = psutil.Process(service.process.pid)

    def swap(epochs: range) -> None:
        for epoch in epochs:
            promote(releases, 2 - epoch % 2, epoch=epoch)
            eventually(lambda epoch=epoch: service.serves(2 - epoch % 2, epoch))  # type: ignore[misc]
            service.predict()

    swap(range(2, 12))  # what is built once is there now
    before = process.memory_info().rss, process.num_fds(), process.num_threads()
    swap(range(12, 12 + swaps))
    after = process.memory_info().rss, process.num_fds(), process.num_threads()
    assert after[0] - before[0] < 50 * 2**20
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2] + 2


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=soak)])
def test_a_kill_under_load_loses_no_answered_row(releases: Path, start: Start, rounds: int) -> None:
    """Prevents that an answer is out and its record is not."""
    publish(releases, 1)
    answered: list[str] = []
    for _ in range(rounds):
        service = start()
        load = Load(service.port)

        async def kill(load: Load = load, service: Service = service) -> None:
            await _answered(load, random.randint(100, 600))  # noqa: S311 -- not for secrets
            service.process.kill()
            service.process.wait()

        _under(load, 32, kill)
        answered += [prediction["id"] for answer in load.answers for prediction in answer.json["predictions"]]
    service = start()
    recorded = [record.id for record in service.recorded()]
    assert len(answered) > rounds * 100
    assert not set(answered) - set(recorded)
    assert len(recorded) == len(set(recorded))
    left = [path for path in (service.state / "log").iterdir() if path.suffix != ".jsonl"]
    assert [path.stat().st_size for path in left] == [0]  # the one that this service has just begun


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=soak)])
def test_too_many_requests_are_refused_at_once_and_the_others_answered(
    releases: Path, start: Start, seconds: float
) -> None:
    """Prevents that a flood brings all answers to a stop, or takes the service out of its load balancer."""
    publish(releases, 1)
    service = start(threads="1", max_large_requests="4")
    sent = request("/predict", b"[" + b",".join([BODY] * 2000) + b"]")

    async def flood() -> tuple[Load, list[Answered]]:
        calm = Load(service.port)
        asking = asyncio.create_task(calm.run(2, lambda: sent))
        await asyncio.sleep(2)
        calm.done.set()
        await asking
        health: list[Answered] = []

        async def watch() -> None:
            connection = Connection(service.port)
            while True:
                health.append(await connection.ask(READY))
                await asyncio.sleep(0.1)

        watching = asyncio.create_task(watch())
        load = Load(service.port)
        await load.run_at(5 * calm.statuses[200] / 2, seconds, sent)
        watching.cancel()
        return load, health

    load, health = asyncio.run(flood())
    assert load.failures == []
    assert load.statuses.keys() <= {200, 503}
    refused = [answer for answer in load.answers if answer.status == 503]
    assert refused
    assert all(answer.json["type"] == "urn:problem-type:full" for answer in refused)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert load.statuses[200] > 0  # how many: make bench-overload
    assert {answer.status for answer in health} == {200}
    assert service.predict()[0] == 1


def test_a_request_that_is_refused_before_it_arrived_leaves_its_connection_in_order(
    releases: Path, start: Start
) -> None:
    """Prevents that the rest of a refused body is taken for the next request, and that nobody waits for its end."""
    publish(releases, 1)
    service = start(threads="1", max_large_requests="1", read_seconds="2")
    large = request("/predict", b"[" + b",".join([BODY] * 10_000) + b"]")
    head, body = large.split(b"\r\n\r\n", 1)

    async def refused() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection whose large request was refused when its head, and a piece of it, had arrived."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(head + b"\r\n\r\n" + body[:1000])
            try:
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 0.3)
            except TimeoutError:  # there was room just now
                writer.close()
                continue
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"urn:problem-type:full" in await reader.readexactly(int(answer.split(b"content-length: ")[1][:3]))
            return reader, writer

    async def ask() -> None:
        busy = Load(service.port)
        asking = asyncio.create_task(busy.run(3, lambda: large))
        reader, writer = await refused()
        writer.write(body[1000:] + PREDICT)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 200 ")
        writer.close()
        reader, writer = await refused()
        assert await asyncio.wait_for(reader.read(), 10) == b""  # closed, and not answered twice
        writer.close()
        busy.done.set()
        await asking
        assert busy.failures == []
        assert busy.statuses.keys() == {200, 503}

    asyncio.run(ask())


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_answers_what_it_took_on(releases: Path, start: Start, workers: int) -> None:
    """Prevents requests lost at a deploy, and a deploy that waits for a client which never ends its request."""
    publish(releases, 1)
    service = start(workers=str(workers), read_seconds="120")  # else the slow client would be let go by itself
    load = Load(service.port)
    ended: list[float] = []

    async def stop() -> None:
        _, slow = await asyncio.open_connection("127.0.0.1", service.port)
        slow.write(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{")
        await _answered(load, 200)
        began = monotonic()
        service.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(service.process.wait, 30)
        ended.append(monotonic() - began)
        slow.close()

    _under(load, 16, stop)
    assert ended[0] < 15  # what the issue of a deploy allows, and not a measure of speed
    assert load.statuses.keys() == {200}
    answered = {prediction["id"] for answer in load.answers for prediction in answer.json["predictions"]}
    # What was recorded was taken on, and has its answer; and the other way round.
    assert answered == {record.id for record in service.recorded()}
    assert {path.suffix for path in (service.state / "log").iterdir()} == {".jsonl"}
    assert not list((service.state / "workers").glob("*.json"))


def test_a_worker_that_dies_is_replaced_and_no_client_waits_for_it(releases: Path, start: Start) -> None:
    """Prevents that half of the requests hang because half of the workers are gone."""
    publish(releases, 1)
    service = start(workers="2")
    eventually(lambda: service.serves(1, 1))
    first = {worker["pid"] for worker in service.model()["workers"]}
    load = Load(service.port)

    async def kill() -> None:
        await _answered(load, 200)
        os.kill(min(first), signal.SIGKILL)
        await _answered(load, 200)
        await _until(lambda: len(_pids(service) - {min(first)}) == 2 and min(first) not in _pids(service))
        await _answered(load, 200)

    _under(load, 8, kill)
    assert len(_pids(service)) == 2
    # Who was connected to it sees its connection end, and nothing else.
    assert len(load.failures) <= 8
    assert load.statuses.keys() == {200}


def _pids(service: Service) -> set[int]:
    return {worker["pid"] for worker in service.model()["workers"]}


def test_workers_end_when_their_parent_is_killed(releases: Path, start: Start) -> None:
    """Prevents workers that hold the port and answer for ever, seen by nobody."""
    publish(releases, 1)
    service = start(workers="2")
    eventually(lambda: service.serves(1, 1))
    workers = [psutil.Process(pid) for pid in _pids(service)]
    service.process.kill()
    service.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    assert start(workers="2").predict()[0] == 1


def test_metrics_are_those_of_all_workers(releases: Path, start: Start) -> None:
    """Prevents a dashboard that shows the worker which happened to answer."""
    publish(releases, 1)
    service = start(workers="2")
    eventually(lambda: service.serves(1, 1))
    load = Load(service.port)

    async def ask() -> None:
        await _answered(load, 300)

    _under(load, 16, ask)
    asked = len(load.answers)
    for _ in range(5):
        series = [line.rsplit(" ", 1) for line in service.client.get("/metrics").text.splitlines() if line[0] != "#"]
        lines = dict(series)
        assert len(lines) == len(series)
        assert float(lines["serving_rows_total"]) == asked
        assert sum(name.startswith("serving_epoch{") for name in lines) == 2

"""Prevents that requests which share a run of the model get each other's answers, fates or models."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, current_thread
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis import settings as examples
from numpy.typing import NDArray

from serving.answering import Answering
from serving.errors import ServiceProblem
from serving.log_segments import PredictionRecord
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
from serving.predictor import Predictor
from serving.records import Answer
from serving.release import Case
from serving.rows import Values
from serving.settings import Settings
from serving.slot import Slot, load
from tests.unit.serving.bundles import ROW, onnx_model, probability, promote, write_bundle

NO_DELAY = {"hour": 7, "carrier": "B6"}
"""What a model that was made without a place for nulls answers with NaN."""


Result = TypeVar("Result")


def _slot(releases: Path, version: int, *, nulls: bool = True) -> Slot:
    cases = [Case(ROW, probability(ROW, version))]
    write_bundle(releases, version, model=onnx_model(version, nulls=nulls), cases=cases)
    return load(releases, promote(releases, version, epoch=version))


def _run(settings: Settings, ask: Callable[[Answering, Metrics], Awaitable[Result]]) -> Result:
    """Runs with an answering of its own, whose log is sealed at the end."""
    metrics = Metrics()
    log = PredictionLog(settings.log, sync_seconds=settings.log_sync_seconds, seal_seconds=60, segment_bytes=2**20)

    async def run() -> Result:
        answering = Answering(settings, metrics, log)
        async with log.lifespan(None), answering.lifespan(None):
            return await ask(answering, metrics)

    return asyncio.run(run())


def _recorded(settings: Settings) -> list[PredictionRecord]:
    lines = [line for path in settings.log.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return [msgspec.json.decode(line, type=PredictionRecord) for line in lines]


async def _ask(answering: Answering, slot: Slot, *rows: Mapping[str, object]) -> Answer:
    return await answering.answer(slot, msgspec.json.encode(rows), slot.rows.decode)


def test_requests_of_one_tick_get_their_own_answers_of_their_own_models(releases: Path, settings: Settings) -> None:
    """Prevents that a swap in the middle of a tick mixes row types and models."""
    slots = [_slot(releases, 1), _slot(releases, 2)]

    async def ask(answering: Answering, _: Metrics) -> list[Answer]:
        rows = [[{**ROW, "hour": (number + more) % 24} for more in range(number % 3 + 1)] for number in range(40)]
        return await asyncio.gather(*(_ask(answering, slots[n % 2], *rows[n]) for n in range(40)))

    answers = _run(settings, ask)
    for number, answer in enumerate(answers):
        version = number % 2 + 1
        expected = [probability({**ROW, "hour": (number + more) % 24}, version) for more in range(number % 3 + 1)]
        assert answer.probabilities == pytest.approx(expected, abs=1e-5)
        assert answer.slot.pointer.model_version == version
    recorded = {record.id: record for record in _recorded(settings)}
    assert len(recorded) == sum(len(answer.ids) for answer in answers)
    for answer in answers:
        for id_, value in zip(answer.ids, answer.probabilities, strict=True):
            assert (recorded[id_].probability, recorded[id_].epoch) == (value, answer.slot.pointer.epoch)


def test_a_row_that_the_model_cannot_answer_costs_no_other_request_its_answer(
    releases: Path, settings: Settings
) -> None:
    """Prevents that one client's row is everybody's 500, or goes on record."""
    slot = _slot(releases, 1, nulls=False)

    async def ask(answering: Answering, _: Metrics) -> list[Answer | BaseException]:
        asked = [_ask(answering, slot, NO_DELAY if number == 3 else ROW) for number in range(8)]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = _run(settings, ask)
    assert [isinstance(answer, Answer) for answer in answers] == [number != 3 for number in range(8)]
    assert isinstance(answers[3], ServiceProblem)
    assert answers[3].status_code == 500
    assert len(_recorded(settings)) == 7


def test_a_client_that_is_gone_costs_the_others_nothing(releases: Path, settings: Settings) -> None:
    """Prevents that a cancelled request keeps its tick from being answered."""
    slot = _slot(releases, 1)

    async def ask(answering: Answering, _: Metrics) -> Answer:
        gone, stays = (asyncio.create_task(_ask(answering, slot, ROW)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert _run(settings, ask).probabilities == pytest.approx([probability(ROW, 1)], abs=1e-6)


@pytest.mark.parametrize("policy", ["refuse", "serve-and-count"])
@pytest.mark.parametrize("rows", [1, 500])
def test_what_cannot_be_recorded_is_refused_or_counted(
    releases: Path, settings: Settings, tmp_path: Path, policy: str, rows: int
) -> None:
    """Prevents answers without a record that nobody knows of."""
    slot = _slot(releases, 1)
    (tmp_path / "file").write_text("in the way of the log's folder")
    full = settings.model_copy(update={"state": tmp_path / "file", "log_full": policy})

    async def ask(answering: Answering, metrics: Metrics) -> tuple[list[Answer | BaseException], float | None]:
        asked = [_ask(answering, slot, *[ROW] * rows) for _ in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return answers, metrics.registry.get_sample_value("serving_unrecorded_rows_total")

    answers, unrecorded = _run(full, ask)
    if policy == "refuse":
        assert [isinstance(answer, ServiceProblem) and answer.status_code for answer in answers] == [503] * 3
        assert unrecorded == 0
    else:
        assert all(isinstance(answer, Answer) for answer in answers)
        assert unrecorded == 3 * rows


@pytest.mark.parametrize("rows", [1, 500])
def test_a_row_is_on_the_disk_before_its_answer_where_that_is_asked(
    releases: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Prevents that the strictest setting answers what a power cut may take."""
    slot = _slot(releases, 1)
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)

    async def ask(answering: Answering, _: Metrics) -> int:
        await _ask(answering, slot, *[ROW] * rows)
        return len(synced)

    assert _run(settings.model_copy(update={"log_sync_seconds": 0}), ask) == 1


def test_only_so_many_large_requests_are_taken_on(releases: Path, settings: Settings) -> None:
    """Prevents that those who wait for a thread wait for minutes, and that a refusal waits too."""
    slot = _slot(releases, 1)
    few = settings.model_copy(update={"threads": 1, "max_large_requests": 2})

    async def ask(answering: Answering, _: Metrics) -> tuple[list[Answer | BaseException], Answer]:
        asked = [_ask(answering, slot, *[ROW] * 2000) for _ in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return answers, await _ask(answering, slot, *[ROW] * 2000)

    answers, after = _run(few, ask)
    refused = [answer for answer in answers if isinstance(answer, ServiceProblem)]
    assert [(problem.status_code, problem.type_) for problem in refused] == [(503, "urn:problem-type:full")] * 3
    assert len(after.ids) == 2000


def test_a_large_request_that_takes_too_long_is_answered_so(
    releases: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a client waits for ever for a model that is stuck, and that its place is given away meanwhile."""
    slot = _slot(releases, 1)
    go = Event()
    run = Predictor.run

    def stuck(predictor: Predictor, encoded: NDArray[np.float32]) -> list[float]:
        go.wait(10)
        return run(predictor, encoded)

    monkeypatch.setattr(Predictor, "run", stuck)

    async def ask(answering: Answering, _: Metrics) -> list[str | None]:
        problems = []
        for _attempt in range(2):
            with pytest.raises(ServiceProblem) as raised:
                await _ask(answering, slot, *[ROW] * 2000)
            problems.append(raised.value.type_)
        go.set()
        while True:
            await asyncio.sleep(0.01)
            with suppress(ServiceProblem):
                assert len((await _ask(answering, slot, *[ROW] * 2000)).ids) == 2000
                return problems

    few = settings.model_copy(update={"answer_seconds": 0.1, "max_large_requests": 1})
    problems = _run(few, ask)
    assert problems == ["urn:problem-type:too-long", "urn:problem-type:full"]


def test_many_rows_in_few_bytes_have_a_thread_too(releases: Path, settings: Settings) -> None:
    """Prevents that thousands of rows of nulls hold up everybody's answers."""
    slot = _slot(releases, 1)
    rows = slot.rows.decode(msgspec.json.encode([ROW] * 5000))
    threads: set[str] = set()
    encode = slot.predictor.encode

    def noted(part: Sequence[Values]) -> NDArray[np.float32]:
        threads.add(current_thread().name)
        return encode(part)

    async def ask(answering: Answering, _: Metrics) -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slot.predictor, "encode", noted)
            return await answering.answer(slot, b"[{}]", lambda _: rows)

    assert len(_run(settings, ask).ids) == 5000
    assert all(name.startswith("large") for name in threads)


@examples(max_examples=25, deadline=None)
@given(sizes=strategies.lists(strategies.integers(1, 400), min_size=1, max_size=12))
def test_small_and_large_requests_side_by_side_are_each_answered_whole(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    """Prevents that a request in a thread and those of a tick write over each other."""
    folder = tmp_path_factory.mktemp("service")
    settings = Settings(releases=folder / "releases", state=folder / "serving")
    slot = _slot(folder / "releases", 1)

    async def ask(answering: Answering, _: Metrics) -> list[Answer]:
        return await asyncio.gather(*(_ask(answering, slot, *[{**ROW, "hour": size % 24}] * size) for size in sizes))

    answers = _run(settings, ask)
    for size, answer in zip(sizes, answers, strict=True):
        assert answer.probabilities == pytest.approx([probability({**ROW, "hour": size % 24}, 1)] * size, abs=1e-5)
    assert sorted(record.id for record in _recorded(settings)) == sorted(id_ for one in answers for id_ in one.ids)


def test_a_full_service_is_full_for_large_bodies_alone(releases: Path, settings: Settings) -> None:
    """Prevents that a large body is taken in before it is refused, and that small ones are refused with it."""
    slot = _slot(releases, 1)
    few = settings.model_copy(update={"threads": 1, "max_large_requests": 1})

    async def ask(answering: Answering, _: Metrics) -> list[bool]:
        large = asyncio.create_task(_ask(answering, slot, *[ROW] * 2000))
        await asyncio.sleep(0)
        found = [answering.is_full(size) for size in (100, 100_000)]
        await large
        return [*found, answering.is_full(100_000)]

    assert _run(few, ask) == [False, True, False]

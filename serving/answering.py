"""One way from a request's body to an answer on record, whichever door it came in by.

Small requests of one tick of the event loop share a run of the model and a write of the log; a large one has a thread.
Reading the body belongs to `serving.door`, taking it apart to the slot and the protocols, the wire to the routes.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter

import msgspec

from serving import errors
from serving.metrics import Metrics
from serving.prediction_log import CannotRecord, PredictionLog
from serving.predictor import PredictionFailed
from serving.records import Answer, Answered, Recorder
from serving.rows import RowsInvalid, Values
from serving.settings import Settings
from serving.slot import Slot
from serving.state import Serving

INLINE_BYTES = 16 * 1024
"""About a hundred rows of a dozen features; a larger body would hold up the others for over a millisecond."""
INLINE_ROWS = 256
"""The same where rows are short, as of a model whose features may all be left out."""
PART_ROWS = 1024
"""Rows of a large request that one run of the model takes; its parts run side by side."""


class _Asked(msgspec.Struct, frozen=True):
    """A small request that waits for the end of the tick; a struct, for there is one for each."""

    slot: Slot
    request_id: str
    rows: list[Values]
    as_sent: bytes | None
    answered: asyncio.Future[Answer]


def served(serving: Serving) -> Slot:
    """The slot that answers a request: read once, and after the body has arrived.

    A swap while it arrived must not part the row type from the model.
    """
    if serving.slot is None:
        raise errors.no_model()
    return serving.slot


def version_header(slot: Slot) -> dict[str, str]:
    """Which model answers, on every answer and every refusal of a row."""
    return {"X-Model-Version": str(slot.pointer.model_version)}


def answer_headers(answer: Answer) -> dict[str, str]:
    """For protocols whose bodies have no place for it: labels go by `<request id>.<position>` where rows have no id."""
    return {**version_header(answer.slot), "X-Request-Id": answer.request_id}


class Answering:
    """Answers the requests of one app."""

    def __init__(self, settings: Settings, metrics: Metrics, log: PredictionLog) -> None:
        self._metrics = metrics
        self._writer = log.writer
        self._recorder = Recorder(settings, metrics, log)
        self._requests = ThreadPoolExecutor(settings.threads, "large")
        self._parts = ThreadPoolExecutor(settings.threads, "part")
        self._syncs = ThreadPoolExecutor(1, "sync")
        self._most_large = settings.max_large_requests
        self._answer_seconds = settings.answer_seconds
        self._large = 0
        self._asked: list[_Asked] = []
        self._uncounted: list[tuple[int, float]] = []
        """Rows and seconds of each answer that is not counted yet."""
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop
        """Kept, for to ask for the running one is a system call (`getpid`, in Python 3.11)."""

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Lets go of the threads at the end; one that is stuck in a model must not hold the process."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            for threads in (self._requests, self._parts, self._syncs):
                threads.shutdown(wait=False, cancel_futures=True)

    async def answer(
        self,
        slot: Slot,
        body: bytes,
        decode: Callable[[bytes], list[Values]],
        *,
        body_is_rows: bool = False,
        prefix: str = "",
    ) -> Answer:
        """The answer to the rows that `decode` finds in a body.

        Args:
            slot: The model that answers.
            body: What the client sent.
            decode: Takes it apart.
            body_is_rows: Whether it is JSON of rows by the names of their columns, and may go on record as it is.
            prefix: What the request's id begins with.

        Raises:
            ServiceProblem: the body is not rows of the model, the model fails, the answer cannot be recorded,
                or too many large requests are under way.
        """
        began = perf_counter()
        request_id = f"{prefix}{self._writer}{next(self._numbers):x}"
        as_sent = body if body_is_rows else None
        try:
            if len(body) > INLINE_BYTES:
                answer = await self._in_thread(slot, request_id, lambda: decode(body), as_sent)
            elif len(rows := decode(body)) > INLINE_ROWS:
                answer = await self._in_thread(slot, request_id, lambda: rows, as_sent)
            else:
                answer = await self._in_tick(slot, request_id, rows, as_sent)
        except RowsInvalid as error:
            raise errors.rows_invalid(error, version_header(slot)) from error
        except PredictionFailed as error:
            raise errors.prediction_failed(error, version_header(slot)) from error
        except CannotRecord as error:
            raise errors.cannot_record(str(error)) from error
        except TimeoutError as error:
            raise errors.too_long(self._answer_seconds) from error
        if not self._uncounted:
            self._loop.call_soon(self._count)
        self._uncounted.append((len(answer.ids), perf_counter() - began))
        return answer

    def _count(self) -> None:
        """Counts a tick's answers together, which takes less than one by one between all else."""
        rows, seconds = zip(*self._uncounted, strict=True)
        self._uncounted.clear()
        self._metrics.count_predictions(rows=sum(rows), seconds=seconds)

    def is_full(self, size: int) -> bool:
        """Whether a body of so many bytes would find no thread, nor a place to wait for one."""
        return size > INLINE_BYTES and self._large >= self._most_large

    def demand_record(self) -> None:
        """Demands that answers can be recorded now, as far as is known, where they must be.

        Raises:
            ServiceProblem: they cannot.
        """
        if self._recorder.failure is not None:
            raise errors.cannot_record(self._recorder.failure)

    async def record_labels(self, labels: Sequence[tuple[str, bool]]) -> None:
        """Puts labels on record, by the ids of their rows.

        Raises:
            ServiceProblem: they cannot be recorded.
        """
        try:
            segment = self._recorder.record_labels(labels)
            if self._recorder.syncs_each_answer:
                await self._loop.run_in_executor(self._syncs, self._recorder.sync, segment, None)
        except CannotRecord as error:
            raise errors.cannot_record(str(error)) from error

    async def _in_tick(self, slot: Slot, request_id: str, rows: list[Values], as_sent: bytes | None) -> Answer:
        if not self._asked:
            self._loop.call_soon(self._end_tick)
        asked = _Asked(slot, request_id, rows, as_sent, self._loop.create_future())
        self._asked.append(asked)
        return await asked.answered

    def _end_tick(self) -> None:
        waiting, self._asked = self._asked, []
        while waiting:
            # At a swap a tick has requests of two slots; each is answered by the one that it was read with.
            slot = waiting[0].slot
            group = [asked for asked in waiting if asked.slot is slot]
            waiting = [asked for asked in waiting if asked.slot is not slot]
            self._answer_group(slot, group)

    def _answer_group(self, slot: Slot, group: Sequence[_Asked]) -> None:
        try:
            probabilities = slot.predictor.predict([row for asked in group for row in asked.rows])
            answers, start = [], 0
            for asked in group:
                end = start + len(asked.rows)
                answers.append(self._answer(slot, asked.request_id, asked.rows, probabilities[start:end]))
                start = end
            answered = [
                Answered(answer, asked.rows, asked.as_sent) for answer, asked in zip(answers, group, strict=True)
            ]
            segment = self._recorder.record(answered)
        except PredictionFailed as error:
            if len(group) > 1:
                for asked in group:  # one row must not cost the others their answers
                    self._answer_group(slot, [asked])
            else:
                _fail(group, error)
            return
        except Exception as error:
            _fail(group, error)
            return
        if segment is None or not self._recorder.syncs_each_answer:
            _resolve(group, answers, None)
            return
        syncing = self._loop.run_in_executor(self._syncs, self._recorder.sync, segment, len(probabilities))
        syncing.add_done_callback(lambda done: _resolve(group, answers, done.exception()))

    async def _in_thread(
        self, slot: Slot, request_id: str, decode: Callable[[], list[Values]], as_sent: bytes | None
    ) -> Answer:
        if self._large >= self._most_large:
            raise errors.full()

        def answer() -> Answer:
            rows = decode()
            parts = (rows[start : start + PART_ROWS] for start in range(0, len(rows), PART_ROWS))
            # The model runs on one part while the next is encoded.
            running = [self._parts.submit(slot.predictor.run, slot.predictor.encode(part)) for part in parts]
            found = [run.result() for run in running]
            answer = self._answer(slot, request_id, rows, list(itertools.chain.from_iterable(found)))
            segment = self._recorder.record([Answered(answer, rows, as_sent)])
            if segment is not None and self._recorder.syncs_each_answer:
                self._recorder.sync(segment, len(rows))
            return answer

        self._large += 1
        asked = self._loop.run_in_executor(self._requests, answer)
        asked.add_done_callback(self._end_large)  # when the thread is free again, which may be after the client is gone
        return await asyncio.wait_for(asyncio.shield(asked), self._answer_seconds)

    def _end_large(self, asked: "asyncio.Future[Answer]") -> None:
        self._large -= 1
        if not asked.cancelled():
            asked.exception()  # seen, where nobody waits for it any more

    def _answer(self, slot: Slot, request_id: str, rows: Sequence[Values], probabilities: list[float]) -> Answer:
        return Answer(slot, request_id, slot.rows.ids(rows, request_id), probabilities)


def _resolve(group: Sequence[_Asked], answers: Sequence[Answer], error: BaseException | None) -> None:
    if error is not None:
        _fail(group, error)
        return
    for asked, answer in zip(group, answers, strict=True):
        if not asked.answered.done():  # its client may be gone
            asked.answered.set_result(answer)


def _fail(group: Sequence[_Asked], error: BaseException) -> None:
    for asked in group:
        if not asked.answered.done():
            asked.answered.set_exception(error)

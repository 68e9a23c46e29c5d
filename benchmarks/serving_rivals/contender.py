"""A side in the comparison: its requests, whether it answers as it must, and what was measured of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from benchmarks.serving_load import ask, request_of
from benchmarks.serving_report import Measured
from benchmarks.serving_rivals.model import Served
from benchmarks.serving_rivals.running import Running, running
from benchmarks.serving_rivals.servers import Rows, Side

CHECKED_ROWS = 100
TOLERANCE = 1e-3
"""Between the fitted pipeline's probability and a side's answer."""


class AnswersDiffer(Exception):
    """A side does not answer as the fitted pipeline."""


class Contender:
    """One side with its requests, made beforehand."""

    def __init__(self, name: str, side: Side, served: Served) -> None:
        self.side = side
        self.measured = Measured(name, side.title)
        self.rows = [self._request([row]) for row in served.rows]
        self._served = served

    @property
    def takes_batches(self) -> bool:
        """Whether it can be sent several rows at once."""
        return self.side.probabilities is not None

    def batch(self, rows: int) -> bytes:
        """A request of so many rows, which come again from the first where there are fewer."""
        return self._request(list(islice(cycle(self._served.rows), rows)), self.side.batch_path)

    @contextmanager
    def started(self, *, starts: int, threads: int, folder: Path) -> Iterator[Running]:
        """Starts it so many times and once more before, which is not counted; the last time it stays.

        Raises:
            NotStarted: it gave no answer.
        """
        for start in range(starts):
            with running(self.side, self.rows[0], threads=threads, folder=folder) as server:
                if start:  # the first one compiles bytecode
                    self.measured.startup_seconds.append(server.startup_seconds)
        with running(self.side, self.rows[0], threads=threads, folder=folder) as server:
            self.measured.startup_seconds.append(server.startup_seconds)
            yield server

    def demand_right_answers(self) -> None:
        """Asks single rows and a batch, and compares with the fitted pipeline.

        Raises:
            AnswersDiffer: they are not its answers.
            LoadFailed: an answer was not a 200.
        """
        if self.side.probabilities is None:
            return
        expected = self._served.probabilities[:CHECKED_ROWS]
        single = [self._probabilities(request)[0] for request in self.rows[:CHECKED_ROWS]]
        for kind, found in (("single rows", single), ("a batch", self._probabilities(self.batch(CHECKED_ROWS)))):
            off = max(abs(mine - true) for mine, true in zip(found, expected, strict=True))
            if not off <= TOLERANCE:
                raise AnswersDiffer(f"asked {kind}, it is {off:.4f} off the fitted pipeline")

    def _request(self, rows: Rows, path: str | None = None) -> bytes:
        body = json.dumps(self.side.body(rows), separators=(",", ":")).encode()
        return request_of(self.side.port, path or self.side.path, body, self.side.headers)

    def _probabilities(self, request: bytes) -> list[float]:
        assert self.side.probabilities
        return self.side.probabilities(json.loads(ask(self.side.port, request)))

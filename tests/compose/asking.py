"""Clients that ask the service of the stack all the while, and what they notice when a container is killed."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from threading import Thread

from tests.compose.stack import HEAL_SECONDS, Compose, until
from tests.end_to_end.load import Load, request


@contextmanager
def asking(stack: Compose) -> Iterator[Load]:
    """Four clients."""
    sent = request("/predict", stack.row(), headers=f"Authorization: Bearer {stack.key()}\r\n")
    load = Load(stack.ports["service"])
    loop = asyncio.new_event_loop()
    thread = Thread(target=lambda: loop.run_until_complete(load.run(4, lambda: sent, pause=0.02)))
    thread.start()
    try:
        yield load
    finally:
        loop.call_soon_threadsafe(load.done.set)
        thread.join(timeout=30)
        loop.close()


@dataclass(frozen=True)
class Killed:
    """A container that was killed under requests, and came back."""

    back_seconds: float
    """From the kill until it was healthy again, as its own check says and the engine asks it."""
    silent_seconds: float
    """The longest time in which no request was answered with 200."""
    statuses: Counter[int]
    failures: int
    """Requests without an answer."""
    not_on_record: int
    """Answered rows that are not in the record, a minute later."""


def kill(stack: Compose, service: str, *, seconds: float) -> Killed:
    """Kills a container while clients ask, and waits until all is as before.

    Args:
        stack: Of which it is.
        service: The container's name.
        seconds: How long it is waited for.

    Raises:
        AssertionError: it does not come back, or nothing is answered any more.
    """
    with asking(stack) as load:
        until(lambda: load.statuses[200] > 100, seconds=30, what="requests are answered")
        began = time.monotonic()
        since = stack.kill(service)
        until(lambda: stack.is_back(service, since), seconds=seconds, what=f"{service} is back")
        back_seconds = time.monotonic() - began
        answered = load.statuses[200]
        until(lambda: load.statuses[200] > answered + 100, seconds=30, what="requests are answered again")
    well = [answer for answer in load.answers if answer.status == 200]
    arrivals = sorted(answer.at for answer in well)
    missing = {answer.json["predictions"][0]["id"] for answer in well}

    def all_recorded() -> bool:
        missing.difference_update(stack.recorded())
        return not missing

    with suppress(AssertionError):  # then some are missing, and counted
        until(all_recorded, seconds=HEAL_SECONDS, what="every answered row is on record")
    return Killed(
        back_seconds=back_seconds,
        silent_seconds=max(later - earlier for earlier, later in pairwise(arrivals)),
        statuses=load.statuses,
        failures=len(load.failures),
        not_on_record=len(missing),
    )

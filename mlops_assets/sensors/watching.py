"""Watching within a tick: Dagster starts no sensor more often than every 5 s, so a tick looks many times itself."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def watch(look: Callable[[], Found | None], *, seconds: float, every: float = 0.2) -> Found | None:
    """Looks every so many seconds until something is found or the time is over; looks once at least."""
    until = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < until:
        time.sleep(every)
    return found

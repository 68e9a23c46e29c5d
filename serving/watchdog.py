"""Ends a process whose event loop no longer runs, so that whoever supervises it starts another.

A model that does not come back from a small request holds the loop, and with it every answer of its process, health
included. A large request has a thread, and a limit of its own (`serving.answering`).
"""

import asyncio
import faulthandler
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager


def watchdog(seconds: float) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """A lifespan, of which a process can have one: it ends the process once its loop has not run for so many seconds.

    Where every thread was stands on stderr then. 0 is never.
    """

    @asynccontextmanager
    async def watched(_: object) -> AsyncIterator[None]:
        timer: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def again() -> None:
            nonlocal timer
            # Its clock is a thread of C, which needs nothing of what the model may hold.
            faulthandler.dump_traceback_later(seconds, exit=True)
            timer = loop.call_later(seconds / 4, again)

        if seconds:
            again()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
                faulthandler.cancel_dump_traceback_later()

    return watched

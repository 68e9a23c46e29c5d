"""Looking at something again and again while the service runs. What is looked at belongs to its own module."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def repeated(look: Callable[[], None], *, seconds: float) -> AsyncIterator[None]:
    """Looks every so many seconds until the block ends; a look that is under way then ends first.

    Args:
        look: Must not raise: nobody would look any more.
        seconds: Between the end of a look and the next one.
    """

    async def again() -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(look)

    looking = asyncio.create_task(again())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

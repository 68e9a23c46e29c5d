"""Prevents that the service stops looking, or that its end waits for a look that never comes."""

import asyncio
import time

from serving.repeated import repeated


def test_it_looks_again_and_again_until_the_end() -> None:
    """Prevents a service that follows its first promotion and no further one, or looks on after its end."""
    looks: list[float] = []

    async def live() -> int:
        async with repeated(lambda: looks.append(time.monotonic()), seconds=0.01):
            await asyncio.sleep(0.2)
        seen = len(looks)
        await asyncio.sleep(0.05)
        return seen

    seen = asyncio.run(live())
    assert seen >= 3
    assert len(looks) == seen


def test_a_long_wait_between_looks_does_not_hold_the_end() -> None:
    """Prevents that a deploy waits a minute for nothing."""

    async def live() -> None:
        async with asyncio.timeout(5), repeated(lambda: None, seconds=600):
            await asyncio.sleep(0)

    asyncio.run(live())

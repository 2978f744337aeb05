"""Look at something now and again, away from the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def polled(refresh: Callable[[], None], every_s: float) -> AsyncIterator[None]:
    """Call ``refresh``, which raises nothing, now and then every ``every_s`` seconds, in a thread, until left."""
    await asyncio.to_thread(refresh)
    stopped = asyncio.Event()
    polling = asyncio.create_task(_poll(refresh, every_s, stopped))
    try:
        yield
    finally:
        stopped.set()
        await polling  # never cancelled: a refresh under way might open something after it was closed


async def _poll(refresh: Callable[[], None], every_s: float, stopped: asyncio.Event) -> None:
    while True:
        try:
            await asyncio.wait_for(stopped.wait(), every_s)
        except TimeoutError:
            await asyncio.to_thread(refresh)
        else:
            return

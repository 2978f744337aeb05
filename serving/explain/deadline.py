"""Explanations made away from everything else, and waited for no longer than their deadline.

>>> async def asked():
...     explainer = Explainer()
...     async with explainer.running():
...         return await explainer.made(lambda: "why ann has no jam", Deadline.after(60))
...
>>> asyncio.run(asked())
'why ann has no jam'
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context

from seqplat_resources.clock import Deadline
from seqplat_resources.explain import Explanation
from serving.api.parameters import DEADLINE_HEADER
from serving.api.refusals import Refusal

# What is begun before the deadline may end after it, by so much; whoever asks waits no longer for it.
_OVERTIME_S = 0.5


class TooSlow(Refusal):
    """Not even a part of an explanation was ready in time: storage did not answer, or the one before still runs."""

    def __init__(self) -> None:
        super().__init__(
            "too-slow",
            503,
            "the explanation was not ready in time",
            field=None,
            fix=f"say the day with day=, allow more time with {DEADLINE_HEADER}, or ask again later",
            headers={},
        )


class Explainer:
    """One thread, in which explanations are made one after the other.

    A thread cannot be stopped. One that storage keeps waiting is given up, and runs on alone: explanations after it are
    refused until it has ended, so that there are never two.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explain")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end the last explanation is waited for: it reads what is closed then."""
        yield
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def made(self, explained: Callable[[], Explanation], deadline: Deadline) -> Explanation:
        """
        Raises:
            TooSlow: it was not ready by ``deadline`` and what a step under way may take.
        """
        work = asyncio.get_running_loop().run_in_executor(self._thread, copy_context().run, explained)
        try:
            return await asyncio.wait_for(work, deadline.left_s + _OVERTIME_S)
        except TimeoutError:
            raise TooSlow from None

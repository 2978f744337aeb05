"""Ending without a request noticing: tell load balancers first, stop accepting later.

On SIGTERM a server of its own accord stops accepting at once and finishes what is under way. Load balancers and
clients with open connections do not know yet, and what they send meets a closed port. So each worker process, told by
its own SIGTERM (whoever sent it: its parent, or a supervisor that signals the whole group),

1. answers ``/readyz`` with 503 from now on, and everything with ``Connection: close``,
2. goes on accepting and answering for ``drain_s``,
3. then has the server stop accepting and finish what is under way, as on SIGINT.

SIGINT (Ctrl-C) is left to the server: it goes to step 3 at once. A worker process whose parent is gone, killed for
instance, does as on SIGTERM: nobody would tell it to end, and its port would stay taken.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_log = logging.getLogger(__name__)

# How often a worker looks whether its parent lives: one system call.
PARENT_S = 0.5


class Drain:
    """``is_on`` from the first SIGTERM on."""

    def __init__(self, drain_s: float) -> None:
        self.is_on = False
        self._drain_s = drain_s

    @asynccontextmanager
    async def on_sigterm(self) -> AsyncIterator[None]:
        """Take SIGTERM over from the server whose event loop this is. Where another thread has it, do nothing."""
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGTERM, self._begin, "/readyz answers 503; this process"
            )
            self._look_for_parent()
        # Nothing is given back: the server set its handlers before, for a process that ends with this loop.
        yield

    def _look_for_parent(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        if os.getppid() != parent.pid:
            self._begin("the server's first process is gone; this one")
        else:
            asyncio.get_running_loop().call_later(PARENT_S, self._look_for_parent)

    def _begin(self, what: str) -> None:
        if self.is_on:
            return
        self.is_on = True
        _log.info("draining: %s ends in %g s", what, self._drain_s)
        asyncio.get_running_loop().call_later(self._drain_s, os.kill, os.getpid(), signal.SIGINT)

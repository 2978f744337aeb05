"""The first process of a server, which starts the others and tells them to end."""

import os
import signal
import time
from multiprocessing.process import BaseProcess
from typing import Any

from granian.server.mp import MPServer


class Processes(MPServer):
    """Granian's, but for two things. Workers hear of SIGINT as SIGINT, also where it was sent to the first process
    alone: they were told to end by SIGTERM always, upon which they drain. And those still starting end at once.
    """

    _told: int = signal.SIGTERM

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self.pid:  # forked with this handler, and not yet so far as to have its own
            os._exit(0)
        self._told = args[0] if args else signal.SIGTERM
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _stop_workers(self) -> None:
        if self._told == signal.SIGINT:
            self._interrupt_workers()
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def _interrupt_workers(self) -> None:
        """Those that are not at the end of what is under way when their time is up are killed."""
        processes: list[BaseProcess] = [worker.inner for worker in self.wrks]
        for worker, process in zip(self.wrks, processes, strict=True):
            worker.interrupt_by_parent = True
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        until = time.monotonic() + (self.workers_kill_timeout or 0)
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

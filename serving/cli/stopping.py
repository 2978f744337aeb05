"""Ctrl-C pressed twice: the first ends a command in order, the second ends it at once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# As shells say of a command that Ctrl-C ended.
AT_ONCE = 130
# `timeout` and some shells tell a process and its group, so one wish may come as two signals.
SAME_S = 0.5
_STOPS = (signal.SIGINT, signal.SIGTERM)
_SAID = b"\nstopped at once; what is built stays built, and the same command goes on where it is\n"
_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def stopped_at_once_when_told_twice() -> Iterator[None]:
    """While the block goes on, a second Ctrl-C or SIGTERM ends this process with ``AT_ONCE``, whatever it waits for.

    The first one does what its handler does. Nothing is tidied up after the second, as after a kill. Only for the main
    thread.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    # NOTE: no handler of our own: Dagster puts its own in place while it runs, and handlers wait for calls to return.
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(read,), name="stopping", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)  # which ends the thread
        watch.join()
        os.close(read)


def _watch(read: int) -> None:
    first_s: float | None = None
    while told := os.read(read, 1):
        if told[0] not in _STOPS:
            continue
        if first_s is None:
            first_s = time.monotonic()
        elif time.monotonic() - first_s > SAME_S:
            _end()


def _end() -> None:
    """NOTE: not through the console, whose lock the main thread may hold for ever."""
    if os.isatty(1):
        os.write(1, _SHOW_CURSOR)  # a bar hides it
    os.write(2, _SAID)
    os._exit(AT_ONCE)

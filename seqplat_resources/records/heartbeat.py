"""Something said again and again while a block goes on, by one thread of the process, however many blocks there are.

A process that is killed or paused says nothing any more, which is all that others can see of it from elsewhere.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Beat:
    say: Callable[[], None]
    every_s: float
    due: float


_beats: set[_Beat] = set()
_changed = threading.Condition()
_thread: threading.Thread | None = None


@contextmanager
def repeated(say: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Call ``say`` every so many seconds while the block goes on, first when as many have gone by.

    What it raises is logged, and it is tried again. A call that has begun may outlast the block.
    """
    global _thread  # noqa: PLW0603 - there is one for all
    beat = _Beat(say, every_s, monotonic() + every_s)
    with _changed:
        _beats.add(beat)
        if _thread is None or not _thread.is_alive():  # ended for want of work, or left behind by a fork
            _thread = threading.Thread(target=_run, name="heartbeat", daemon=True)
            _thread.start()
        _changed.notify()
    try:
        yield
    finally:
        with _changed:
            _beats.discard(beat)
            _changed.notify()


def _run() -> None:
    global _thread  # noqa: PLW0603
    while True:
        with _changed:
            if not _beats:
                _thread = None
                return
            beat, now = min(_beats, key=lambda each: each.due), monotonic()
            if beat.due > now:
                _changed.wait(beat.due - now)
                continue
            beat.due = now + beat.every_s
        try:
            beat.say()
        except Exception as error:
            _log.warning("%s", error)

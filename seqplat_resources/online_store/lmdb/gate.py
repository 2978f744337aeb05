"""Many may pass at once, or one alone: LMDB may only be remapped while this process has no transaction open."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from seqplat_resources.online_store.errors import StoreBusyError

# Snapshots live for a request, so all of them end within milliseconds; longer means somebody forgot to leave one.
PATIENCE_S = 30.0


class Gate:
    """``path`` is only named in errors."""

    def __init__(self, path: str, *, patience_s: float = PATIENCE_S) -> None:
        self._path, self._patience_s = path, patience_s
        self._changed = threading.Condition()
        self._inside = 0
        self._closing = False
        self._mine = threading.local()

    @property
    def is_inside(self) -> bool:
        """Whether this very thread is."""
        return self._depth() > 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Be inside with others. A thread that is inside already passes even while somebody waits to be alone."""
        with self._changed:
            while self._closing and not self._depth():
                self._changed.wait()
            self._inside += 1
            self._mine.depth = self._depth() + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._mine.depth -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for everybody to leave, and keep everybody out.

        Raises:
            StoreBusyError: they do not leave in time, or this very thread is inside.
        """
        if self._depth():
            raise StoreBusyError(self._path, waited_s=0)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._closing, self._patience_s):
                raise StoreBusyError(self._path, waited_s=self._patience_s)
            # Closed before it is empty, or a steady stream of readers would never let it become empty.
            self._closing = True
            if not self._changed.wait_for(lambda: not self._inside, self._patience_s):
                self._closing = False
                self._changed.notify_all()
                raise StoreBusyError(self._path, waited_s=self._patience_s)
        try:
            yield
        finally:
            with self._changed:
                self._closing = False
                self._changed.notify_all()

    def _depth(self) -> int:
        depth: int = getattr(self._mine, "depth", 0)
        return depth

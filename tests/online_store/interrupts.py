"""Breaking into a Redis store's work between any two of its round trips, and in the middle of one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from seqplat_resources.online_store.redis import RedisStore


class Killed(BaseException):
    """The process is dead: nothing may catch this, and nothing reaches the server any more."""


@contextmanager
def interrupted(store: RedisStore, at: int, action: Callable[[], Any], *, share: float = 0.0) -> Iterator[list[int]]:
    """Call ``action`` in round trip number ``at``, when ``share`` of its commands were executed, and then go on.

    Yields a list with the number of round trips there were.
    """
    link, run, count = store._link, store._link.run, [0]

    def counted(commands: Sequence[Any], **options: Any) -> list[Any]:
        count[0] += 1
        if count[0] - 1 != at:
            return run(commands, **options)
        cut = int(len(commands) * share)
        before = run(commands[:cut], **options)
        action()
        return before + run(commands[cut:], **options)

    link.run = counted  # type: ignore[method-assign]
    try:
        yield count
    finally:
        link.run = run  # type: ignore[method-assign]


def killing(store: RedisStore) -> Callable[[], NoReturn]:
    """An action after which this store object does nothing any more."""

    def dead(*args: Any, **options: Any) -> NoReturn:
        raise Killed

    def kill() -> NoReturn:
        store._link._servers.ask = dead  # type: ignore[method-assign]
        raise Killed

    return kill

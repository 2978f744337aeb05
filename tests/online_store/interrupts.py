"""Breaking into a Redis store's work between any two of its round trips, and in the middle of one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest

from seqplat_resources.online_store.redis import RedisSettings, RedisStore
from seqplat_resources.online_store.redis import store as opening
from seqplat_resources.online_store.redis.wire.link import Link
from seqplat_resources.online_store.redis.wire.pipeline import exchange


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


class Links:
    """The connections of all stores that a test opens. To make them takes longer than what a test does with most of its
    stores, so a store takes over those of a store of an earlier world; stores of one world share none, as processes.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._made: list[Link] = []
        self._free: list[Link] = []
        patch.setattr(opening, "Link", self._link)

    def new_world(self) -> None:
        """No store that was opened before is used any more, whether it was killed or not."""
        for link in self._made:
            vars(link._servers).pop("ask", None)
        self._free = [*self._made]

    def close(self) -> None:
        for link in self._made:
            link.close()

    def _link(self, settings: RedisSettings, *, readonly: bool) -> Link:
        if not self._free:
            self._free.append(Link(settings, readonly=readonly))
            self._made += self._free
        return self._free.pop()


@dataclass(frozen=True)
class SavedWorld:
    """All that a store holds, as its server has it: key without prefix, and value. To make a world again takes one
    round trip instead of the hundreds that made it.
    """

    held: Sequence[tuple[bytes, bytes]]

    @classmethod
    def of(cls, store: RedisStore) -> "SavedWorld":
        start = store._settings.prefix.encode()
        keys = [key for pool in store._link._servers.pools() for key in exchange(pool, [("KEYS", start + b"*")])[0]]
        values = store._link.run([("DUMP", key) for key in keys])
        return cls([(key[len(start) :], value) for key, value in zip(keys, values, strict=True)])

    def restore(self, settings: RedisSettings) -> None:
        """Into a store that has nothing yet but what opening it writes."""
        start, store = settings.prefix.encode(), RedisStore(settings)
        store._link.run([("RESTORE", start + name, 0, value, "REPLACE") for name, value in self.held])

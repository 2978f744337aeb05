"""Commands to the store's servers, and what goes wrong with them, in this platform's words."""

import time
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import RedisError

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store.errors import StoreUnusableError
from seqplat_resources.online_store.redis.wire.deadline import until
from seqplat_resources.online_store.redis.wire.pipeline import Command
from seqplat_resources.online_store.redis.wire.refusals import check_eviction, passing, refusal
from seqplat_resources.online_store.redis.wire.servers import Servers, connect, server_info
from seqplat_resources.online_store.redis.wire.settings import READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, RedisSettings

# How long a server that was set to drop keys may go unnoticed.
LOOK_EVERY_S = 1.0
# Commands sent before their answers are read: bounds what the server has to keep of them.
BATCH_COMMANDS = 1 << 13


class Link:
    """Shared by threads; a forked child gets connections of its own.

    Whether the server may drop what it holds is asked again now and then: answers would become shorter without a word.

    Raises:
        StoreAwayError: nobody answers.
        StoreUnusableError: the server may drop what it holds, or refuses this user.
    """

    def __init__(self, settings: RedisSettings, *, readonly: bool) -> None:
        self.where = settings.where
        timeout_ms = settings.timeout_ms or (READ_TIMEOUT_MS if readonly else WRITE_TIMEOUT_MS)
        try:
            self._servers: Servers = connect(settings, timeout_ms / 1000)
            for pool in self._servers.pools():
                check_eviction(server_info(pool), self.where)
        except RedisError as error:
            raise refusal(error, self.where) from None
        self._look_at = time.monotonic() + LOOK_EVERY_S

    @property
    def is_cluster(self) -> bool:
        return self._servers.is_cluster

    def run(
        self, commands: Sequence[Command], *, deadline: Deadline | None = None, repeatable: bool = False
    ) -> list[Any]:
        """The answers, in order. Commands to one slot are executed in order; all are sent before any is answered.

        ``repeatable`` commands (reads) are sent once more where a connection turns out to be dead. Within the deadline
        is all of it: finding or making a connection, sending, and every answer.
        Raises:
            StoreAwayError: no answer in time, or one that says to come back later. Commands may have been executed.
            StoreUnusableError: the server will not do this.
        """
        found: list[Any] = []
        with until(deadline):
            self._look()
            for start in range(0, len(commands), BATCH_COMMANDS):
                found += self._run(commands[start : start + BATCH_COMMANDS], repeatable=repeatable)
        return found

    def one(self, *command: Any, deadline: Deadline | None = None, repeatable: bool = False) -> Any:
        return self.run([command], deadline=deadline, repeatable=repeatable)[0]

    def used_bytes(self) -> int:
        """Memory that the servers use, whoever's data it is."""
        try:
            return sum(int(server_info(pool).get("used_memory", 0)) for pool in self._servers.pools())
        except RedisError as error:
            raise refusal(error, self.where) from None

    def close(self) -> None:
        self._servers.close()

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        try:
            for pool in self._servers.pools():
                check_eviction(server_info(pool, "memory"), self.where)
        except RedisError as error:
            self._look_at = now  # whoever is next looks again
            raise passing(refusal(error, self.where)) from None
        except StoreUnusableError as error:
            self._look_at = now
            raise passing(error) from None

    def _run(self, commands: Sequence[Command], *, repeatable: bool) -> list[Any]:
        try:
            try:
                answers = self._servers.ask(commands)
            except redis.ConnectionError:
                if not repeatable:
                    raise
                answers = self._servers.ask(commands)
        except RedisError as error:
            raise passing(refusal(error, self.where)) from None
        for answer in answers:
            if isinstance(answer, Exception):
                raise passing(refusal(answer, self.where)) from None
        return answers

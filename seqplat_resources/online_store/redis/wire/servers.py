"""One server or a cluster: which of them gets a command."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError
from redis.retry import Retry

from seqplat_resources.online_store.errors import StoreUnusableError
from seqplat_resources.online_store.redis.wire.deadline import make_timely
from seqplat_resources.online_store.redis.wire.pipeline import Command, Pool, exchange, receive, send, with_scripts
from seqplat_resources.online_store.redis.wire.settings import RedisSettings

_CONNECT_TIMEOUT_S = 2.0
# A slot moves at most once or twice while commands to it are under way.
_REDIRECTIONS = 4


class Servers(Protocol):
    """Where commands go. Shared by threads; a forked child gets connections of its own."""

    is_cluster: bool

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """All are sent before any is answered; see ``pipeline.exchange``."""

    def pools(self) -> list[Pool]:
        """One for each primary."""

    def close(self) -> None: ...


class OneServer(Servers):
    """Executes commands in the order they are given."""

    is_cluster = False

    def __init__(self, host: str, port: int, db: int, options: dict[str, Any]) -> None:
        self._client = redis.Redis(host=host, port=port, db=db, **options)
        self._pool: Pool = self._client.connection_pool
        make_timely(self._pool)

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        return exchange(self._pool, commands)

    def pools(self) -> list[Pool]:
        return [self._pool]

    def close(self) -> None:
        self._client.close()


class Cluster(Servers):
    """Executes commands of one slot in the order they are given; others in any. Follows slots that move."""

    is_cluster = True

    def __init__(self, nodes: Iterable[tuple[str, int]], options: dict[str, Any]) -> None:
        node: Any = ClusterNode
        self._client: Any = RedisCluster(startup_nodes=[node(host, port) for host, port in nodes], **options)
        self._found()

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        answers: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for _ in range(_REDIRECTIONS):
            self._ask_nodes(commands, left, answers)
            for at in left:
                if isinstance(answers[at], AskError):
                    answers[at] = self._ask_once(answers[at], commands[at])
            left = [at for at in left if isinstance(answers[at], MovedError) and not isinstance(answers[at], AskError)]
            if not left:
                break
            self._look_again()
        return answers

    def pools(self) -> list[Pool]:
        return [self._pool_of(node) for node in self._client.get_primaries()]

    def close(self) -> None:
        self._client.close()

    def _ask_nodes(self, commands: Sequence[Command], which: Sequence[int], answers: list[Any]) -> None:
        """Send to every node, then read from every node."""
        by_node: dict[str, tuple[Pool, list[int]]] = {}
        for at in which:
            node = self._client.nodes_manager.get_node_from_slot(key_slot(_key(commands[at])))
            by_node.setdefault(node.name, (self._pool_of(node), []))[1].append(at)
        sent = []
        try:
            for pool, mine in by_node.values():
                connection = pool.get_connection()
                sent.append((pool, connection, mine))
                send(connection, [commands[at] for at in mine])
            found = [receive(connection, len(mine)) for _, connection, mine in sent]
        except BaseException as error:
            for _, connection, _ in sent:
                connection.disconnect()  # there may be answers on it that nobody has read
            if isinstance(error, redis.ConnectionError):
                self._look_again()  # another node may have taken over
            raise
        finally:
            for pool, connection, _ in sent:
                pool.release(connection)
        for (pool, _, mine), got in zip(sent, found, strict=True):
            whole = with_scripts(pool, [commands[at] for at in mine], got)
            for at, answer in zip(mine, whole, strict=True):
                answers[at] = answer

    def _ask_once(self, error: AskError, command: Command) -> Any:
        """The slot is being moved, and this key is at the other node already."""
        node: Any = ClusterNode
        there = self._client.get_node(error.host, error.port) or node(error.host, error.port)
        return exchange(self._pool_of(there), [("ASKING",), command])[1]

    def _look_again(self) -> None:
        self._client.nodes_manager.initialize()
        self._found()

    def _found(self) -> None:
        for node in self._client.get_nodes():
            make_timely(self._pool_of(node))

    def _pool_of(self, node: Any) -> Pool:
        return self._client.get_redis_connection(node).connection_pool


def connect(settings: RedisSettings, timeout_s: float) -> Servers:
    """To the first server of the settings that answers; if it is of a cluster, to that.

    Raises:
        RedisError: none answers.
        StoreUnusableError: a database of a cluster is asked for.
    """
    options: dict[str, Any] = {
        "username": settings.username,
        "password": settings.password,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(_CONNECT_TIMEOUT_S, timeout_s),
        "socket_keepalive": True,
        "protocol": 2,  # one form of answers from old servers and new ones
        # Commands are tried again by ``Link`` or not at all: the library does not know which may be.
        "retry": Retry(NoBackoff(), 0),
    }
    if settings.tls:
        options |= {"ssl": True, "ssl_ca_certs": settings.ca, "ssl_cert_reqs": "required"}
    one, is_cluster = _first_that_answers(settings, options)
    if not is_cluster:
        return one
    one.close()
    if settings.db:
        raise StoreUnusableError(
            f"database {settings.db} is asked for, but a cluster has only database 0",
            where=settings.where,
            fix="leave the number out of SEQPLAT_ONLINE and tell installations apart by prefix",
        )
    return Cluster(settings.nodes, options)


def server_info(pool: Pool, *sections: str) -> dict[str, str]:
    """What a server says of itself, or of these sections.

    Raises:
        RedisError: it does not.
    """
    found = exchange(pool, [("INFO", *sections)])[0]
    if isinstance(found, Exception):
        raise found
    pairs = (line.partition(":") for line in found.decode(errors="replace").splitlines())
    return {name: value for name, _, value in pairs}


def _first_that_answers(settings: RedisSettings, options: dict[str, Any]) -> tuple[Servers, bool]:
    problems: list[RedisError] = []
    for host, port in settings.nodes:
        one = OneServer(host, port, settings.db, options)
        try:
            return one, server_info(one.pools()[0]).get("cluster_enabled") == "1"
        except RedisError as error:
            one.close()
            problems.append(error)
    raise problems[0]


def _key(command: Command) -> bytes:
    """What decides the node: the first key."""
    key: bytes = command[{"EVALSHA": 3, "OBJECT": 2}.get(command[0], 1)]
    return key

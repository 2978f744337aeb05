"""Connections that keep a deadline: connecting, greeting, sending and receiving end with it, in however many waits.

The client library has a limit for each wait, begun anew with each piece that arrives. Here a deadline is said once, for
all that a thread does inside ``until``; a wait ends with the library's limit or the deadline, whichever is first.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.connection import Connection, SSLConnection

from seqplat_resources.clock import Deadline

# Of a wait that begins when the deadline is over: what has arrived already is not refused.
_LEAST_S = 0.001


class _Here(threading.local):
    deadline: Deadline | None = None


_here = _Here()


@contextmanager
def until(deadline: Deadline | None) -> Iterator[None]:
    """All waits of this thread inside end with the deadline; None is no deadline."""
    before, _here.deadline = _here.deadline, deadline
    try:
        yield
    finally:
        _here.deadline = before


def _allowed(limit_s: float | None) -> float | None:
    """How long a wait of the library may be."""
    deadline = _here.deadline
    if deadline is None or limit_s == 0:  # which asks what is there, and waits for nothing
        return limit_s
    left_s = max(_LEAST_S, deadline.left_s)
    return left_s if limit_s is None else min(limit_s, left_s)


class _Socket:
    """A connected socket; ``limit_s`` is the library's, None for no limit."""

    def __init__(self, plain: Any, limit_s: float | None) -> None:
        self._plain, self._limit_s = plain, limit_s

    def settimeout(self, limit_s: float | None) -> None:
        self._limit_s = limit_s

    def sendall(self, sent: Any) -> None:
        self._plain.settimeout(_allowed(self._limit_s))
        self._plain.sendall(sent)

    def recv(self, *how: Any) -> Any:
        self._plain.settimeout(_allowed(self._limit_s))
        return self._plain.recv(*how)

    def recv_into(self, *how: Any) -> Any:
        self._plain.settimeout(_allowed(self._limit_s))
        return self._plain.recv_into(*how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


class TimelyConnection(Connection):
    """To a server over TCP."""

    @property
    def socket_connect_timeout(self) -> float | None:  # asked for before each address is tried
        return _allowed(self._socket_connect_timeout)

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, limit_s: float | None) -> None:
        self._socket_connect_timeout = limit_s

    def _connect(self) -> Any:
        plain: Any = super()._connect()  # type: ignore[no-untyped-call]
        return _Socket(plain, self.socket_timeout)


class TimelySSLConnection(SSLConnection, TimelyConnection):
    """Over TLS."""

    def _wrap_socket_with_ssl(self, sock: _Socket) -> Any:
        sock._plain.settimeout(_allowed(self.socket_timeout))
        wrapped: Any = super()._wrap_socket_with_ssl(sock._plain)  # type: ignore[no-untyped-call]
        return _Socket(wrapped, self.socket_timeout)


def make_timely(pool: Any) -> None:
    """Have all connections of a pool keep deadlines. Those it has that do not are forgotten."""
    if not issubclass(pool.connection_class, TimelyConnection):
        is_tls = issubclass(pool.connection_class, SSLConnection)
        pool.connection_class = TimelySSLConnection if is_tls else TimelyConnection
        pool.disconnect(inuse_connections=False)
        pool.reset()

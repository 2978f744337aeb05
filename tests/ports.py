"""Ports for the servers of tests. Standard library only, for ``scripts/kafka``."""

import os
import random
import socket

# Below those that a system gives to connections (32768 and up on Linux): none of them takes a port between its choice
# and its use, and neither does the bus of a Redis cluster, which listens ``BUS`` above its node.
FIRST, LAST, BUS = 10_000, 20_000, 10_000
# Each worker of a parallel run draws from its own share.
_SHARES = 16
# Not the common generator: Hypothesis seeds it alike in all workers.
_draw = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on, nor ``BUS`` above them."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw15").removeprefix("gw"))
    share = range(FIRST + worker % _SHARES, LAST, _SHARES)
    found: list[int] = []
    while len(found) < count:
        port = _draw.choice(share)
        if port not in found and _is_free(port) and _is_free(port + BUS):
            found.append(port)
    return found


def free_port() -> int:
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

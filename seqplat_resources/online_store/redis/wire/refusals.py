"""What the errors of the client library mean here, and what makes a server unfit to hold a store."""

import logging
from collections.abc import Mapping

import redis
from redis.exceptions import AskError, MovedError, ResponseError

from seqplat_resources.errors import SeqplatError
from seqplat_resources.online_store.errors import StoreAwayError, StoreUnusableError

_log = logging.getLogger(__name__)

# First word of the refusal -> what it means, what to do.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "OOM": ("the server's memory is full", "raise maxmemory, add nodes, or prune; nothing half written is visible"),
    "LOADING": ("the server is loading its data", "wait until it has"),
    "READONLY": ("the server is a replica", "name the primary in SEQPLAT_ONLINE"),
    "MASTERDOWN": ("the server's primary is away", "wait for the failover, or start it"),
    "CLUSTERDOWN": ("a part of the cluster is away", "look at CLUSTER INFO, and start its nodes"),
    "TRYAGAIN": ("a slot of the cluster is being moved", "wait until it has"),
    "BUSY": ("a script keeps the server busy", "wait, or end it with SCRIPT KILL"),
    "MISCONF": ("the server cannot save to disk", "free space, or repair its disk"),
    "NOREPLICAS": ("the server has too few replicas", "start them"),
}
# The library takes the first word off some refusals and makes a type of it.
_TYPES: Mapping[type[Exception], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.BusyLoadingError: "LOADING",
    redis.ReadOnlyError: "READONLY",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.TryAgainError: "TRYAGAIN",
    AskError: "TRYAGAIN",
    MovedError: "TRYAGAIN",
}

_REFUSED, _DROPS = "the server refuses this user", "the server drops keys when its memory is full"
_ACCESS = (redis.AuthenticationError, redis.exceptions.NoPermissionError)


def refusal(error: Exception, where: str) -> SeqplatError:
    """The error to raise instead. The library's own text names hosts, never passwords."""
    text = str(error)
    word = _TYPES.get(type(error)) or text.split(" ", 1)[0]
    if word in _REFUSALS:
        what, fix = _REFUSALS[word]
        return StoreAwayError(f"{what} ({text})", where=where, fix=fix)
    if isinstance(error, _ACCESS) or word in ("NOAUTH", "WRONGPASS", "NOPERM"):
        return StoreUnusableError(
            f"{_REFUSED} ({text})",
            where=where,
            fix="set SEQPLAT_ONLINE_PASSWORD, and the user in SEQPLAT_ONLINE, to one that may use these keys",
        )
    if isinstance(error, redis.TimeoutError):
        fix = "look at the server's load, or allow more with ?timeout_ms="
        if where.startswith("rediss:"):  # where nobody speaks TLS, neither side hears what it waits for
            fix = f"see that the port speaks TLS, or write redis:// if it does not; else {fix}"
        return StoreAwayError("no answer in time", where=where, fix=fix)
    if isinstance(error, ResponseError):
        return StoreUnusableError(
            f"the server answers {text!r}", where=where, fix="use Redis 6.2 or newer, or Valkey, with scripts allowed"
        )
    return StoreAwayError(
        f"the server cannot be reached ({text})", where=where, fix="start it, or correct SEQPLAT_ONLINE"
    )


def passing(error: SeqplatError) -> SeqplatError:
    """An error as it counts after the store was opened: a server that was fit to hold one may be so again."""
    # Of permissions nobody will think again.
    if isinstance(error, StoreUnusableError) and error.what.startswith((_REFUSED, _DROPS)) and "perm" not in error.what:
        return StoreAwayError(error.what, where=error.where, fix=error.fix)
    return error


def check_eviction(info: Mapping[str, str], where: str) -> None:
    """A server that drops keys when its memory is full would make sequences silently shorter.

    Raises:
        StoreUnusableError: it may.
    """
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    fix = "set maxmemory-policy noeviction: a store without room must refuse writes, not forget events"
    if info.get("maxmemory", "0") != "0":
        raise StoreUnusableError(f"{_DROPS} ({policy})", where=where, fix=fix)
    _log.warning("the server at %s would drop keys (%s) if it had a maxmemory; %s", where, policy, fix)

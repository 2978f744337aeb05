"""Where the server is and how to talk to it: what ``SEQPLAT_ONLINE=redis://...`` says. Pure.

>>> settings = RedisSettings.parse("redis://:secret@store.example:6380/2")
>>> settings.nodes, settings.db, settings.where
((('store.example', 6380),), 2, 'redis://store.example:6380/2?prefix=seqplat:')
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from seqplat_resources.online_store.errors import StoreUnusableError

SCHEMES = ("redis", "rediss")
DEFAULT_PORT = 6379
# A read is answered in well under a millisecond; a server that takes this long is as good as away.
READ_TIMEOUT_MS = 1_000
# Writers send megabytes at once, and would rather wait than do it all again.
WRITE_TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class RedisSettings:
    """``nodes`` are (host, port): one server, or some of a cluster's. Secrets are in no text made from this."""

    nodes: tuple[tuple[str, int], ...]
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = "seqplat:"
    timeout_ms: int | None = None
    """How long a command may take; None is what suits: ``READ_TIMEOUT_MS`` or ``WRITE_TIMEOUT_MS``."""
    ca: str | None = None
    """File with the certificates that are trusted; None is the system's."""

    @property
    def where(self) -> str:
        """The URL for messages: without user, password and options."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        return f"redis{'s' if self.tls else ''}://{hosts}/{self.db}?prefix={quote(self.prefix, safe=':')}"

    @classmethod
    def parse(cls, url: str, environment: Mapping[str, str] | None = None) -> "RedisSettings":
        """From a URL; ``SEQPLAT_ONLINE_PASSWORD`` of the environment counts before its password.

        Raises:
            StoreUnusableError: the URL says something that cannot be; it is told without the password.
        """
        try:
            # Several hosts are no netloc to urlsplit: versions of Python differ in what they take for brackets of one.
            scheme, _, rest = url.partition("://")
            netloc = re.split("[/?#]", rest, maxsplit=1)[0]
            parts = urlsplit(f"{scheme}://host{rest[len(netloc) :]}")
            if parts.scheme in ("valkey", "valkeys"):
                written = parts.scheme.replace("valkey", "redis")
                raise _unusable(
                    f"{parts.scheme}:// is written {written}://, also of Valkey", fix=f"begin with {written}://"
                )
            if parts.scheme not in SCHEMES:
                raise ValueError(parts.scheme)
            user, _, hosts = netloc.rpartition("@")
            name, _, password = user.partition(":")
            nodes = tuple(_node(host) for host in hosts.split(","))
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            db = int(parts.path.strip("/") or 0)
            timeout = options.pop("timeout_ms", None)
            prefix = options.pop("prefix", cls.prefix)
            ca = options.pop("ca", None)
            timeout_ms = int(timeout) if timeout else None
        except ValueError:
            raise _unusable("the URL cannot be read") from None  # the error may repeat the URL, password included
        if options:
            raise _unusable(f"unknown option {sorted(options)[0]!r}")
        if not prefix or any(sign in prefix for sign in "{}"):
            raise _unusable(f"prefix {prefix!r} is empty or has braces, which decide where a cluster puts keys")
        if db < 0 or (timeout_ms is not None and timeout_ms < 1):
            raise _unusable("the database or the timeout is not a positive number")
        given = (environment or {}).get("SEQPLAT_ONLINE_PASSWORD")
        return cls(
            nodes,
            db=db,
            tls=parts.scheme == "rediss",
            username=unquote(name) or None,
            password=given or unquote(password) or None,
            prefix=prefix,
            timeout_ms=timeout_ms,
            ca=ca,
        )


def _node(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or DEFAULT_PORT


def _unusable(what: str, *, fix: str | None = None) -> StoreUnusableError:
    return StoreUnusableError(
        what,
        where="SEQPLAT_ONLINE",
        fix=fix
        or "write redis://[user[:password]@]host[:port][,host:port...]/db with the options prefix, timeout_ms and ca, "
        "or rediss:// for TLS; see docs/redis.md",
    )

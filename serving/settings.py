"""What the API is started with, read from the environment once. The table for people is docs/settings.md."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import DEFAULT_CHANNEL

# All of the API's own begin so, and others that do are refused: a misspelt limit would silently be the default.
PREFIX = "SEQPLAT_API_"


class SettingInvalid(Final):
    """A setting that is unknown or says something impossible."""

    def __init__(self, name: str, what: str, *, fix: str) -> None:
        self.name, self.fix = name, fix
        super().__init__(f"{name} {what}, in the environment; {fix}")


def _number(variable: str, default: Any, low: float, high: float, *, unit: str) -> Any:
    """A field of ``default``'s type, ``low`` to ``high``."""
    kind = type(default)

    def read(text: str) -> int | float:
        fix = f"use {'a whole number' if kind is int else 'a number'} of {unit}, {low:,} to {high:,}"
        try:
            value: int | float = kind(text)
        except ValueError:
            raise SettingInvalid(variable, f"is {text!r}", fix=fix) from None
        if not low <= value <= high:  # also when it is not a number at all
            raise SettingInvalid(variable, f"is {text!r}", fix=fix)
        return value

    return field(default=default, metadata={"variable": variable, "read": read})


def _url(variable: str) -> Any:
    """A field of an address that browsers go to; blank for none."""

    def read(text: str) -> str:
        fix = "use http://host:port or https://host, with a path where there is one"
        try:
            parts = urlsplit(text)
            is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        except ValueError:
            is_one = False
        if not is_one or not text.isprintable() or "@" in text:
            raise SettingInvalid(variable, f"is {text!r}", fix=fix)
        return text.rstrip("/")

    return field(default="", metadata={"variable": variable, "read": read})


def _choice(variable: str, default: str, choices: Mapping[str, Any], *, result: Any = None) -> Any:
    """A field that holds what ``choices`` has for the word."""

    def read(text: str) -> Any:
        if text not in choices:
            raise SettingInvalid(variable, f"is {text!r}", fix=f"use one of {', '.join(choices)}")
        return choices[text]

    return field(default=choices.get(default, result), metadata={"variable": variable, "read": read})


def _text(variable: str, default: str) -> Any:
    """A field taken as it is."""
    return field(default=default, metadata={"variable": variable, "read": str})


@dataclass(frozen=True)
class Settings:
    """One value per setting; times say their unit. Limits of requests are those of one process.

    ``poll_s`` is how long a moved channel, a revoked key, or a store that has just been created may go unnoticed.
    ``head_s`` and ``body_s`` are how long the head of a request and the body behind it may take to come.
    ``hosts`` share the quotas of keys evenly; processes of one host count together in the file ``usage``, by default
    one of the home. ``access_log`` is ``stderr``, ``off`` or a file; ``access_log_plain`` writes user ids as they are.
    ``dagster_url`` is where people find Dagster's pages.
    ``logging`` is ``json``, ``text``, or ``auto``: text on a terminal. ``long_under_way`` is 0 where the store decides.
    """

    home: Home
    channel: str = DEFAULT_CHANNEL
    poll_s: float = _number("SEQPLAT_API_POLL_S", 2.0, 0.01, 3600, unit="seconds")
    deadline_ms: int = _number("SEQPLAT_API_DEADLINE_MS", 1000, 1, 60_000, unit="milliseconds")
    max_users: int = _number("SEQPLAT_API_MAX_USERS", 1000, 1, 100_000, unit="users")
    max_events: int = _number("SEQPLAT_API_MAX_EVENTS", 1_000_000, 1, 100_000_000, unit="events")
    cache_mb: int = _number("SEQPLAT_API_CACHE_MB", 64, 0, 1_000_000, unit="MB")
    head_s: float = _number("SEQPLAT_API_HEAD_S", 30.0, 1, 3600, unit="seconds")
    body_s: float = _number("SEQPLAT_API_BODY_S", 10.0, 1, 3600, unit="seconds")
    under_way: int = _number("SEQPLAT_API_UNDER_WAY", 4, 1, 1024, unit="requests")
    long_under_way: int = _number("SEQPLAT_API_LONG_UNDER_WAY", 0, 0, 1024, unit="requests")
    queue: int = _number("SEQPLAT_API_QUEUE", 256, 0, 100_000, unit="requests")
    queue_ms: int = _number("SEQPLAT_API_QUEUE_MS", 250, 1, 60_000, unit="milliseconds")
    drain_s: float = _number("SEQPLAT_API_DRAIN_S", 5.0, 0, 3600, unit="seconds")
    grace_s: float = _number("SEQPLAT_API_GRACE_S", 10.0, 1, 3600, unit="seconds")
    metrics_open: bool = _choice("SEQPLAT_API_METRICS", "operator", {"operator": False, "open": True})
    dagster_url: str = _url("SEQPLAT_API_DAGSTER_URL")
    hosts: int = _number("SEQPLAT_API_HOSTS", 1, 1, 10_000, unit="hosts")
    usage: str = _text("SEQPLAT_API_USAGE", "")
    access_log: str = _text("SEQPLAT_ACCESS_LOG", "stderr")
    access_log_mb: int = _number("SEQPLAT_ACCESS_LOG_MB", 100, 1, 100_000, unit="megabytes")
    access_log_plain: bool = _choice("SEQPLAT_ACCESS_LOG_USERS", "hashed", {"hashed": False, "plain": True})
    logging: str = _choice("SEQPLAT_LOGGING", "auto", {kind: kind for kind in ("auto", "json", "text")})
    logging_level: str = _choice(
        "SEQPLAT_LOGGING_LEVEL", "info", {level: level for level in ("debug", "info", "warning", "error")}
    )

    @property
    def long_at_once(self) -> int:
        """Long requests answered at the same time: one where the processor is what they take, several where most of
        their time is waiting for a remote store.
        """
        is_remote = "://" in (self.home.environment.get("SEQPLAT_ONLINE") or "")
        return self.long_under_way or (self.under_way if is_remote else 1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """``SEQPLAT_HOME``, ``SEQPLAT_CHANNEL`` and the variables above; an empty one is as good as none.

        The store is found as ``open_online_store`` finds it.
        Raises:
            SettingInvalid: a value that cannot be, or a variable of our prefix that does not exist.
        """
        readers: dict[str, tuple[str, Callable[[str], Any]]] = {
            each.metadata["variable"]: (each.name, each.metadata["read"]) for each in fields(cls) if each.metadata
        }
        for name in sorted(environment):
            if name.startswith(PREFIX) and name not in readers and name not in OF_THE_COMMAND:
                known = [each.removeprefix(PREFIX) for each in (*readers, *OF_THE_COMMAND)]
                near = get_close_matches(name.removeprefix(PREFIX), known, n=1)
                fix = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists all there are"
                raise SettingInvalid(name, "is not a setting", fix=fix)
        given = {variable: environment[variable] for variable in readers if environment.get(variable)}
        values = {readers[variable][0]: readers[variable][1](text) for variable, text in given.items()}
        channel = environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
        return cls(Home.from_environment(environment), channel, **values)


# Where to listen is said to the command, by option or variable.
OF_THE_COMMAND = ("SEQPLAT_API_HOST", "SEQPLAT_API_PORT", "SEQPLAT_API_WORKERS")

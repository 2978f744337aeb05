"""API keys as tables people can read."""

import datetime as dt
from collections.abc import Mapping, Sequence

from seqplat_resources.times import DAY_S
from serving.access.keys.ring import Grant, Key
from serving.access.usage import Row
from serving.cli.output import console, table


def show_keys(keys: Sequence[Key], now: dt.datetime, used: Mapping[str, Row]) -> None:
    """One line per key."""
    headers = ["id", "tenant", "name", "reads", "quota", "created (UTC)", "expires", "last used", "state"]
    rows = [
        (
            key.id,
            key.tenant,
            key.name or None,
            _reads(key),
            _quota(key),
            key.history[0].at if key.history else None,
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
            _last_used(used.get(key.id), now),
            _state(key, now),
        )
        for key in keys
    ]
    table(f"{len(keys)} API key(s)", headers, rows)


def show_key(key: Key, now: dt.datetime, used: Row | None) -> None:
    """Everything about a key but its secret, which nobody has but its holder."""
    until = next((secret.until for secret in key.secrets if secret.until and secret.until > now), None)
    today = int(now.timestamp()) // DAY_S
    rows = [
        ("tenant", key.tenant),
        ("name", key.name or None),
        ("state", _state(key, now)),
        ("roles", ", ".join(key.roles)),
        ("expires", key.expires_at or "never"),
        ("old secret works until", until),
        ("quota", _quota(key)),
        ("last used", _last_used(used, now)),
        ("requests on this host", f"{used.requests:,}, and {used.refusals:,} over quota" if used else None),
        ("events today", f"{used.events(today):,}" if used else None),
    ]
    table(f"key {key.id}", ["", ""], rows)
    reading = [(name, *_granted(grant)) for name, grant in key.grants.items()]
    if key.reads_own and "reader" in key.roles:
        what = "all others" if reading else "all sequences"
        reading.append((f"{what} of {key.tenant}", key.tenant, "all but personal data", None))
    if reading:
        console.print()
        table("reads", ["sequence", "of tenant", "columns", "personal data"], reading)
    console.print()
    table("history", ["at (UTC)", "by", "what"], [(change.at, change.by, change.what) for change in key.history])


def _granted(grant: Grant) -> tuple[str, str, str | None]:
    columns = "all but personal data" if grant.columns is None else ", ".join(grant.columns)
    return grant.owner, columns, ", ".join(grant.pii) or None


def _reads(key: Key) -> str:
    reads = ["all own"] if key.reads_own else []
    for name, grant in key.grants.items():
        of, part = (f" of {grant.owner}" if grant.owner != key.tenant else ""), grant.columns is not None
        if of or part or not key.reads_own:  # else it differs in personal data alone
            reads.append(f"{name}{of}{' in part' if part else ''}")
    personal = sorted({column for grant in key.grants.values() for column in grant.pii})
    parts = [
        ", ".join(reads) if "reader" in key.roles else "",
        f"personal data {', '.join(personal)}" if personal else "",
    ]
    parts.append("/metrics, /v1/status" if "operator" in key.roles else "")
    return "; ".join(filter(None, parts))


def _quota(key: Key) -> str | None:
    limits = key.limits
    parts = [
        f"{limits.requests_per_s:g} requests/s" if limits.requests_per_s else "",
        f"burst {limits.burst}" if limits.burst else "",
        f"{limits.events_per_day:,} events/day" if limits.events_per_day else "",
    ]
    return ", ".join(filter(None, parts)) or None


def _last_used(used: Row | None, now: dt.datetime) -> str | None:
    if used is None or not used.last_used_s:
        return None
    ago_s = max(0, int(now.timestamp() - used.last_used_s))
    for unit, seconds in (("d", DAY_S), ("h", 3_600), ("min", 60)):
        if ago_s >= seconds:
            return f"{ago_s // seconds} {unit} ago"
    return f"{ago_s} s ago"


def _state(key: Key, now: dt.datetime) -> str:
    state = key.state(now)
    return "rotating" if state == "active" and any(s.until and s.until > now for s in key.secrets) else state

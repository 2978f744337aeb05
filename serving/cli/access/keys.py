"""``seqplat keys``: who may call the API, what they may read, how much, and until when."""

import datetime as dt
import math
import os
from collections.abc import Iterable, Mapping

import click

from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from serving.access import grants as granting
from serving.access.audit.log import user_hash
from serving.access.keys import changes
from serving.access.keys.ring import ROLES, Key, Limits, Role
from serving.access.keys.store import KeyStore
from serving.access.usage import Row, Usage, default_file
from serving.cli.access.tables import show_key, show_keys
from serving.cli.durations import Duration, Expiry
from serving.cli.output import console, suggest
from serving.cli.person import person

_key_id = click.argument("key_id")
_quiet = click.option("--quiet", is_flag=True, help="Print the key and nothing else, for scripts.")
# One request in three hours, and more than any server answers.
_RATE = click.FloatRange(min=0.0001, max=1_000_000)
# What the fields of the answers that tell of quotas can hold.
_COUNT = click.IntRange(min=1, max=10**15 - 1)
_NAME_CHARS = 100
_pii = click.option("--pii", multiple=True, metavar="COLUMN", help="A column of personal data to grant.")


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """NaN is in every range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number of requests", ctx, param)
    return value


def _one_line(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """It goes into tables and logs."""
    if len(value) > _NAME_CHARS or not value.isprintable():
        raise click.BadParameter(f"write one line of up to {_NAME_CHARS} printable characters", ctx, param)
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def keys() -> None:
    """API keys: create, list, show, rotate, revoke, grant, withdraw.

    A key belongs to a tenant and reads the tenant's sequences, without personal data, unless it is told otherwise.
    Running servers follow every change within seconds.
    """


@keys.command()
@click.argument("tenant")
@click.option("--name", default="", callback=_one_line, help="What it is for, to tell it from others.")
@click.option("--sequence", "sequences", multiple=True, metavar="NAME", help="Only this sequence; may be repeated.")
@click.option("--columns", multiple=True, metavar="SEQUENCE:A,B", help="Of this sequence only these columns.")
@click.option("--pii", multiple=True, metavar="[SEQUENCE:]COLUMN", help="A column of personal data to grant.")
@click.option("--requests-per-s", type=_RATE, callback=_finite, help="Quota; none by default.")
@click.option("--burst", type=_COUNT, help="Requests at once, of that quota; a second's worth by default.")
@click.option("--events-per-day", type=_COUNT, help="Quota, counted in UTC days; none by default.")
@click.option("--expires", type=Expiry(), help="90d, or 2027-01-31; never by default.")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="reader by default; may be repeated.")
@_quiet
def create(
    tenant: str,
    name: str,
    sequences: tuple[str, ...],
    columns: tuple[str, ...],
    pii: tuple[str, ...],
    requests_per_s: float | None,
    burst: int | None,
    events_per_day: int | None,
    expires: dt.timedelta | dt.datetime | None,
    roles: tuple[Role, ...],
    quiet: bool,
) -> None:
    """Make a key of TENANT and print it, once: only a hash of it is kept.

    Sequences of other tenants are granted by their owners: seqplat keys grant.
    """
    if burst is not None and requests_per_s is None:
        raise click.UsageError("--burst says how many requests of a quota may come at once; give --requests-per-s too")
    loaded = Runtime.from_environment().loaded
    granting.require_tenant(loaded.release, tenant)
    grants = granting.own_grants(loaded, tenant, sequences, _by_sequence(columns), pii)
    store = _store()
    key, text = changes.create(
        store,
        tenant,
        by=person(),
        name=name,
        roles=tuple(dict.fromkeys(roles)) or ("reader",),
        reads_own=not sequences,
        grants=grants,
        limits=Limits(requests_per_s, burst, events_per_day),
        expires_at=_instant(expires, store.clock.now()),
    )
    _tell(key, text, quiet, f"[green]created[/green] key {key.id} of tenant {tenant}")


@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Also expired and revoked ones.")
@click.option("--reading", metavar="SEQUENCE", help="Only those that may read this sequence, whoever's they are.")
def list_(everything: bool, reading: str | None) -> None:
    """Show keys, what they read, and when they were last used on this host."""
    store = _store()
    ring, now = store.read()[1], store.clock.now()
    shown = [key for key in ring.keys.values() if everything or key.state(now) == "active"]
    if reading is not None:
        release = Runtime.from_environment().release
        owner = granting.require_sequence(release, reading).tenant
        shown = [key for key in shown if key.reads(reading, owner)]
        if not shown:
            console.print(f"no key may read {reading} of tenant {owner}")
            return
    if not shown:
        hidden = len(ring.keys) - len(shown)
        console.print(
            "no key" + (f" is active; {hidden} expired or revoked: seqplat keys list --all" if hidden else "")
        )
        suggest(_first_key())
        return
    show_keys(shown, now, _usage(store.home))
    suggest(command("keys", "show", shown[0].id))


@keys.command()
@_key_id
def show(key_id: str) -> None:
    """Show one key: what it reads, its quotas, its use on this host, and who changed what."""
    store = _store()
    key = store.read()[1].key(key_id)
    show_key(key, store.clock.now(), _usage(store.home).get(key_id))
    suggest(f"seqplat keys rotate {key_id}", f"seqplat keys revoke {key_id}")


@keys.command()
@_key_id
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, help="The old secret works so long; 0s: no more."
)
@_quiet
def rotate(key_id: str, overlap: dt.timedelta, quiet: bool) -> None:
    """Give a key a new secret and print it, once; the old one works on for a while."""
    key, text = changes.rotate(_store(), key_id, by=person(), overlap=overlap)
    until = key.secrets[-1].until
    _tell(
        key,
        text,
        quiet,
        f"[green]rotated[/green] key {key_id}; "
        + (f"the old secret works until {until:%Y-%m-%d %H:%M} UTC" if until else "the old secret works no more"),
    )


@keys.command()
@_key_id
def revoke(key_id: str) -> None:
    """Close a key for good."""
    key = changes.revoke(_store(), key_id, by=person())
    console.print(f"[green]revoked[/green] key {key_id} of tenant {key.tenant}; servers refuse it within seconds")
    suggest(f"seqplat keys create {key.tenant}")


@keys.command()
@_key_id
@click.argument("sequence")
@click.option("--columns", metavar="A,B", help="Only these columns; all but personal data by default.")
@_pii
def grant(key_id: str, sequence: str, columns: str | None, pii: tuple[str, ...]) -> None:
    """Let a key read SEQUENCE, also of another tenant: for its owner to say. Replaces an earlier grant of it."""
    granted = granting.grant(Runtime.from_environment().loaded, sequence, _split(columns) if columns else None, pii)
    key = changes.grant(_store(), key_id, sequence, granted, by=person())
    console.print(f"[green]granted[/green] {sequence} of tenant {granted.owner} to key {key_id} of {key.tenant}")
    suggest(f"seqplat keys show {key_id}", f"seqplat keys withdraw {key_id} {sequence}")


@keys.command()
@_key_id
@click.argument("sequence")
def withdraw(key_id: str, sequence: str) -> None:
    """Take back a grant of SEQUENCE."""
    store = _store()
    granted = store.read()[1].key(key_id).grants
    if sequence not in granted:
        raise granting.CannotGrant(f"key {key_id} has no grant of {sequence!r}; {_those_of(granted)}")
    key = changes.withdraw(store, key_id, sequence, by=person())
    console.print(f"[green]withdrew[/green] {sequence} from key {key_id} of {key.tenant}")
    suggest(f"seqplat keys show {key_id}")


@keys.command("user-hash")
@click.argument("user")
def user_hash_(user: str) -> None:
    """Print what access logs say instead of USER, to search them for who read that user."""
    click.echo(user_hash(_store().read()[1].log_key, user))


def _first_key() -> str:
    """What makes a key: for a tenant there is, so after the first release."""
    try:
        tenants = Runtime.from_environment().release.tenants
    except Final:
        return "seqplat publish    # a key is a tenant's"
    return command("keys", "create", next(iter(tenants)))


def _store() -> KeyStore:
    return KeyStore(Home.from_environment())


def _usage(home: Home) -> Mapping[str, Row]:
    """By key; none where no server of this host has counted yet. Only looks: a server makes the file."""
    return Usage.read(default_file(home, os.environ.get("SEQPLAT_API_USAGE") or ""))


def _tell(key: Key, text: str, quiet: bool, done: str) -> None:
    if quiet:
        click.echo(text)
        return
    console.print(done)
    console.print(f"\n    {text}\n", markup=False, soft_wrap=True)
    console.print(
        "This is the only time it is shown. Send it with every request, and keep it out of arguments and code:"
    )
    console.print("    Authorization: Bearer sp_...", markup=False)
    suggest(f"seqplat keys show {key.id}")


def _by_sequence(columns: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in columns:
        sequence, _, names = each.partition(":")
        if not names:
            raise click.BadParameter(f"{each!r} names no columns; write SEQUENCE:A,B", param_hint="--columns")
        found.setdefault(sequence, []).extend(_split(names))
    return found


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _instant(expires: dt.timedelta | dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    return now + expires if isinstance(expires, dt.timedelta) else expires


def _those_of(granted: Iterable[str]) -> str:
    names = ", ".join(granted)
    return f"it has grants of {names}" if names else "it has none"

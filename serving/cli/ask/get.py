"""``seqplat get``: one user's sequence as a table."""

from math import floor

import click

from seqplat_resources.lake.layout import SESSIONS
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.answer import answer as answered
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan, UnknownSequence
from serving.access.caller import readable
from serving.access.keys.store import KeyStore
from serving.cli.ask.arms import in_arms
from serving.cli.ask.cells import cells
from serving.cli.ask.session import show_session
from serving.cli.output import console, quoted, table


@click.command()
@click.argument("sequence")
@click.argument("user")
@click.option("--columns", help="Comma-separated; all but event_id if not given.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Newest events to show.")
@click.option("--key", metavar="KEY_ID", help="Show what this API key may read, instead of all but personal data.")
def get(sequence: str, user: str, columns: str | None, limit: int, key: str | None) -> None:
    """Print the newest events of USER in SEQUENCE, as the API would answer them.

    Of a session view (sessions/NAME) it prints the session that USER is in, as of now, or the last one.
    """
    runtime = Runtime.from_environment()
    if sequence.startswith(f"{SESSIONS}/"):
        if columns or key:
            raise click.UsageError("--columns and --key are of sequences; leave them out for a session view")
        show_session(runtime, sequence, user)
        return
    plan = in_arms(runtime, _plan(runtime, sequence, key), user)
    store = open_online_store(runtime.home, readonly=True)
    try:
        answer = answered(plan, store, user, Query(_asked(plan, columns), limit), clock=runtime.clock)
    finally:
        store.close()
    events, fresh = answer.events, answer.freshness
    what = "event(s)" if plan.definition.collapse is None else "row(s)"
    table(f"{sequence} of user {user}: {events.height} newest {what}", events.columns, cells(events))
    sealed = f"{fresh.sealed_through:%Y-%m-%d %H:%M} UTC" if fresh.sealed_through else "nothing published"
    console.print(
        f"[dim]sealed through {sealed}, {_percent(fresh.completeness)} of the days due published, "
        f"release {fresh.release[:12]}[/dim]"
    )
    for event_type, arm in fresh.arms.items():
        console.print(f"[dim]events of {event_type}: {arm}[/dim]")
    if fresh.stream_lag_ms is not None:
        # Not how far it is behind: a stream that is silent may have nothing to say.
        console.print(f"[dim]streams showed everything received until {fresh.stream_lag_ms / 1000:.1f} s ago[/dim]")
    for problem in fresh.degraded:
        console.print(f"[yellow]degraded:[/yellow] {quoted(problem)}")


def _percent(share: float) -> str:
    """Rounded down: all but one of a thousand days is not all of them."""
    return f"{floor(1000 * share) / 10:g}%"


def _plan(runtime: Runtime, sequence: str, key_id: str | None) -> SequencePlan:
    """
    Raises:
        UnknownSequence: there is none of that name, or none for this key.
        UnknownKey, KeyRevoked: it opens nothing.
    """
    if key_id is None:
        return SequencePlan.of(runtime.loaded, sequence)
    key = KeyStore(runtime.home).read()[1].open_key(key_id)
    seen = {name: plan for name in runtime.release.sequences if (plan := readable(key, runtime.loaded, name))}
    if sequence not in seen:
        raise UnknownSequence(sequence, list(seen))
    return seen[sequence]


def _asked(plan: SequencePlan, columns: str | None) -> list[str]:
    if columns:
        return [name.strip() for name in columns.split(",")]
    return [name for name in plan.columns if name != "event_id"]

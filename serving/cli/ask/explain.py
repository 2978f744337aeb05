"""``seqplat explain``: why an event is, or is not, in a user's sequence."""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import click
import msgspec
from rich.text import Text

from seqplat_resources.commands import command
from seqplat_resources.explain import (
    SEARCH_DAYS,
    Candidate,
    EventKey,
    Explanation,
    Step,
    explain_row,
    parse_position,
    recent,
)
from seqplat_resources.explain import explain as explain_event
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.errors import StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.shown_text import plain
from serving.cli.ask.arms import in_arms
from serving.cli.durations import Day
from serving.cli.output import console, quoted, suggest, table, text
from serving.explain.answer import candidate_entry, explanation_answer


@click.command()
@click.argument("sequence")
@click.argument("user", required=False)
@click.argument("event_id", required=False)
@click.option("--raw", "position", metavar="PARTITION@OFFSET", help="Start from a row of a log or file.")
@click.option("--day", type=Day(), help="When it happened (UTC), to look there at once.")
@click.option("--type", "event_type", help="Which event type, where several have events of this id.")
@click.option("--days", default=SEARCH_DAYS, show_default=True, type=click.IntRange(1), help="Days to search at most.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="Events to list without EVENT_ID.")
@click.option("--facts", is_flag=True, help="Also every fact of every step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    sequence: str,
    user: str | None,
    event_id: str | None,
    position: str | None,
    day: dt.date | None,
    event_type: str | None,
    days: int,
    limit: int,
    facts: bool,
    as_json: bool,
) -> None:
    """Say why event EVENT_ID is, or is not, in USER's SEQUENCE, step by step from the raw row to the answer.

    Without EVENT_ID: the user's newest events, in the answer or not, with the verdict on each. With --raw, USER may be
    left out: it is in the row. Values of personal data are not shown.
    """
    runtime = Runtime.from_environment()
    plan = SequencePlan.of(runtime.loaded, sequence)
    plan_of = partial(in_arms, runtime, plan)
    # Whoever reads the lake may know of the other event types of the team.
    others = [name for name, e in runtime.release.event_types.items() if e.tenant == plan.definition.tenant]
    with _store(runtime) as store:
        if position is not None:
            at = parse_position(position)
            found = explain_row(
                runtime, store, plan, at, user=user, plan_of=plan_of, others=others, most_days=days, inside=True
            )
        elif user is None:
            raise click.UsageError("name a USER, or a row with --raw")
        elif event_id is None:
            listed = recent(
                runtime, store, plan_of(user), user, most=limit, day=day, others=others, most_days=days, inside=True
            )
            _print_candidates(sequence, user, listed, as_json=as_json)
            return
        else:
            found = explain_event(
                runtime,
                store,
                plan_of(user),
                user,
                event_id,
                event_type=event_type,
                day=day,
                others=others,
                most_days=days,
                inside=True,
            )
    if as_json:
        click.echo(msgspec.json.encode(explanation_answer(found)))
    else:
        _print(found, position, facts=facts)


@contextmanager
def _store(runtime: Runtime) -> Iterator[OnlineStore | None]:
    """The online store; None where there is none, which the explanation then says."""
    try:
        store = open_online_store(runtime.home, readonly=True)
    except StoreNotFoundError:
        yield None
        return
    try:
        yield store
    finally:
        store.close()


def _print(found: Explanation, position: str | None, *, facts: bool) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for step in found.steps:
        rows.append((step.name, step.outcome, step.said))
        rows += _facts(step) if facts else ()
    table(f"{_what(found.event, position)} in {found.sequence}", ["step", "outcome", "what happened"], rows)
    for name, verdict in found.also.items():
        console.print(f"\n[dim]also {name}, event of the same id:[/dim] {quoted(verdict.text)}")
    console.print(f"\n[bold]{quoted(found.verdict.text)}[/bold]")
    if found.verdict.next:
        suggest(*found.verdict.next)


def _what(event: EventKey, position: str | None) -> str:
    """What is explained: an event, or a row that says none."""
    of = f" of user {event.user}" if event.user else ""
    if not event.event_id:
        return f"row {position}{of}"
    known = ", ".join(str(fact) for fact in (event.event_type, event.day) if fact is not None)
    return f"event {event.event_id}{f' ({known})' if known else ''}{of}"


def _facts(step: Step) -> Iterator[tuple[str | Text, ...]]:
    for name, value in step.facts.items():
        if value not in (None, [], {}):
            yield "", "", Text(plain(f"{name}: {_fact_text(value)}"), style="dim")


def _fact_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {each}" for name, each in value.items())
    return text(value)


def _print_candidates(sequence: str, user: str, listed: list[Candidate], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode([candidate_entry(candidate) for candidate in listed]))
        return
    if not listed:
        console.print(f"nothing of user {quoted(user)} was found: no raw row, and no event in the online store")
        suggest(command("get", sequence, user), "seqplat tables")
        return
    rows = [(c.event_time, c.event.event_type, c.event.event_id, c.verdict.text) for c in listed]
    table(f"{len(rows)} newest event(s) of user {user}", ["event_time", "event_type", "event_id", "verdict"], rows)
    suggest(command("explain", sequence, user, listed[0].event.event_id))

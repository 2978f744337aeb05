"""``seqplat checks``: what checks found, what needs somebody, and saying that somebody knows."""

import datetime as dt
import sys
from typing import get_args

import click
import msgspec
from rich.text import Text

from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.health.attention import Attention
from seqplat_resources.health.board import DAYS, health, look
from seqplat_resources.health.filters import Wanted, narrowed
from seqplat_resources.health.view import Cell, CheckRow, Health, Incident, Status
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shown_text import plain
from serving.cli.durations import Day
from serving.cli.output import console, quoted, suggest, table
from serving.cli.person import person

NEEDS_YOU, UNREADABLE = 1, 2
_GLYPHS: dict[Status, tuple[str, str]] = {
    "pass": ("·", "green"),
    "warn": ("w", "yellow"),
    "fail": ("F", "bold red"),
    "unjudged": ("?", "magenta"),
    "stale": ("s", "cyan"),
}
_LEGEND = "· pass  w warn  F fail  s stale: built or defined otherwise since  ? not judged  blank: nothing to judge"
_because = click.option("--because", required=True, metavar="REASON", help="For whoever looks next.")


@click.group(invoke_without_command=True)
@click.option("--owner", help="Only what this owner has.")
@click.option("--tenant", help="Only what this tenant has.")
@click.option("--check", help="Only checks of this name.")
@click.option("--status", type=click.Choice(get_args(Status)), help="Only checks whose worst day is this.")
@click.option("--days", type=click.IntRange(1, 400), default=DAYS, show_default=True, help="How many days to show.")
@click.option("--json", "as_json", is_flag=True, help="The whole view, for programs.")
@click.pass_context
def checks(
    context: click.Context,
    owner: str | None,
    tenant: str | None,
    check: str | None,
    status: Status | None,
    days: int,
    as_json: bool,
) -> None:
    """Show what checks found: incidents worst first, then every check that is not well, day by day.

    Ends with 0 where nobody is needed, 1 where somebody is, 2 where the results cannot be read, or nobody has such.
    """
    if context.invoked_subcommand is not None:
        return
    whole = _view(days)
    _require_some(whole, Wanted(owner, tenant, check))
    view = narrowed(whole, Wanted(owner, tenant, check, status))
    if as_json:
        click.echo(msgspec.json.encode(view))
    else:
        _show(view)
    sys.exit(UNREADABLE if view.errors else NEEDS_YOU if view.need_you else 0)


@checks.command()
@click.argument("incident")
@_because
def acknowledge(incident: str, because: str) -> None:
    """Say that you know of INCIDENT; it comes back when it gets worse."""
    found, runtime = _incident(incident)
    Attention(runtime.home, runtime.clock).acknowledge(found, who=person(), says=because)
    console.print(f"acknowledged: {quoted(found.title)}; it comes back when it gets worse", soft_wrap=True)


@checks.command()
@click.argument("incident")
@click.option("--until", type=Day(), required=True, help="The last day without it.")
@_because
def mute(incident: str, until: dt.date, because: str) -> None:
    """Hear no more of INCIDENT up to and including a day, or until it gets worse."""
    found, runtime = _incident(incident)
    Attention(runtime.home, runtime.clock).mute(found, who=person(), says=because, until=until)
    console.print(f"muted until {until}: {quoted(found.title)}; it comes back when it gets worse", soft_wrap=True)


class NoSuchIncident(Final):
    """None, or several, of which the id begins so."""


def _view(days: int) -> Health:
    """Exits where the results cannot be read."""
    runtime = Runtime.from_environment()
    try:
        return health(runtime, look(runtime, days=days), days=days)
    except BaseException as error:  # a panic of Polars is no Exception
        if (told := in_our_words(error)) is None:
            raise
        click.secho(f"error: {told}", fg="red", err=True)
        sys.exit(UNREADABLE)


def _require_some(view: Health, wanted: Wanted) -> None:
    """Exits where there is no such check at all: of a name that is misspelled nothing is ever wrong."""
    if not view.rows or narrowed(view, wanted).rows:
        return
    for name in ("owner", "tenant", "check"):
        there = sorted({getattr(row, name) or "" for row in view.rows} - {""})
        if (given := getattr(wanted, name)) is not None and not narrowed(view, Wanted(**{name: given})).rows:
            click.secho(
                f"error: no check has {name} {plain(given)!r}; there are: {', '.join(there)}", fg="red", err=True
            )
            sys.exit(UNREADABLE)
    click.secho("error: no check has all of these filters; leave one out", fg="red", err=True)
    sys.exit(UNREADABLE)


def _incident(wanted: str) -> tuple[Incident, Runtime]:
    """By its id, or the beginning of it."""
    view = _view(DAYS)
    found = [each for each in view.incidents if wanted and each.id.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(each.id for each in view.incidents) or "none"
        what = "several incidents begin with" if found else "there is no incident"
        raise NoSuchIncident(f"{what} {wanted!r}; there are: {known}. `seqplat checks` shows them")
    return found[0], Runtime.from_environment()


def _show(view: Health) -> None:
    up_to = f" for data up to {view.data_up_to}" if view.data_up_to else ""
    colour = "green" if not view.need_you else "red"
    console.print(
        f"[bold]{view.healthy} of {view.assets} healthy{up_to}[/bold], [{colour}]{view.need_you} need you[/{colour}]"
    )
    for error in view.errors:
        console.print(f"[red]{quoted(error)}[/red]", soft_wrap=True)
    for each in view.incidents:
        _show_incident(each)
    if shown := [row for row in view.rows if row.worst != "pass"]:
        span = f"{view.days[0]} to {view.days[-1]}"
        never = {*view.never_ran}
        rows = [
            (
                row.asset,
                row.check,
                _cells(row.cells),
                _number(row.cells),
                _more(row, never=(row.asset, row.check) in never),
            )
            for row in shown
        ]
        console.print()
        table(f"checks that are not well, {span}", ["asset", "check", "days", "value / limit", ""], rows)
        console.print(f"[dim]{_LEGEND}[/dim]", soft_wrap=True)
    if waiting := [each for each in view.incidents if each.needs_you]:
        suggest(
            *dict.fromkeys(each.next for each in waiting[:3] if each.next),
            command("checks", "acknowledge", waiting[0].id) + " --because '...'",
        )


def _show_incident(each: Incident) -> None:
    glyph, style = _GLYPHS[each.status]
    known = f" (acknowledged by {each.acknowledged.who}: {each.acknowledged.says})" if each.acknowledged else ""
    known += f" (muted until {each.muted_until})" if each.muted_until else ""
    span = f", {each.days[0]}" + (f" to {each.days[-1]}" if each.days[1:] else "") if each.days else ""
    console.print()
    console.print(Text.assemble((f"{glyph} {plain(each.title)}{span}", style), plain(known)), soft_wrap=True)
    console.print(Text(f"  {plain(each.because)}"), soft_wrap=True)
    what = f"{len(each.touches)} check(s)"
    console.print(Text(f"  {each.id}: {what}; next: {plain(each.next)}", style="dim"), soft_wrap=True)


def _more(row: CheckRow, *, never: bool) -> str:
    muted = f"muted until {row.muted_until}" if row.muted_until else ""
    return ", ".join(filter(None, ["never ran" if never else "", muted]))


def _cells(cells: tuple[Cell, ...]) -> Text:
    """A letter a day, oldest first."""
    return Text.assemble(*(_GLYPHS[cell.status] if cell.is_due else (" ", "") for cell in cells))


def _number(cells: tuple[Cell, ...]) -> str:
    """Of the newest day that is not well."""
    said = [cell for cell in cells if cell.is_due and cell.status != "pass" and cell.value is not None]
    if not said or said[-1].value is None:
        return ""
    limit = said[-1].limit
    return f"{said[-1].value:.4g}" + (f" / {limit:.4g}" if limit is not None else "")

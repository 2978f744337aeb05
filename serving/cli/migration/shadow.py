"""``seqplat shadow``: what differs from legacy, whether that passes, and what somebody accepts of it.

>>> sorted(shadow.commands)
['accept', 'accepted', 'check', 'floor', 'self-test', 'verdict', 'withdraw']
"""

import datetime as dt
import sys

import click

from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.redaction import HIDDEN
from seqplat_resources.shadow.days.window import DAYS
from seqplat_resources.shadow.sequences.window import by_activity
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference
from seqplat_resources.shadow.verdict.account import headline, percent, tables
from seqplat_resources.shadow.verdict.bands import Band, above_noise, is_noise
from seqplat_resources.shadow.verdict.decide import GATE_DAYS
from seqplat_resources.shadow.verdict.floors import Apart
from seqplat_resources.shadow.verdict.record import EXIT_CODES, VerdictRecord, load, recheck, signing_key
from sequence_defs.analysis.wording import instead
from serving.cli.migration.names import LegacySubject, subject_of
from serving.cli.output import console, quoted, suggest, table
from serving.cli.person import person

_name = click.argument("name", metavar="EVENT_TYPE_OR_SEQUENCE")
_COLOURS = {"PASS": "green", "FAIL": "red", "HOLD": "yellow"}


class NothingCompared(Final):
    """An event type, or a sequence, of which no day was compared."""


class UnknownMetric(Final):
    """What no verdict judges, so that accepting it would accept nothing."""


@click.group()
def shadow() -> None:
    """Events, and sequences, beside those of the pipeline before: verdicts, and differences that somebody accepts.

    Where an event type and a sequence have one name, `sequences/NAME` is the sequence.
    """


@shadow.command()
@_name
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the window; left out, the newest compared."
)
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1, 366), help="How many days together.")
@click.option("--keep/--no-keep", default=True, help="Whether it becomes the event type's newest verdict.")
def verdict(name: str, until: dt.datetime | None, days: int, keep: bool) -> None:
    """Judge the days that were compared, print why, and keep the record.

    Exit code 0: PASS, all metrics are proven to be within their bands. 1: FAIL, one is proven to be beyond. 2: HOLD,
    neither is proven yet, or something stands in the way.
    """
    subject = subject_of(Runtime.from_environment(), name)
    compared = subject.days.days()
    if not compared:
        build = command("materialize", "<first day>", "<last day>", f"+{subject.asset}")
        raise NothingCompared(f"no day of {name!r} was compared with legacy yet; run `{build}`")
    found = subject.judged(until.date() if until else compared[-1], days, who=person(), keep=keep)
    state = found.record.decision.state
    console.print(f"[{_COLOURS[state]}]{quoted(headline(found.record))}[/]", soft_wrap=True)
    activity = [by_activity(subject.days.read(found.record.case.window.judged))] if subject.is_sequence else []
    for each in [*tables(found.record), *activity]:
        console.print()
        table(each.title, each.headers, each.rows, right=each.right)
    if found.number:
        console.print(f"[dim]kept as verdict {found.number}[/dim]")
    if state != "PASS":
        suggest(*_to_explain(subject, found.record))
    elif not subject.is_sequence:
        suggest(command("cutover", "advance", name))
    sys.exit(EXIT_CODES[state])


def _to_explain(subject: LegacySubject, record: VerdictRecord) -> list[str]:
    """How to look at the first example, in a sequence that shows it; none of whom the record does not name."""
    named = [each for each in record.examples if HIDDEN not in (each.user, each.event_id)]
    sequences = [name for name, each in subject.runtime.release.sequences.items() if subject.name in each.event_types]
    shown_in = [subject.name] if subject.is_sequence else sequences
    if not named or not shown_in:
        return []
    return [command("explain", shown_in[0], named[0].user, *filter(None, [named[0].event_id]))]


@shadow.command()
@_name
@click.argument("number", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the record itself.")
def check(name: str, number: int | None, as_json: bool) -> None:
    """Decide a kept verdict again, from its own counts, and say whether it is about what there is now.

    Exit codes are those of `verdict`; a record that was changed is 1, and one about days that were built anew is 2.
    """
    subject = subject_of(Runtime.from_environment(), name)
    newest = subject.log.latest()
    if newest is None:
        raise NothingCompared(f"there is no verdict on {name!r}; `{command('shadow', 'verdict', name)}` makes one")
    try:
        document = newest[1] if number is None else subject.log.read(number)
    except FileNotFoundError:
        raise NothingCompared(f"there is no verdict {number} on {name!r}; the newest is {newest[0]}") from None
    if as_json:
        click.echo(document.decode())
        return
    record = load(document)
    found = recheck(document, subject.tables, signing_key(subject.runtime.home))
    console.print(quoted(headline(record)), soft_wrap=True)
    for said in (*found.found, *found.stale):
        console.print(f"[yellow]{quoted(said)}[/yellow]", soft_wrap=True)
    if found.holds and not found.stale:
        console.print("it holds, and is about what there is")
    sys.exit(found.exit_code)


@shadow.command()
@_name
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day; left out, the newest that both runs have.")
@click.option("--days", default=GATE_DAYS, show_default=True, type=click.IntRange(GATE_DAYS, 366), help="How many.")
@click.option("--show", is_flag=True, help="Measure nothing: say what the newest one is.")
def floor(name: str, until: dt.datetime | None, days: int, show: bool) -> None:
    """Compare legacy with its own replay, named by `replay=` of its definition, and keep how far they are apart.

    For a month a band is at least twice that. Exit code 1: some metric differs too much for noise, and its band stays;
    or with --show, none holds.
    """
    subject = subject_of(Runtime.from_environment(), name)
    last = until.date() if until else None
    found = subject.floors.latest() if show else subject.measured(last, days, who=person())
    if found is None:
        console.print(f"no noise floor of {name} was measured")
        sys.exit(1)
    bands = subject.bands
    rows = [_floor_row(bands[metric], each) for metric, each in sorted(found.metrics.items()) if metric in bands]
    headers = ["metric", "differing", "compared", "floor", "band by default", "band"]
    table(str(found), headers, rows, right=headers[1:])
    if subject.floor_now is None:
        console.print("[yellow]it does not hold: it ended, or what is compared is another since[/yellow]")
        sys.exit(1)
    suggest(command("shadow", "verdict", name))
    if wide := [m for m, each in found.metrics.items() if m in bands and not is_noise(bands[m].limit, each.share)]:
        console.print(f"[red]{', '.join(wide)}: too far apart to be noise, so the band stays[/red]", soft_wrap=True)
        sys.exit(1)


def _floor_row(band: Band, found: Apart) -> tuple[str, ...]:
    limit = above_noise(band.limit, found.share)
    shares = (percent(each) for each in (found.share, band.limit, limit))
    return (band.name, f"{found.differing:,.5g}", f"{found.compared:,.0f}", *shares)


@shadow.command("self-test")
@_name
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Left out, the newest that was compared.")
@click.option("--seed", default=0, show_default=True, help="Another one hits other events.")
def self_test(name: str, day: dt.datetime | None, seed: int) -> None:
    """Put defects into a copy of a day of ours and see which of them the gate would notice. Nothing is kept.

    Exit code 1: it passes a defect. 2: it decides nothing, with the defects or without.
    """
    subject = subject_of(Runtime.from_environment(), name)
    compared = subject.days.days()
    if not compared and day is None:
        raise NothingCompared(f"no day of {name!r} was compared with legacy yet; give one with --day")
    wanted = day.date() if day else compared[-1]
    found = subject.rehearsed(wanted, seed)
    title = f"defects in a copy of {name}, {wanted}; without any the gate says {found.state}"
    rows = [(each.defect, each.injected, each.outcome, each.because.partition("; ")[0]) for each in found.probes]
    table(title, ["defect", "injected", "", "because"], rows, right=["injected"])
    if found.missed:
        sys.exit(1)
    sys.exit(2 if any(each.outcome == "untold" for each in found.probes) else 0)


@shadow.command()
@_name
@click.argument("metric")
@click.argument("at_most", type=float)
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Last day on which it is accepted.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--reason", required=True, help="Why it may differ.")
def accept(name: str, metric: str, at_most: float, until: dt.datetime, owner: str, reason: str) -> None:
    """Accept that METRIC differs, in a share of AT_MOST (0.005 is 0.5 %), until a day. It never fails silently: what is
    worse than accepted counts, and so does everything after that day.
    """
    subject = subject_of(Runtime.from_environment(), name)
    if metric not in subject.bands:
        fix = instead(metric, subject.bands, "take one of its verdicts")
        raise UnknownMetric(f"no verdict on {name!r} judges {metric!r}; {fix}")
    wanted = AcceptedDifference(metric, at_most, until.date(), owner, reason)
    subject.accepted.accept(wanted, by=person())
    _accepted(subject)
    suggest(command("shadow", "verdict", name))


@shadow.command()
@_name
@click.argument("metric")
@click.option("--reason", required=True, help="Why it counts again.")
def withdraw(name: str, metric: str, reason: str) -> None:
    """Let a difference that was accepted count again."""
    subject = subject_of(Runtime.from_environment(), name)
    subject.accepted.withdraw(metric, by=person(), reason=reason)
    _accepted(subject)


@shadow.command()
@_name
def accepted(name: str) -> None:
    """Show what is accepted of an event type."""
    subject = subject_of(Runtime.from_environment(), name)
    _accepted(subject)


def _accepted(subject: LegacySubject) -> None:
    state = subject.accepted.current()
    today = subject.runtime.clock.now().date()
    rows = [
        (
            each.metric,
            f"{100 * each.at_most:g} %",
            each.until,
            "" if each.holds_on(today) else "ended",
            each.owner,
            each.reason,
        )
        for each in state.differences
    ]
    headers = ["metric", "at most", "until", "", "owner", "reason"]
    table(f"differences of {subject.name} that are accepted", headers, rows, right=["at most"])

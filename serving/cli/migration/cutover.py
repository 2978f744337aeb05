"""``seqplat cutover``: move the users of an event type from legacy to ours, step by step.

>>> sorted(cutover.commands)
['advance', 'hold', 'readout', 'retire', 'rollback', 'status']
"""

import sys

import click

from seqplat_resources.commands import command
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.ladder.gate import grounds_of
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, LadderError, Move, Standing
from seqplat_resources.shadow.ladder.retirement import checklist
from seqplat_resources.shadow.ladder.steps import STEPS
from seqplat_resources.shadow.verdict.record import VerdictLog, load
from serving.cli.migration.names import sides_of
from serving.cli.migration.readout import readout
from serving.cli.output import console, quoted, suggest, table
from serving.cli.person import person

_event_type = click.argument("event_type")
_reason = click.argument("reason")


@click.group()
def cutover() -> None:
    """Move users from the pipeline before to ours: legacy, shadow, 1 %, 10 %, 50 %, live, retired."""


@cutover.command()
@click.argument("event_type", required=False)
def status(event_type: str | None) -> None:
    """Show where event types stand, and every move of one of them."""
    runtime = Runtime.from_environment()
    if event_type is None:
        _all(runtime)
        return
    ladder = _ladder(runtime, event_type)
    standing = ladder.standing()
    _, wrong = _grounds(runtime, ladder, standing)
    held = ", held" if standing.is_held else ""
    console.print(
        f"{event_type} is at {standing.step.name}{held}: {standing.step.share / 100:g} % of users have our events"
    )
    for said in wrong:
        console.print(f"[yellow]no step up: {quoted(said)}[/yellow]", soft_wrap=True)
    rows = [
        (m.number, m.moved_at, m.action, f"{m.before} -> {m.step}", m.moved_by, _grounds_said(m), m.reason)
        for m in ladder.history()
    ]
    if rows:
        table("moves", ["move", "at (UTC)", "what", "step", "by", "on the grounds of", "reason"], rows, right=["move"])
    suggest(*_next(standing, wrong))


def _next(standing: Standing, wrong: list[str]) -> list[str]:
    """What leads up from here."""
    name = standing.event_type
    if standing.step.name == "retired":
        return []
    if wrong:
        return [command("shadow", "verdict", name)]
    if standing.is_held:
        return [f"{command('cutover', 'hold', name)} REASON --resume"]
    if standing.step.name == "live":
        return [f"{command('cutover', 'retire', name)} REASON"]
    return [command("cutover", "advance", name)]


def _all(runtime: Runtime) -> None:
    rows = []
    for name, definition in sorted(runtime.release.event_types.items()):
        if definition.legacy is None:
            continue
        standing = Ladder(runtime.home, definition, runtime.clock).standing()
        newest = VerdictLog(runtime.home, name).latest()
        record = load(newest[1]) if newest else None
        verdict = record.decision.state if record else "none"
        because = record.decision.because[0] if record and verdict != "PASS" else ""
        share = f"{standing.step.share / 100:g} %"
        rows.append((name, standing.step.name + (" (held)" if standing.is_held else ""), share, verdict, because))
    table("event types with legacy", ["event type", "step", "ours", "verdict", "because"], rows, right=["ours"])
    if not rows:
        console.print("no event type says `legacy`, so there is nothing to move")


@cutover.command()
@_event_type
@click.option("--override", metavar="REASON", help="Move without a verdict that passes; the reason is kept.")
def advance(event_type: str, override: str | None) -> None:
    """One step up, on the grounds of the newest verdict."""
    runtime = Runtime.from_environment()
    ladder = _ladder(runtime, event_type)
    standing = ladder.standing()
    grounds, wrong = _grounds(runtime, ladder, standing)
    if override:
        grounds = Grounds(grounds.state, grounds.digest, override)
    try:
        move = ladder.advance(by=person(), grounds=grounds, at=standing)
    except LadderError:
        for said in wrong:
            console.print(f"[yellow]{quoted(said)}[/yellow]", soft_wrap=True)
        raise
    _moved(move)


@cutover.command()
@_event_type
@_reason
@click.option("--resume", is_flag=True, help="Let it go on.")
def hold(event_type: str, reason: str, resume: bool) -> None:
    """Keep an event type at its step until it is resumed. A verdict of FAIL still takes it down."""
    _moved(_ladder(Runtime.from_environment(), event_type).hold(by=person(), reason=reason, resume=resume))


@cutover.command()
@_event_type
@_reason
@click.option("--to", type=click.Choice([step.name for step in STEPS[:-1]]), help="Left out, one step.")
def rollback(event_type: str, reason: str, to: str | None) -> None:
    """Take users back to a lower step, at once and without a verdict."""
    _moved(_ladder(Runtime.from_environment(), event_type).roll_back(by=person(), reason=reason, to=to))


@cutover.command()
@_event_type
@_reason
@click.option("--dry-run", is_flag=True, help="Only go through the checklist.")
def retire(event_type: str, reason: str, dry_run: bool) -> None:
    """Say that the old pipeline may be switched off, if nobody needs it any more."""
    runtime = Runtime.from_environment()
    ladder = _ladder(runtime, event_type)
    points = checklist(runtime, ladder, _grounds(runtime, ladder, ladder.standing()))
    table(
        "before the old pipeline is switched off",
        ["", "what", ""],
        [("yes" if p.holds else "NO", p.what, p.says) for p in points],
    )
    if not all(point.holds for point in points):
        console.print("[red]not retired[/red]: see what does not hold")
        sys.exit(1)
    if not dry_run:
        _moved(ladder.retire(by=person(), reason=reason))


cutover.add_command(readout)


def _ladder(runtime: Runtime, event_type: str) -> Ladder:
    return Ladder(runtime.home, sides_of(runtime, event_type).plan.event_type, runtime.clock)


def _grounds(runtime: Runtime, ladder: Ladder, standing: Standing) -> tuple[Grounds, list[str]]:
    return grounds_of(ladder, standing, sides_of(runtime, standing.event_type))


def _grounds_said(move: Move) -> str:
    verdict = f"verdict {move.grounds.digest}: {move.grounds.state}" if move.grounds.digest else ""
    return " ".join(filter(None, [verdict, f"OVERRIDE: {move.grounds.override}" if move.grounds.override else ""]))


def _moved(move: Move) -> None:
    held = ", held" if move.is_held else ""
    console.print(f"{move.event_type}: {move.before} -> {move.step}{held} (move {move.number})")
    suggest(command("cutover", "status", move.event_type))

"""A plan in words: for a terminal, and as Markdown for a pull request."""

from collections.abc import Iterable, Iterator

from seqplat_resources.planning.plan import Plan, Work
from seqplat_resources.planning.readers import Readership
from seqplat_resources.planning.wording import lines_of, moved, reach_of
from sequence_defs.evolution.change import KINDS, DefinitionChange

# Of what nobody measured yet.
UNMEASURED = "no measurement yet"


def headline(plan: Plan) -> str:
    """What it is about, in a line."""
    if plan.is_empty:
        return f"nothing to do: channel {plan.channel} runs these definitions, and its days were made by them"
    if not plan.publishes:
        return f"channel {plan.channel} runs these definitions already, but not all of its days were made by them"
    counts = [f"{count} {kind}" for kind in reversed(KINDS) if (count := _count(plan, kind))]
    base = f"release {plan.base[:12]} (move {plan.move})" if plan.base else "nothing"
    said = f"{', '.join(counts)} change(s)" if counts else "no change of a definition"
    return f"channel {plan.channel}: {base} -> release {plan.release[:12]}: {said}"


def change_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    """The diff, the worst first: class and line; continued lines are indented and of the same class."""
    refused = {change.place: change for change in plan.refused}
    for kind in reversed(KINDS):
        for change in plan.changes:
            if change.kind == kind:
                first, *more = lines_of(refused.get(change.place, change))
                yield kind, first
                yield from ((kind, line) for line in (more if kind not in ("none", "compatible") else more[:1]))
                yield kind, f"  follows: {plan.follows.get(change.object, 'publish')}"


def step_lines(plan: Plan) -> Iterator[str]:
    """What applying it does, numbered."""
    number = 0
    if plan.publishes:
        number += 1
        yield f"{number}. publish release {plan.release[:12]} to channel {plan.channel}"
    for each in plan.work:
        number += 1
        yield f"{number}. build {work_in_words(each)}"
    if plan.work:
        yield f"in all {plan.days:,} day(s) of assets, {total_in_words(plan)}"


def work_in_words(work: Work) -> str:
    """``730 day(s) of events/click, 2024-01-01 to 2025-12-30 (made by another definition): 1,000 rows, ...``."""
    first, last = work.spans[0][0], work.spans[-1][1]
    spans = f"{first} to {last}" + (f" in {len(work.spans)} runs" if len(work.spans) > 1 else "")
    columns = f", only column(s) {', '.join(work.columns)}" if work.columns else ""
    time = UNMEASURED if work.seconds is None else minutes(work.seconds)
    effort = f"{work.rows:,} rows, {size(work.bytes)}, {time}"
    return f"{work.days:,} day(s) of {work.asset}, {spans} ({work.why}{columns}): {effort}"


def total_in_words(plan: Plan) -> str:
    """Minutes of what was measured, what they cost, and what was not measured."""
    rows, written = sum(each.rows for each in plan.work), sum(each.bytes for each in plan.work)
    some = ", ".join(plan.unmeasured[:3]) + (" ..." if plan.unmeasured[3:] else "")
    left = f", without {some}: {UNMEASURED}" if some else ""
    cost = f", {plan.price.of(plan.seconds)}" if plan.price and plan.seconds else ""
    return f"{rows:,} rows, {size(written)}, {minutes(plan.seconds)}{cost}{left}"


def reader_lines(plan: Plan) -> list[str]:
    """Who read what is reached."""
    if not plan.sequences:
        return []
    if plan.readings is None:
        return [f"reaches sequence(s) {', '.join(plan.sequences)}; nobody counted who reads them"]
    by_sequence = {name: [r for r in plan.readings if r.sequence == name] for name in plan.sequences}
    return [f"sequence {name}: {_by_whom(readings)}" for name, readings in by_sequence.items()]


def markdown(plan: Plan) -> str:
    """A comment for a pull request."""
    lines = [f"### Plan `{plan.name}`", "", headline(plan), ""]
    if plan.changes:
        lines += ["| class | what | from -> to | why | follows |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(plan, change) for kind in reversed(KINDS) for change in plan.changes if change.kind == kind]
        lines.append("")
    ways = [change for change in plan.refused if change.way_out]
    if ways:
        lines += ["**Refused in place.** Ways out:", "", *(f"- `{c.place}`: {_cell(c.way_out)}" for c in ways), ""]
    lines += [f"- {line}" for line in reader_lines(plan)]
    steps = list(step_lines(plan))
    if steps:
        lines += ["", "**Steps**", "", *steps]
    return "\n".join([*lines, "", f"`seqplat apply {plan.name}`", ""])


def minutes(seconds: float) -> str:
    """``about 3 s``, ``about 12.5 min``."""
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.1f} min"


def size(count: int) -> str:
    """Bytes in a unit that a person reads."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def _count(plan: Plan, kind: str) -> int:
    return sum(change.kind == kind for change in plan.changes)


def _by_whom(readings: Iterable[Readership]) -> str:
    said = [f"key {r.key} of tenant {r.tenant} (last {r.at[:16].replace('T', ' ')} UTC)" for r in readings]
    return f"read in the last 14 days by {', '.join(said)}" if said else "read by nobody in the last 14 days"


def _row(plan: Plan, change: DefinitionChange) -> str:
    reached = reach_of(change.reach)
    why = f"{change.why}; reaches {reached}" if reached else change.why
    cells = (change.kind, f"`{change.place}`", moved(change), why, plan.follows.get(change.object, "publish"))
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

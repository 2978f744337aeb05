"""Legacy beside its own replay: the same comparison, with a second run of legacy in our place.

>>> measure_floor(shop, "purchase", who="ann")
Traceback (most recent call last):
    ...
seqplat_resources.shadow.verdict.floors.CannotMeasure: legacy of event type 'purchase' names no ...
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from seqplat_resources.batch.inputs import tables
from seqplat_resources.commands import command
from seqplat_resources.comparison.causes.rules import explain
from seqplat_resources.comparison.contract import Sums, merged
from seqplat_resources.comparison.counts import counted
from seqplat_resources.comparison.events import compare_events
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import COUNTED_AS, bands_of
from seqplat_resources.shadow.verdict.decide import GATE_DAYS
from seqplat_resources.shadow.verdict.floors import HOLDS_FOR, Apart, CannotMeasure, FloorLog, NoiseFloor


def measure_floor(
    runtime: Runtime, event_type: str, *, until: dt.date | None = None, days: int = GATE_DAYS, who: str
) -> NoiseFloor:
    """Compare the newest ``days`` days that both runs have, up to ``until``, and keep how far they are apart.

    Raises:
        NotCompared: the event type says no legacy. CannotMeasure: it names no replay, or there are too few days.
        RecordConflict: somebody else measured it meanwhile.
    """
    sides = Sides.open(runtime, event_type)
    again = _replay_of(sides)
    window = _days(sides, again, until, max(days, GATE_DAYS))
    sums = merged(_counted(sides, again, day) for day in window)
    found = {
        name: Apart(each.differing, each.compared)
        for name in bands_of(sides.legacy)
        if (each := sums.get(COUNTED_AS.get(name, f"{name}.unexpected"), Sums())).compared
    }
    if not found:
        raise CannotMeasure(f"neither run of legacy of {event_type!r} has any event from {window[0]} to {window[-1]}")
    log, replay = FloorLog(runtime.home, event_type), again.legacy.source.name
    return kept_floor(log, runtime, replay, sides.floor_definition, window, found, who)


def kept_floor(
    log: FloorLog,
    runtime: Runtime,
    replay: str,
    definition: str,
    window: Sequence[dt.date],
    found: Mapping[str, Apart],
    who: str,
) -> NoiseFloor:
    """Write down what was measured.

    Raises:
        RecordConflict: somebody else measured it meanwhile.
    """
    latest, now = log.latest(), runtime.clock.now()
    floor = NoiseFloor(
        number=latest.number + 1 if latest else 1,
        replay=replay,
        definition=definition,
        first=window[0],
        last=window[-1],
        days=len(window),
        until=now.date() + HOLDS_FOR,
        metrics=found,
        by=who,
        at=now,
    )
    log.append(floor)
    return floor


def _replay_of(sides: Sides) -> Sides:
    """The same two sides, with the replay where legacy is."""
    if (source := sides.replay) is None:
        name = sides.plan.event_type.name
        raise CannotMeasure(
            f"legacy of event type {name!r} names no replay; run the older pipeline a second time over the same input, "
            "read what it wrote by a Source, and name that in Legacy(replay=...)"
        )
    table = tables.raw(sides.runtime, source).pinned()
    return replace(sides, legacy=replace(sides.legacy, source=source, table=table))


def _days(sides: Sides, again: Sides, until: dt.date | None, days: int) -> list[dt.date]:
    both = sorted(day for day in sides.legacy.built & again.legacy.built if until is None or day <= until)
    if len(both) < GATE_DAYS:
        names = f"raw/{sides.legacy.source.name}", f"raw/{again.legacy.source.name}"
        build = command("materialize", "<first day>", "<last day>", *names)
        raise CannotMeasure(
            f"a noise floor takes {GATE_DAYS} days that legacy and its replay have, and there are {len(both)}; "
            f"build them with `{build}`"
        )
    return both[-days:]


def _counted(sides: Sides, again: Sides, day: dt.date) -> dict[str, Sums]:
    """Of one day, as days are counted; nothing is known or expected of a difference between two runs."""
    return merged(_of_shards(sides, again, day))


def _of_shards(sides: Sides, again: Sides, day: dt.date) -> Iterator[dict[str, Sums]]:
    for shard in range(sides.shards):
        one, other = (each.theirs(day, shard)[0].rows for each in (again, sides))
        found = compare_events(one, other, sides.rules, sides.matching)
        if found.union:
            yield counted(found, explain(found, rules=sides.rules))

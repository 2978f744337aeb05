"""Days whose comparison is about something else than there is: they are compared again, as other days are mended.

A tolerance that changed, an event type that is defined otherwise, a bucket of either side that was built anew without
its comparison: all of these leave days that are not judged any more, and nobody would look at them again.

>>> sorted(every_need(shop))
[]
"""

import datetime as dt
import logging
from collections.abc import Iterator

from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.ledger import PATIENCE
from seqplat_resources.batch.days.needs import Need, Warn, all_needs, alone
from seqplat_resources.lake.layout import SHADOW, SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays, ComparedOf
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.sequences.ours import SequenceSides

_log = logging.getLogger(__name__)
# The newest days that were compared are looked at, as many as verdicts and pages are about. Older ones stay as they
# are until somebody compares them.
_DAYS = 31
STALE = "stale"


def every_need(runtime: Runtime, told: Warn = _log.warning) -> dict[str, dict[dt.date, Need]]:
    """All days to build again, as of ``batch.days.needs``, and the comparisons that are stale."""
    found = all_needs(runtime, told)
    for asset in ranges_of(runtime):
        layer, name = asset.split("/", 1)
        if layer in (SHADOW, SHADOW_SEQUENCES):
            with alone(asset, told):
                stale = {need.day: need for need in _stale(runtime, asset, layer, name)}
                found[asset] = dict(sorted({**stale, **found.get(asset, {})}.items()))
    return {asset: found[asset] for asset in ranges_of(runtime) if found.get(asset)}


def _stale(runtime: Runtime, asset: str, layer: str, name: str) -> Iterator[Need]:
    compared = ComparedDays.of(runtime, name, layer).newest(_DAYS)
    if not compared:
        return
    sides = Sides.open(runtime, name) if layer == SHADOW else SequenceSides.open(runtime, name)
    for of, at in compared:
        if sides.is_of_now(of) or (isinstance(sides, SequenceSides) and not sides.is_comparable(of.day)):
            continue
        why, last_at = _why(sides, of), max(at, sides.changed_at(of.day) or at)
        # What builds a bucket compares it as well, a while later.
        mark = f"{STALE} {sides.definition} {sides.state(of.day)}"
        yield Need(asset, of.day, STALE, why, 0, last_at, last_at + PATIENCE, mark)


def _why(sides: Sides | SequenceSides, of: ComparedOf) -> str:
    if of.definition != sides.definition:
        return "it was compared by another definition than that of now"
    now = sides.state(of.day)
    other = sorted(name for name in {*now, *of.marks} if now.get(name) != of.marks.get(name))
    return f"{' and '.join(other)} is another since it was compared"

"""One incident for each cause: what is broken is put together by where it began.

A day that is missing upstream breaks every check below it, and is one incident: of the asset that it is missing in. So
are the days on which one check of one asset fails, the verdicts that are stale because an asset was built anew, and
all that never ran.
"""

import datetime as dt
import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from seqplat_resources.commands import command
from seqplat_resources.health.checks import DAYS_BUILT, STREAM, VERDICT, PromisedCheck
from seqplat_resources.health.view import Cell, CheckRow, Incident, rank
from seqplat_resources.lake.layout import SHADOW
from seqplat_resources.times import number_of

# ``judged``: a verdict that is no pass. ``refused``: the day was not built, or may not be built on. ``missed``: nobody
# tried. ``unjudged``: it is built, and nobody looked. ``redefined``: what was judged would be another by now.
Kind: TypeAlias = Literal["judged", "refused", "missed", "never", "stale", "redefined", "unjudged"]
_Cause: TypeAlias = tuple[str, str]  # asset and check, or a kind; a blank asset is no asset's own


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that is no pass; ``root`` is the asset with the cause, blank where it is this one."""

    promise: PromisedCheck
    cell: Cell
    kind: Kind
    root: str = ""

    @property
    def asset(self) -> str:
        return self.promise.asset

    @property
    def check(self) -> str:
        return self.promise.check.name


def by_cause(broken: Sequence[Broken], last: dt.date) -> Iterator[tuple[Incident, list[Broken]]]:
    """Each incident with the cells that are part of it; ``last`` is the day to build where there is nothing yet."""
    blocking = _blocking(broken)
    groups: dict[_Cause, list[Broken]] = {}
    for each in broken:
        groups.setdefault(_cause(each, blocking), []).append(each)
    for cause, found in groups.items():
        yield _incident(cause, found, last), found


def part_of(
    incident: Incident, found: Sequence[tuple[CheckRow, Cell]], keys: Container[tuple[str, str]], last: dt.date
) -> Incident | None:
    """The incident as some checks alone (``keys``) show it, by the cells of it that are ``found`` among theirs: nothing
    counts or names what others show. None where they show nothing.
    """
    touches = tuple(each for each in incident.touches if each[:2] in keys)
    if not touches or len(touches) == len(incident.touches):
        return incident if touches else None
    days = tuple(sorted({cell.day for _, cell in found if cell.day is not None}))
    since = min((cell.at for _, cell in found if cell.at is not None), default=None)
    part = replace(incident, touches=touches, days=days, since=since)
    if not incident.shared or not found:
        return part
    row, cell = min(found, key=lambda each: (each[0].asset != incident.asset, rank(each[1].status)))
    is_of_touches = incident.title == _shared_title(incident.shared, incident.touches)
    return replace(
        part,
        asset=row.asset,
        title=_shared_title(incident.shared, touches) if is_of_touches else incident.title,
        because=cell.because if is_of_touches else incident.because,
        next=_next(row.asset, incident.shared, days, last),
        run=cell.run,
    )


def _blocking(broken: Iterable[Broken]) -> Mapping[str, Mapping[object, str]]:
    """By asset, which failing check holds each of its days; under None the first that holds any."""
    held: dict[str, dict[object, str]] = {}
    for each in broken:
        if each.kind == "judged" and each.cell.status == "fail" and each.promise.check.blocking:
            of = held.setdefault(each.asset, {})
            of.setdefault(each.cell.day, each.check)
            of.setdefault(None, each.check)
    return held


def _cause(each: Broken, blocking: Mapping[str, Mapping[object, str]]) -> _Cause:
    if each.kind in ("missed", "never"):
        return "", each.kind
    if each.kind in ("stale", "redefined", "unjudged"):
        return each.asset, each.kind
    if each.kind == "judged" and each.check != DAYS_BUILT:
        return each.asset, each.check
    if each.kind == "judged" and not each.root:  # days that nobody tried to build, and no more
        return "", "missed"
    root = each.root or each.asset
    return root, blocking.get(root, {}).get(each.cell.day, "refused")


def _incident(cause: _Cause, found: Sequence[Broken], last: dt.date) -> Incident:
    asset, what = cause
    # What says most is of the asset with the cause itself, worst first, then newest.
    said = min(found, key=lambda b: (b.asset != asset, b.check == DAYS_BUILT, rank(b.cell.status), _newest_first(b)))
    days = tuple(sorted({b.cell.day for b in found if b.cell.day is not None}))
    counts: dict[tuple[str, str], int] = {}
    for each in found:
        counts[each.asset, each.check] = counts.get((each.asset, each.check), 0) + (each.cell.day is not None)
    own, touches = asset or said.asset, tuple((of, check, n) for (of, check), n in counts.items())
    shared: Literal["", "missed", "never"] = "" if asset else "missed" if what == "missed" else "never"
    return Incident(
        id=hashlib.sha256(f"{asset}/{what}".encode()).hexdigest()[:12],
        title=_shared_title(shared, touches) if shared else _title(asset, what, said),
        # A day that is not there is no less bad because nobody could judge it.
        status="fail" if what in ("refused", "missed") else min((b.cell.status for b in found), key=rank),
        asset=own,
        days=days,
        touches=touches,
        since=min((b.cell.at for b in found if b.cell.at is not None), default=None),
        because=said.cell.because,
        next=_next(own, what, days, last),
        run=said.cell.run,
        shared=shared,
    )


def _newest_first(each: Broken) -> int:
    return -number_of(each.cell.day) if each.cell.day else 0


def _shared_title(shared: str, touches: Sequence[tuple[str, str, int]]) -> str:
    assets = {asset for asset, _, _ in touches}
    if shared == "never":
        return f"{len(touches)} check(s) of {len(assets)} asset(s) never ran"
    return (
        f"days of {len(assets)} asset(s) were not built"
        if assets - {touches[0][0]}
        else f"days of {touches[0][0]} were not built"
    )


def _title(asset: str, what: str, said: Broken) -> str:
    if what == "refused":
        return f"{asset} could not be built"
    if what == "stale":
        return f"{asset} was built anew since it was judged" if said.cell.day else f"{asset}: verdicts are out of date"
    if what == "redefined":
        return f"{asset} is defined otherwise than when it was judged"
    if what == "unjudged":
        return f"{asset} was built and not judged"
    return f"{asset}: {what} does not pass"


def _next(asset: str, what: str, days: Sequence[dt.date], last: dt.date) -> str:
    """The command that mends it, or that says more."""
    layer, name = asset.split("/", 1)
    span = [str(days[0]), str(days[-1])] if days else [str(last), str(last)]
    if what == "rejects":
        return command("rejects", name) if layer != "events" else "seqplat rejects"
    if what == VERDICT or what.endswith("_match_legacy"):
        return command("shadow", "verdict", name if layer == SHADOW else f"sequences/{name}")
    if what == "never":
        return "seqplat dev" if layer == STREAM else command("materialize", *span)
    if not days:
        return "seqplat lag" if layer == STREAM else "seqplat dirty"
    again = command("materialize", *span, f"{asset}+")
    return f"{command('materialize', *span)} --missing" if what in ("missed", "refused") else again

"""One incident for each cause: what is broken is put together by where it began.

A day that is missing upstream breaks every check below it, and is one incident: of the asset that it is missing in. So
are the days on which one check of one asset fails, the verdicts that are stale because an asset was built anew, and
all that never ran.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from seqplat_resources.commands import command
from seqplat_resources.health.checks import DAYS_BUILT, STREAM, VERDICT, PromisedCheck
from seqplat_resources.health.view import Cell, Incident, rank
from seqplat_resources.lake.layout import SHADOW

# ``judged``: a verdict that is no pass. ``refused``: the day was not built, or may not be built on. ``missed``: nobody
# tried. ``unjudged``: it is built, and nobody looked.
Kind: TypeAlias = Literal["judged", "refused", "missed", "never", "stale", "unjudged"]
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
    if each.kind in ("stale", "unjudged"):
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
    own = asset or said.asset
    return Incident(
        id=hashlib.sha256(f"{asset}/{what}".encode()).hexdigest()[:12],
        title=_title(asset, what, said, len(counts), len({b.asset for b in found})),
        # A day that is not there is no less bad because nobody could judge it.
        status="fail" if what in ("refused", "missed") else min((b.cell.status for b in found), key=rank),
        asset=own,
        days=days,
        touches=tuple((of, check, n) for (of, check), n in counts.items()),
        since=min((b.cell.at for b in found if b.cell.at is not None), default=None),
        because=said.cell.because,
        next=_next(own, what, days, last),
        run=said.cell.run,
    )


def _newest_first(each: Broken) -> int:
    return -each.cell.day.toordinal() if each.cell.day else 0


def _title(asset: str, what: str, said: Broken, checks: int, assets: int) -> str:
    if what == "missed":
        return f"days of {assets} asset(s) were not built" if assets > 1 else f"days of {said.asset} were not built"
    if what == "never":
        return f"{checks} check(s) of {assets} asset(s) never ran"
    if what == "refused":
        return f"{asset} could not be built"
    if what == "stale":
        return f"{asset} was built anew since it was judged" if said.cell.day else f"{asset}: verdicts are out of date"
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

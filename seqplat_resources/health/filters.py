"""A view with a part of its rows: those somebody asks for, and those somebody may see. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from seqplat_resources.health.view import CheckRow, Health, Incident, Status

_ELSEWHERE = "something that this is made of, and that belongs to others"
_SOME_ERRORS = "some results could not be read or kept; whoever runs this installation is told which"


@dataclass(frozen=True)
class Wanted:
    """What somebody asks for; None is everything. Names are compared as people write them."""

    owner: str | None = None
    tenant: str | None = None
    check: str | None = None
    status: Status | None = None

    def takes(self, row: CheckRow) -> bool:
        """Whether a row is among it."""
        asked = ((self.owner, row.owner), (self.tenant, row.tenant), (self.check, row.check))
        named = all(asked_for is None or _alike(asked_for, of) for asked_for, of in asked)
        return named and self.status in (None, row.worst)


def narrowed(health: Health, wanted: Wanted) -> Health:
    """The rows that are asked for, and the incidents that touch them; all counts are of these."""
    return health if wanted == Wanted() else _with(health, wanted.takes)


def visible(health: Health, sees: Callable[[CheckRow], bool] | None) -> Health:
    """The rows that somebody may see, and the incidents that touch them; with None all of it. Of a cause in an asset
    that they may not see it is said that there is one, and of errors that there are some.
    """
    if sees is None:
        return health
    shown = _with(health, sees)
    assets = {row.asset for row in shown.rows}
    incidents = tuple(each if each.asset in assets else _veiled(each) for each in shown.incidents)
    return replace(shown, incidents=incidents, errors=(_SOME_ERRORS,) if health.errors else ())


def _with(health: Health, keeps: Callable[[CheckRow], bool]) -> Health:
    rows = tuple(row for row in health.rows if keeps(row))
    keys = {(row.asset, row.check) for row in rows}
    incidents = tuple(_touching(health, keys))
    assets, unwell = {row.asset for row in rows}, {row.asset for row in rows if row.worst != "pass"}
    return replace(
        health,
        rows=rows,
        incidents=incidents,
        assets=len(assets),
        healthy=len(assets - unwell),
        need_you=sum(each.needs_you for each in incidents),
        never_ran=tuple(key for key in health.never_ran if key in keys),
    )


def _touching(health: Health, keys: set[tuple[str, str]]) -> Iterator[Incident]:
    for each in health.incidents:
        touches = tuple((asset, check, days) for asset, check, days in each.touches if (asset, check) in keys)
        if touches:
            yield replace(each, touches=touches)


def _veiled(incident: Incident) -> Incident:
    asset = incident.touches[0][0]
    why = f"{asset} waits for {_ELSEWHERE}"
    return replace(incident, title=why, because=_ELSEWHERE, asset=asset, next="", run=None)


def _alike(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()

"""A view with a part of its rows: those somebody asks for, and those somebody may see. Pure."""

from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from seqplat_resources.health.incidents import part_of
from seqplat_resources.health.view import Cell, CheckRow, Health, Incident, MigrationRow, Note, Status

_ELSEWHERE = "something that this is made of, and that belongs to others"
_OTHERS = "the verdict of a sequence that has it, and that belongs to others, does not let it go on"
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
    assets, whole = {row.asset for row in shown.rows}, {each.id: len(each.touches) for each in health.incidents}
    elsewhere = {each.id for each in shown.incidents if each.asset not in assets}
    incidents = tuple(
        _veiled(each)
        if each.id in elsewhere
        else _unquoted(each)
        if each.shared and len(each.touches) < whole[each.id]
        else each
        for each in shown.incidents
    )
    rows = tuple(_row_without(row, elsewhere) for row in shown.rows) if elsewhere else shown.rows
    return replace(shown, rows=rows, incidents=incidents, errors=(_SOME_ERRORS,) if health.errors else ())


def visible_row(row: MigrationRow, sequences: Container[str]) -> MigrationRow:
    """As somebody sees it who sees ``sequences``: what keeps it may lie with another, or name places of the home."""
    if row.is_unreadable:
        return replace(row, because=_SOME_ERRORS)
    return replace(row, because=_OTHERS, because_of="") if row.because_of and row.because_of not in sequences else row


def _row_without(row: CheckRow, elsewhere: Container[str | None]) -> CheckRow:
    """Reasons that lie with others name what others have: files, folders, assets."""

    def veiled(cell: Cell) -> Cell:
        return replace(cell, because=_ELSEWHERE) if cell.incident in elsewhere and cell.because else cell

    if not any(cell.incident in elsewhere for cell in row.cells):
        return row
    return replace(row, cells=tuple(veiled(cell) for cell in row.cells))


def _with(health: Health, keeps: Callable[[CheckRow], bool]) -> Health:
    rows = tuple(row for row in health.rows if keeps(row))
    keys = {(row.asset, row.check) for row in rows}
    found: dict[str, list[tuple[CheckRow, Cell]]] = {}
    for row in rows:
        for cell in row.cells:
            if cell.incident is not None:
                found.setdefault(cell.incident, []).append((row, cell))
    parts = [part_of(each, found.get(each.id, ()), keys, health.days[-1]) for each in health.incidents]
    incidents = tuple(each for each in parts if each is not None)
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


def _veiled(incident: Incident) -> Incident:
    asset = incident.touches[0][0]
    why = f"{asset} waits for {_ELSEWHERE}"
    return _unquoted(replace(incident, title=why, because=_ELSEWHERE, asset=asset, next="", run=None))


def _unquoted(incident: Incident) -> Incident:
    """Somebody knows of it; what they said may be about what others have."""
    said = incident.acknowledged
    return replace(incident, acknowledged=said and Note("others", said.at, "it is not only about what you see"))


def _alike(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()

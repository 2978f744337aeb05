"""The same as one file: to be sent to somebody who has no key, or kept as it was.

>>> import datetime as dt
>>> day = dt.date(2024, 5, 1)
>>> at = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)
>>> health = Health("7f9ad790", "dev", (day,), day, (), (), assets=3, healthy=3, need_you=0, never_ran=(), at=at)
>>> exported(health, [])[:15]
b'<!DOCTYPE html>'
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from seqplat_resources.health.view import Cell, CheckRow, Health, MigrationRow, rank
from seqplat_resources.shadow.ladder.steps import STEPS
from serving.console.matrix import counted, matrix
from serving.console.rendering import Look, render, style

# Cells that did not pass are told one by one, as a file has no pages of theirs; the worst of them.
MOST_TOLD = 1_000
# As a file has no server to say it. Only its own style.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"


class NotPassed(NamedTuple):
    """A cell that did not pass."""

    row: CheckRow
    cell: Cell


def exported(health: Health, moving: Sequence[MigrationRow]) -> bytes:
    """A page of everything, which needs nothing else."""
    told = sorted(_broken(health.rows), key=lambda each: rank(each.cell.status))
    return render(
        "export.html",
        Look(is_file=True),
        style=Markup(style().decode()),
        policy=POLICY,
        dagster="",
        health=health,
        counted=list(counted(health.rows)),
        grid=matrix(health.rows, health.days, links=False, most=None),
        told=told[:MOST_TOLD],
        more=len(told) - len(told[:MOST_TOLD]),
        rows=moving,
        steps=[step.name for step in STEPS],
    )


def _broken(rows: Sequence[CheckRow]) -> Iterator[NotPassed]:
    for row in rows:
        for cell in row.cells:
            if cell.is_due and cell.status != "pass":
                yield NotPassed(row, cell)

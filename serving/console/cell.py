"""What is kept of one cell beyond what the view has of it: every number, the whole reason, and users to look at.

Read from the home when somebody looks at the cell: never on an event loop. What cannot be read is left out, and logged.
"""

import json
import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.health.results import Results
from seqplat_resources.health.view import Cell, CheckRow
from seqplat_resources.lake.layout import SHADOW, SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from serving.console.event_type import Looked, looked_at

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Details:
    """``because`` is whole; ``numbers`` are those of the measure."""

    because: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    examples: Sequence[Looked] = ()


def details_of(runtime: Runtime, row: CheckRow, cell: Cell, *, sees: Container[str], may_see_users: bool) -> Details:
    """Of a cell that its reader may see; the ``examples`` are those of days that were compared with legacy's."""
    try:
        because, numbers = _kept(runtime, row, cell)
        return Details(because, numbers, _examples(runtime, row, cell, sees) if may_see_users else ())
    except (Exception, pl.exceptions.PanicException) as error:  # the page has what the view has
        _log.warning("what is kept of %s %s of %s cannot be read: %s", row.asset, row.check, cell.day, error)
        return Details(cell.because)


def _kept(runtime: Runtime, row: CheckRow, cell: Cell) -> tuple[str, Mapping[str, float]]:
    first = cell.day or runtime.clock.now().date()
    rows = Results(runtime.home, runtime.clock).history(row.asset, row.check, first)
    kept = next((each for each in rows.iter_rows(named=True) if each["judged"] == cell.day), None)
    if kept is None or kept["at"] != cell.at:  # judged again since the view was made, or never
        return cell.because, {}
    is_whole = kept["because"].startswith(cell.because)  # else the view says more, such as that it is stale
    return kept["because"] if is_whole else cell.because, json.loads(kept["numbers"] or "{}")


def _examples(runtime: Runtime, row: CheckRow, cell: Cell, sees: Container[str]) -> Sequence[Looked]:
    if cell.day is None or row.layer not in (SHADOW, SHADOW_SEQUENCES):
        return ()
    found = ComparedDays.of(runtime, row.name, row.layer).read([cell.day])
    examples = [example for each in found for example in each.counts.examples]
    return list(looked_at(runtime.release, row.name, examples, sees=sees, is_sequence=row.layer == SHADOW_SEQUENCES))

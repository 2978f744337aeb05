"""How the rows of one sequence are put together, resolved once from its definition. Reads nothing itself.

What it needs of events is read under names of its own, whichever columns of the sequence somebody may see or asks for:
how many rows there are is the same for everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.rules.collapse import items
from seqplat_resources.rules.objects import bit
from seqplat_resources.rules.spans import Ints
from seqplat_resources.times import DAY_S, DAY_US
from sequence_defs.schema import Collapse, Column

_SECOND_US = DAY_US // DAY_S
_INSIDE = ":"


@dataclass(frozen=True)
class CollapsePlan:
    """``columns`` say by event type what is read of an event, by names that no answer has."""

    definition: Collapse
    columns: Mapping[str, Mapping[str, Column]]

    @classmethod
    def of(cls, definition: Collapse, columns: Mapping[str, Mapping[str, Column]]) -> "CollapsePlan":
        """``columns`` are those of the sequence, by name and event type."""
        named = [*definition.by, *filter(None, [definition.action])]
        return cls(definition, {f"{_INSIDE}{name}": columns[name] for name in dict.fromkeys(named)})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What is to be read of each event."""
        return (*self.columns, *([] if self.definition.action else ["event_type"]))

    @cached_property
    def within_us(self) -> int:
        """How long a row may last."""
        return self.definition.within_s * _SECOND_US

    def items(self, events: pl.DataFrame) -> Ints:
        """By event a number of its item, of its own where it has none; ``events`` have ``names``."""
        return items(events.select(f"{_INSIDE}{name}" for name in self.definition.by))

    def bits(self, events: pl.DataFrame) -> pl.Series:
        """By event that of its action."""
        action = f"{_INSIDE}{self.definition.action}" if self.definition.action else "event_type"
        return events.select(bit(pl.col(action), self.definition.actions)).to_series()

"""Who reads a sequence, and how much of it they ask for: by this is judged what makes it narrower.

>>> ann = Readership("basket", "k1", "shop", "2024-05-01T10:00:00+00:00", ("product",), events=20)
>>> ann.needs_more_than("events", 10), ann.needs_more_than("events", 20), ann.needs_more_than("days", 900)
(True, False, True)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Ruling

Measure = Literal["events", "days"]


# In place of names of columns, where a key asked for more than a record keeps.
EVERY_COLUMN: Final = "*"


@dataclass(frozen=True)
class Readership:
    """An API key that read a sequence in the last 14 days, at last ``at``: which of its columns, how many ``events`` of
    a user at most, and how many ``days`` back. None is all there are.
    """

    sequence: str
    key: str
    tenant: str
    at: str
    columns: tuple[str, ...] = ()
    events: int | None = None
    days: int | None = None

    def reads(self, column: str) -> bool:
        """Whether it asked for a column, or chose events by it."""
        return column in self.columns or EVERY_COLUMN in self.columns

    def needs_more_than(self, measure: Measure, most: int) -> bool:
        """Whether it asked for more than ``most`` events, or for older ones than of so many days."""
        asked = self.events if measure == "events" else self.days
        return asked is None or asked > most

    def asks_for(self, measure: Measure) -> str:
        """In words: ``20 events``."""
        asked = self.events if measure == "events" else self.days
        return f"all {measure}" if asked is None else f"{asked} {measure}"

    def __str__(self) -> str:
        return f"key {self.key} of tenant {self.tenant}"


def more_of(one: int | None, other: int | None) -> int | None:
    """The larger of two numbers of events or days; None, which is all there are, is larger than any."""
    return None if one is None or other is None else max(one, other)


# Who read a sequence in the last 14 days. None where nobody counted for as long, so that nobody knows.
Registry = Callable[[str], tuple[Readership, ...] | None]


def not_counted(_: str) -> None:
    """Nobody counted who reads."""
    return


def in_words(readers: Iterable[Readership], measure: Measure | None = None) -> str:
    """The first of them; with what each asks for, where that is the matter."""
    found = list(readers)
    said = [f"{each} asks for {each.asks_for(measure)}" if measure else str(each) for each in found[:3]]
    return ", ".join(said) + (f" and {len(found) - 3} more" if found[3:] else "")


# Fields of a definition that say how much readers get, or for how long it is kept; and in what that is counted.
_NARROWED: Final[Mapping[str, Measure]] = {"length": "events", "window_days": "days", "retention_days": "days"}


def narrowed(change: DefinitionChange, before: Release, registry: Registry) -> DefinitionChange:
    """A shorter length, window or retention as one that breaks nobody, where no reader asked for more in the last 14
    days; else the way out says who does. A reader of a sequence needs no older days than its window.
    """
    measure = _NARROWED.get(change.field)
    if change.kind != "breaking" or measure is None or not isinstance(change.after, int):
        return change
    more = list[Readership]()
    for name in change.reach.sequences:
        readers = registry(name)
        if readers is None:
            way_out = (
                f"{change.way_out}. Who reads {name} is not counted for 14 days yet; once it is, this passes where "
                "nobody asks for more"
            )
            return replace(change, ruling=replace(change.ruling, way_out=way_out))
        window = before.sequences[name].window_days if change.field == "retention_days" else None
        if window is None or window > change.after:
            more += [each for each in readers if each.needs_more_than(measure, change.after)]
    if more:
        way_out = f"{change.way_out}. In the last 14 days {in_words(more, measure)}; it passes once nobody does"
        return replace(change, ruling=replace(change.ruling, way_out=way_out))
    why = f"nobody who read it in the last 14 days asks for more than {change.after} {measure}"
    return replace(change, ruling=Ruling("compatible", why))

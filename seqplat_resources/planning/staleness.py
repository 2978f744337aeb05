"""Which stored days of an event type a release would make otherwise, as far as they say what made them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from seqplat_resources.planning.stored import StoredParts
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.meaning import Meaning, MeaningMoved


@dataclass(frozen=True)
class Moved:
    """Days that hold something which would be said otherwise, and by day the columns that others lack."""

    stale: set[dt.date] = field(default_factory=set)
    missing: Mapping[dt.date, tuple[str, ...]] = field(default_factory=dict)


def moved_days(before: Release, after: Release, event_type: str, stored: StoredParts) -> Moved:
    """Of the days there are. One that notes no meaning was made by ``before``, where that has the event type."""
    now = Meaning.of(after, event_type)
    ran = Meaning.of(before, event_type) if event_type in before.event_types else now
    noted, said = stored.meanings(event_type), dict[str, MeaningMoved]()
    stale, missing = set[dt.date](), dict[dt.date, tuple[str, ...]]()
    for day in stored.days_of(event_type):
        text = noted.get(day, "")
        if text not in said:
            said[text] = now.differs_from(Meaning.from_json(text) if text else ran)
        if said[text].is_stale:
            stale.add(day)
        elif said[text].missing:
            missing[day] = said[text].missing
    return Moved(stale, missing)

"""Which events are one row and what it says of them, one event after the other, sharing no code with what it judges."""

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Oracle:
    """``item`` of an event is None where it has none; ``action`` is what was done."""

    within: dt.timedelta
    actions: Sequence[str]
    item: Callable[[Event], Hashable]
    action: Callable[[Event], Any] = lambda event: event["event_type"]
    time: str = "event_time"

    def rows(self, newest_first: Iterable[Event], length: int | None = None) -> list[dict[str, Any]]:
        """The newest event of each row, with what the row says."""
        groups = list[list[Event]]()
        last: dict[Hashable, list[Event]] = {}
        for event in newest_first:
            item = self.item(event)
            group = None if item is None else last.get(item)
            if group is None or group[0][self.time] - event[self.time] > self.within:
                group = []
                groups.append(group)
                if item is not None:
                    last[item] = group
            group.append(event)
        return [{**group[0], **self._said(group)} for group in groups[:length]]

    def _said(self, group: Sequence[Event]) -> dict[str, Any]:
        done = {self.action(event) for event in group}
        known = sum(2 ** (1 + n) for n, action in enumerate(self.actions) if action in done)
        return {
            "actions": known + (1 if done - {*self.actions} else 0),
            "events": len(group),
            "first_time": group[-1][self.time],
        }

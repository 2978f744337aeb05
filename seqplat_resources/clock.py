"""Time as a collaborator: everything that needs "now" is handed a clock."""

import datetime as dt
from typing import Protocol


class Clock(Protocol):
    """Called from any thread; must return an aware UTC time."""

    def now(self) -> dt.datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

"""Time as a collaborator: everything that needs "now" is handed a clock, everything that must end a deadline."""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Called from any thread; must return an aware UTC time."""

    def now(self) -> dt.datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Deadline:
    """When to stop, on the machine's monotonic clock, which no correction of the time moves."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Negative once it is over."""
        return self.at_s - time.monotonic()

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0

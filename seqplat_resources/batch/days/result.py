"""What one bucket of batch work reports."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BucketResult:
    """``facts`` are numbers and names worth keeping beside the bucket; ``seconds`` is wall time by step.

    A day with ``awaited`` was not written: it says which files are not there yet. ``account`` is Markdown for people.
    """

    table: str
    day: dt.date
    rows: int
    bytes: int
    version: int
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    awaited: str = ""
    account: str = ""


class Stopwatch:
    """Wall time by named step; steps may repeat."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started

    def share(self, days: int) -> dict[str, float]:
        """Each step's time by day, where ``days`` were built together."""
        return {step: taken / days for step, taken in self.seconds.items()}

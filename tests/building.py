"""A runtime for a handful of definitions, without the command line: compile, publish, hand back."""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import polars as pl

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Definition


def runtime_for(
    home: Path | Home, definitions: Iterable[Definition], sources_root: Path | str = "", *, clock: Clock = SystemClock()
) -> Runtime:
    """Publish ``definitions`` to the default channel of ``home`` and load them back, as a deployment does."""
    home = home if isinstance(home, Home) else Home(str(home), {})
    store = ReleaseStore(home)
    store.move(DEFAULT_CHANNEL, store.put(lower(Project(tuple(definitions), digests()))), by="tests")
    return Runtime(home, store.load(DEFAULT_CHANNEL), str(sources_root), clock)


def eventually(claim: Callable[[], bool]) -> None:
    """Wait until it is so, with more patience than a busy machine needs."""
    until = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < until
        time.sleep(0.005)


class ManualClock:
    """A clock that stands until a test moves it."""

    def __init__(self, time: dt.datetime = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)) -> None:
        self.time = time

    def now(self) -> dt.datetime:
        return self.time


def utc(*parts: int) -> dt.datetime:
    """``utc(2024, 5, 1, 12)`` is noon UTC."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


def days(first: dt.date, count: int) -> list[dt.date]:
    """``count`` days from ``first``."""
    return [first + dt.timedelta(days=n) for n in range(count)]


def frame(rows: Iterable[Mapping[str, object]], **schema: pl.DataType) -> pl.DataFrame:
    """Rows as a frame of exactly ``schema``, also when there are none."""
    return pl.DataFrame(list(rows), schema=schema, orient="row")

"""What holds on hostile input: each property makes steps from a source of choices, and plays them on real parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests import redis_server
from tests.building import runtime_for
from tests.hostile.material import records
from tests.hostile.material.draws import Draw
from tests.hostile.worlds import (
    alike,
    answered,
    clicks,
    computed,
    enriched,
    files,
    joined,
    neighbours,
    stories,
    times,
    wide,
)
from tests.online_stores import empty_store


@dataclass(frozen=True)
class Property:
    """``play`` takes the steps of ``make``, or some of them, and an empty folder, and raises where it fails."""

    says: str
    make: Callable[[Draw], Sequence[Any]]
    play: Callable[[Sequence[Any], Path], object]


def _messages(sent: Sequence[records.Record], folder: Path) -> None:
    with empty_store("memory", folder) as store:
        wide.play(sent, folder, store, rows=1 + len(sent) // 3)


def _answered(sent: Sequence[records.Record], folder: Path) -> None:
    store = answered.store_of(folder / "home")
    try:
        home = wide.Wide(folder, store)
        home.send(sent)
        home.stream(20)
        by_user = wide.judge(home)
        home.build(wide.days_of(by_user)[::2])
    finally:
        store.close()
    answered.judge(folder / "home", by_user)


def _once(told: Sequence[stories.Step], folder: Path, order: str | None = None, kind: str = "lmdb") -> None:
    with empty_store(kind, folder) as store:
        clicks.tell(told, folder, store, order=order)


def _ordered(told: Sequence[stories.Step], folder: Path) -> None:
    """On Redis, or on what is here of its kind."""
    kind = next((kind for kind in redis_server.KINDS if redis_server.why_not(kind) is None), "lmdb")
    _once(told, folder, "seq", kind)


def _computed(said: Sequence[computed.Said], folder: Path) -> None:
    with empty_store("memory", folder) as store:
        computed.play(said, folder, store)


def _old(odd: Sequence[Any], folder: Path) -> None:
    store = answered.store_of(folder / "home")
    try:
        answered.stored_before(runtime_for(folder / "home", wide.definitions(), folder), store, odd)
    finally:
        store.close()
    answered.judge_old(folder / "home", odd)


def _some_old(draw: Draw) -> Sequence[Any]:
    every = answered.odd_cells()
    return [draw.of(every) for _ in range(draw.number(1, 5))]


PROPERTIES: Final = {
    "messages": Property(
        "every message has one fate, the right one, and harms no other",
        lambda draw: records.records(draw, draw.number(1, 40)),
        _messages,
    ),
    "answered": Property(
        "everything stored is answered as JSON, as Arrow and on a terminal",
        lambda draw: records.records(draw, draw.number(1, 25)),
        _answered,
    ),
    "alike": Property(
        "one value is one cell, or refused, in NDJSON, CSV and Parquet",
        lambda draw: alike.some_columns(draw, draw.number(1, 12)),
        alike.play,
    ),
    "files": Property("an odd file harms no other and does not pass in silence", files.folder_of, files.play),
    "times": Property(
        "an event time that a definition computes is exact, or its row is refused", times.some_times, times.play
    ),
    "enriched": Property("a bad version costs its own key", enriched.some_versions, enriched.play),
    "joined": Property("a row finds what a joined file says of its key, or is refused", joined.sayings, joined.play),
    "computed": Property("a row on which an expression fails is refused, and no other", computed.sayings, _computed),
    "once": Property("one id is one event at every moment, the one the oracle says", stories.story, _once),
    "ordered": Property("as `once`, on Redis, where a column orders equal times", stories.story, _ordered),
    "nobody else": Property(
        "one user's messages change nobody else's answer", neighbours.neighbourhood, neighbours.play
    ),
    "old store": Property("what an older release stored beyond the calendar is answered", _some_old, _old),
}

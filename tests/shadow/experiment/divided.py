"""A shop whose visits are served by an old pipeline to half of the users, and what was exposed to whom."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.exposures.write import Exposure, append_exposures
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Move
from seqplat_resources.shadow.routing import is_ours
from seqplat_resources.times import microseconds
from sequence_defs.schema import Experiment, UserMetric
from tests.building import ManualClock, runtime_for, utc
from tests.shadow.world import DAYS, World, old_visits, shop, visit, visits

ANY = Grounds(override="a trial")
METRICS = (
    UserMetric(name="came_back", event_type="visit", within_h=24, guardrail=0.1),
    UserMetric(name="visits", event_type="visit", kind="count", within_h=48),
    UserMetric(name="score", event_type="visit", kind="ratio", column="score", within_h=24, better="lower"),
)


def divided(folder: Path, *, metrics: tuple[UserMetric, ...] = METRICS, **changes: Any) -> World:
    """The definitions; nothing is written yet."""
    experiment = Experiment(metrics=metrics, **changes)
    return World(folder, visit(serve=True).model_copy(update={"experiment": experiment}))


def build(world: World, clock: ManualClock, days: Iterable[dt.date] = DAYS) -> Runtime:
    """Our visits in the lake."""
    world.write()
    runtime = runtime_for(
        world.folder / "home", [shop, visits, old_visits, world.definition], world.folder, clock=clock
    )
    list(raw.ingest(runtime, "visits", list(days)))
    list(events.build(runtime, "visit", list(days)))
    return runtime


def ladder(runtime: Runtime) -> Ladder:
    return Ladder(runtime.home, runtime.release.event_types["visit"], runtime.clock)


def climb(runtime: Runtime, clock: ManualClock, step: str, at: dt.datetime) -> Move:
    """Up to ``step``, at one moment of the past."""
    now, clock.time = clock.time, at
    while True:
        move = ladder(runtime).advance(by="ann", grounds=ANY)
        if move.step == step:
            clock.time = now
            return move


def expose(runtime: Runtime, users: Iterable[str], at: dt.datetime, move: Move, share: int, **changes: Any) -> None:
    """As servers do."""
    rows = [
        Exposure(
            "visit", user, is_ours("visit", user, share=share), move.number, move.step, "history", microseconds(at)
        )
        for user in users
    ]
    append_exposures(runtime.home, runtime.clock, "visit", rows, **changes)


def without(world: World, users: Iterable[str], part: float) -> None:
    """Take this part of the events of some users away."""
    mine = pl.col("member").is_in(list(users)) & (pl.col("visit").hash(1) % 1000 < 1000 * part)
    world.ours = world.ours.filter(~mine)


START = utc(2024, 5, 2, 1)
EVERYBODY = [f"u{n}" for n in range(400)]
OURS = [user for user in EVERYBODY if is_ours("visit", user, share=5000)]

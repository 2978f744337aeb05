"""A built shop with a plan that adds a column, and processes that apply it and are disturbed on the way.

Every write of a home is a place: an object that is put or deleted, a file that is written or verified, a commit of a
table or of the online store. Dagster's own records are none.
"""

import functools
import os
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import sleep
from typing import Any

import obstore

from seqplat_assets.run import materialize_range
from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs import tables
from seqplat_resources.clock import SystemClock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.lake.files import FileWriter
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.lmdb.environment import Environment
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.planning.build import made
from seqplat_resources.planning.plan import PlanStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, Definition
from serving.cli.dagster_home import ensure_dagster_home
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, LAYERS, RECENT, SHOP, loaded, shop

UPPER = Column(name="upper", dtype="string", sql="UPPER(id)")
WIDER: tuple[Definition, ...] = (
    SHOP,
    CLICKS,
    CLICK.model_copy(update={"columns": (*CLICK.columns, UPPER)}),
    RECENT.model_copy(update={"columns": ("id", "upper")}),
)


def built_shop(folder: Path) -> str:
    """Five days, built and shown by runs; the name of a plan that adds a column to them and to their sequence."""
    runtime = shop(folder)
    os.environ.pop("DAGSTER_HOME", None)
    ensure_dagster_home(runtime.home)
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime).success
    return plan(folder, *WIDER)


def plan(folder: Path, *definitions: Definition) -> str:
    """Plan to publish definitions; the name of that."""
    runtime = loaded(folder)
    store = ReleaseStore(runtime.home)
    release = store.get(store.put(lower(Project(definitions, digests()))))
    return PlanStore(runtime.home).put(made(runtime, release))


@dataclass(frozen=True)
class Shown:
    """What a home shows: rows of the lake, the user's answer, what is not well, and where channel and backfills are."""

    rows: list[tuple[Any, ...]]
    sequence: list[tuple[Any, ...]]
    answer: list[tuple[Any, ...]]
    days: list[str]
    troubles: dict[str, dict[str, Any]]
    dirty: list[str]
    moves: list[str]
    backfills: list[str]
    upper_of: dict[str, list[bool]] = field(default_factory=dict)  # by place and day, whether rows have the column

    def half_visible(self) -> list[str]:
        """Days of which some rows have the column, and others have not."""
        return [place for place, has in self.upper_of.items() if len(set(has)) > 1]


def shown(folder: Path) -> Shown:
    """Of a home that nobody writes to."""
    runtime, upper = loaded(folder), dict[str, list[bool]]()
    wide = replace(runtime, loaded=_wide(runtime))
    rows = tables.events(wide, EventPlan.of(wide.loaded, "click")).scan().select("day", "event_id", "upper").collect()
    table = tables.sequence(wide, "recent")
    sequence = table.scan().collect()
    for day, _, has in rows.sort("day", "event_id").iter_rows():
        upper.setdefault(f"lake {day}", []).append(has is not None)
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        epoch = store.epoch("click")
        assert epoch is not None
        told = answer(
            SequencePlan.of(wide.loaded, "recent"), store, "u", Query(["event_id", "event_time", "upper"], 99)
        )
    for _, time, has in told.events.select("event_id", "event_time", "upper").iter_rows():
        upper.setdefault(f"online {str(time)[:10]}", []).append(has is not None)
    troubles = DayTroubles(runtime.home, SystemClock())
    return Shown(
        rows.sort("day", "event_id").rows(),
        sequence.sort("day").select(sorted(sequence.columns)).rows(),
        told.events.select("event_id", "upper").rows(),
        sorted(epoch.buckets),
        {name: {str(day): str(each) for day, each in of.items()} for name in LAYERS if (of := troubles.of(name))},
        [str(each.day) for each in dirty_buckets(wide, "click")],
        [move.release for move in ReleaseStore(runtime.home).history("dev")],
        sorted(record.shown_state for record in BackfillRecords(runtime.home).all()),
        upper,
    )


def _wide(runtime: Runtime) -> Any:
    store = ReleaseStore(runtime.home)
    return store.get(store.put(lower(Project(WIDER, digests()))))


def signalled(before: str, nth: int, by: int, *, hangs: bool = False) -> list[str]:
    """Note all writes from now on, and signal this process before one of them; their places, as they come.

    One that ``hangs`` never ends, and is signalled again and again.
    """
    places: list[str] = []

    def noted(of: Any, name: str) -> None:
        original = getattr(of, name)

        @functools.wraps(original)
        def noting(*args: Any, **kwargs: Any) -> Any:
            place = f"{name} {args[1]}" if of is obstore else f"{of.__name__}.{name}"
            if place.startswith(before):
                places.append(place)
                if len(places) == nth:
                    while hangs:
                        with suppress(BaseException):
                            os.kill(os.getpid(), by)
                            sleep(0.1)
                    os.kill(os.getpid(), by)
            return original(*args, **kwargs)

        setattr(of, name, noting)

    written = ((obstore, "put delete"), (FileWriter, "write verify"), (LakeTable, "commit"), (Environment, "write"))
    for of, names in written:
        for name in names.split():
            noted(of, name)
    return places

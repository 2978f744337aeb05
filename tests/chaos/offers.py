"""The part of a campaign's world that comes in files: a Parquet file of offers a day, which is taken away and spoiled.

Offers never change, so an answer has all of a member's, or says that something is missing.
"""

import datetime as dt
import random
from contextlib import closing
from io import BytesIO
from pathlib import Path

import polars as pl

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.quality.frame import PASSED
from seqplat_resources.quality.rejects import rejects
from seqplat_resources.read.answer import answer
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Column, Definition, EventType, Source, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.chaos.messages import DAYS, MEMBERS
from tests.chaos.world import Broken, Site, is_short

TYPE, SEQUENCE = "offered", "offers"
OFFERS_A_DAY = 300


def definitions() -> tuple[Definition, ...]:
    """A source of files, its event type, and the sequence of that."""
    source = Source(
        name="offers",
        tenant="shop",
        location="offers/{day}.parquet",
        format="parquet",
        columns=(
            Column(name="member", dtype="string", nullable=False),
            Column(name="offer", dtype="int64", nullable=False),
            Column(name="at", dtype="timestamp", nullable=False),
        ),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="at"),
        user_id="member",
        start=DAYS[0],
        end=DAYS[-1] + dt.timedelta(days=1),
    )
    columns = (Column(name="offer", dtype="int64", nullable=False),)
    offered = EventType(name=TYPE, tenant="shop", source="offers", natural_key=("offer",), columns=columns)
    return (
        source,
        offered,
        SequenceDefinition(name=SEQUENCE, tenant="shop", event_types=(TYPE,), columns=("offer",)),
    )


def offers(day: dt.date) -> pl.DataFrame:
    """Those of a day, always the same."""
    draw, first = random.Random(day.toordinal()), DAYS.index(day) * OFFERS_A_DAY
    at = dt.datetime.combine(day, dt.time(), dt.UTC)
    rows = [
        (f"m{draw.randrange(MEMBERS)}", n, at + dt.timedelta(seconds=n)) for n in range(first, first + OFFERS_A_DAY)
    ]
    return pl.DataFrame(
        rows, schema={"member": pl.String, "offer": pl.Int64, "at": pl.Datetime("us", "UTC")}, orient="row"
    )


def by_member() -> dict[str, set[int]]:
    everything = pl.concat(map(offers, DAYS)).group_by("member").agg("offer")
    return {member: set(found) for member, found in everything.iter_rows()}


def file_of(site: Site, day: dt.date) -> Path:
    return site.folder / "offers" / f"{day}.parquet"


def write_files(site: Site) -> None:
    (site.folder / "offers").mkdir()
    for day in DAYS:
        put_file(site, day)


def file_content(day: dt.date) -> bytes:
    with BytesIO() as file:
        offers(day).write_parquet(file)
        return file.getvalue()


def put_file(site: Site, day: dt.date, content: bytes | None = None) -> None:
    """The day's file, or another ``content`` in its place, there at once."""
    path = file_of(site, day)
    path.with_suffix(".part").write_bytes(file_content(day) if content is None else content)
    path.with_suffix(".part").rename(path)


def build(runtime: Runtime, store: OnlineStore, day: dt.date) -> None:
    """A day from its file to answers; nothing where the file is not there, or its check holds the day up."""
    awaited = [found.awaited for found in raw.ingest(runtime, "offers", [day])]
    if not any(awaited) and rejects(runtime, "offers", [day])[PASSED].all():
        list(events.build(runtime, TYPE, [day]))
        list(publish(runtime, store, TYPE, [day]))


def check(plan: SequencePlan, store: OnlineStore, member: str, expected: set[int]) -> bool:
    """Whether the answer has all of a member's offers.

    Raises:
        Broken: it has others, or fewer without saying so.
    """
    found = answer(plan, store, member)
    shown: list[int] = found.events["offer"].to_list()
    if len(shown) > len(set(shown)) or not expected >= set(shown):
        raise Broken(f"{member}: {shown} where the offers are {sorted(expected)}")
    if set(shown) < expected and not is_short(found.freshness.completeness, found.freshness.degraded):
        raise Broken(f"{member}: {sorted(expected - set(shown))} of his offers are missing, and nothing says so")
    return set(shown) == expected


def missing(site: Site) -> int:
    """Offers that are not answered after all days were built again."""
    plan, lost = SequencePlan.of(site.runtime.loaded, SEQUENCE), 0
    with closing(open_online_store(site.home)) as store:
        for day in DAYS:
            build(site.runtime, store, day)
        for member, expected in by_member().items():
            try:
                lost += not check(plan, store, member, expected)
            except Broken as broken:
                site.violated(f"in the end: {broken}")
                lost += 1
    return lost

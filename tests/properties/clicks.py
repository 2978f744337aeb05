"""A small event type and generated raw rows of it: few users, ids and instants, so that everything collides."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import polars as pl
from hypothesis import strategies as st

from seqplat_resources.engine.contract import Lookup, NoLookup
from seqplat_resources.engine.outcome import Outcome
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.engine.run import run
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.sources.decode import decode
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import dump, load, release_id
from sequence_defs.schema import Column, Definition, Enrich, EventType, Source, Tenant, Time
from tests.building import days, utc
from tests.hostile.material.draws import mostly
from tests.hostile.material.tables import BIG, NULS, TEXTS
from tests.oracle import Row

T = TypeVar("T")

DAY = dt.date(2024, 5, 1)
FIRST_DAYS = days(DAY, 3)
PAYLOAD = ("click", "item", "shop", "amount")

shop = Tenant(name="shop", tenant="shop")


def clicks(**changes: Any) -> Source:
    """One row per click, with revisions and retractions."""
    source = Source(
        name="clicks",
        tenant="shop",
        location="clicks-*.parquet",
        columns=(
            Column(name="member", dtype="string", nullable=False),
            Column(name="at", dtype="timestamp", nullable=False),
            Column(name="received", dtype="timestamp", nullable=False),
            Column(name="click", dtype="int64", nullable=False),
            Column(name="item", dtype="int64"),
            Column(name="shop", dtype="string"),
            Column(name="amount", dtype="int64"),
            Column(name="price", dtype="float64"),
            Column(name="revision", dtype="int64"),
            Column(name="operation", dtype="string"),
        ),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="received"),
        user_id="member",
        rev="revision",
        op="operation",
        start=DAY,
    )
    return source.model_copy(update=changes)


def click(**changes: Any) -> EventType:
    """The click itself, identified by its number within the member."""
    event_type = EventType(
        name="click",
        tenant="shop",
        source="clicks",
        natural_key=("click",),
        columns=(
            Column(name="click", dtype="int64", nullable=False),
            Column(name="item", dtype="int64"),
            Column(name="shop", dtype="string"),
            Column(name="amount", dtype="int64"),
        ),
    )
    return event_type.model_copy(update=changes)


def loaded(*definitions: Definition) -> LoadedRelease:
    """A release of ``definitions``, through its bytes."""
    data = dump(lower(Project(definitions, digests())))
    return LoadedRelease(release_id(data), load(data))


def plan_of(event_type: EventType, *others: Definition) -> EventPlan:
    """The plan of ``event_type`` in a release of it and ``others``, with ``clicks()`` unless they hold its source."""
    sources = () if any(isinstance(d, Source) and d.name == event_type.source for d in others) else (clicks(),)
    return EventPlan.of(loaded(shop, *sources, *others, event_type), event_type.name)


def attached(*names: str, **uses: Enrich) -> dict[str, Any]:
    """``click(**attached("a", "b"))`` attaches both under their own names."""
    return {"enrichments": tuple(uses.get(name) or Enrich(enrichment=name) for name in names)}


def raw_frame(rows: Iterable[Row], source: Source | None = None) -> pl.DataFrame:
    """Generated rows as ``raw/clicks`` holds them."""
    source = source or clicks()
    found = pl.DataFrame(list(rows), schema=SCHEMA, orient="row").with_columns(_received=pl.lit(utc(2024, 6, 1)))
    decoded = decode(found, source)
    assert decoded.rejects.height == 0, decoded.rejects["reason"].to_list()
    return decoded.rows


def run_rows(plan: EventPlan, rows: Iterable[Row], lookup: Lookup | None = None, *, complete: bool = True) -> Outcome:
    """Raw rows through the engine."""
    return run(plan, raw_frame(rows, plan.source), lookup or NoLookup(), complete=complete)


def as_event(row: Row) -> Row:
    """What a raw row means, before anything is dropped or attached."""
    return {
        "user_id": row["member"],
        "event_type": "click",
        "event_id": str(row["click"]),
        "event_time": row["at"],
        "ingest_time": row["received"],
        "rev": row["revision"] or 0,
        "op": (row["operation"] or "upsert").lower(),
        "source_partition": row["_partition"],
        "offset": row["_offset"],
        **{name: row[name] for name in (*PAYLOAD, "price")},
    }


def utc_rows(frame: pl.DataFrame) -> list[Row]:
    """A frame's rows with times in the standard library's UTC, so that they compare and print plainly."""
    zoned = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    rows = frame.to_dicts()
    for row in rows:
        row |= {name: row[name] and row[name].astimezone(dt.UTC) for name in zoned}
    return rows


# ---- Strategies --------------------------------------------------------------------------------------------------

SCHEMA: dict[str, pl.DataType] = {
    "member": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "received": pl.Datetime("us", "UTC"),
    "click": pl.Int64(),
    "item": pl.Int64(),
    "shop": pl.String(),
    "amount": pl.Int64(),
    "price": pl.Float64(),
    "revision": pl.Int64(),
    "operation": pl.String(),
    "_partition": pl.String(),
    "_offset": pl.Int64(),
}


LARGE = tuple(number for number in BIG if -(2**63) <= number < 2**63)


def instants(within: Sequence[dt.date] = (DAY,)) -> st.SearchStrategy[dt.datetime]:
    """Mostly a few instants per day, its edges among them; now and then any microsecond."""
    start = dt.datetime.combine(within[0], dt.time(), dt.UTC)
    day = dt.timedelta(days=1)
    grid = [start + n * day + at for n in range(len(within)) for at in (0 * day, day / 4, day / 2, day - day / 86400)]
    anywhere = st.integers(0, len(within) * 86_400_000_000 - 1).map(lambda us: start + dt.timedelta(microseconds=us))
    return st.one_of(st.sampled_from(grid), st.sampled_from(grid), anywhere)


@st.composite
def raw_rows(
    draw: st.DrawFn,
    *,
    within: Sequence[dt.date] = (DAY,),
    max_size: int = 25,
    unique_ids: bool = False,
    revisions: bool = True,
    users: Sequence[str] = ("ann", "bo~b", "", "éve"),
) -> list[Row]:
    """Rows of ``clicks`` in a drawn order; offsets count within each of two partitions."""
    rows: list[Row] = []
    next_offset = dict.fromkeys(("clicks-0.parquet", "clicks-1.parquet"), 0)
    for number in range(draw(st.integers(0, max_size))):
        at = draw(instants(within))
        fields = {
            "member": st.sampled_from(users),
            "at": st.just(at),
            "received": st.sampled_from([0, 1, 60]).map(lambda late, at=at: at + dt.timedelta(minutes=late)),
            "click": st.just(number) if unique_ids else st.integers(0, 3),
            "item": mostly([None, 1, 2, 3], LARGE),
            "shop": mostly([None, "x", 'y "z"'], (*TEXTS, *NULS)),
            "amount": st.sampled_from([None, 1, 10, 9]),
            "price": st.sampled_from([None, 0.1, 0.2, 0.7, 1e16]),
            "revision": st.sampled_from([None, 0, 1, 2]) if revisions else st.none(),
            "operation": st.sampled_from([None, "upsert", "RETRACT"]) if revisions else st.none(),
        }
        if rows and not unique_ids and draw(st.booleans()):
            # A copy of an earlier row in all but one field: what duplicates and conflicts are made of.
            changed = draw(st.sampled_from(sorted(fields)))
            row = draw(st.sampled_from(rows)) | {changed: draw(fields[changed])}
        else:
            row = {name: draw(values) for name, values in fields.items()}
        partition = draw(st.sampled_from(sorted(next_offset)))
        rows.append(row | {"_partition": partition, "_offset": next_offset[partition]})
        next_offset[partition] += 1
    return draw(st.permutations(rows))

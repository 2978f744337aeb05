"""Generated raw rows of two event types in two log partitions, and the stream and batch that bring them to a store."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from hypothesis import strategies as st

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BucketVersion,
    BucketWrite,
    NowWrite,
    OnlineStore,
    encode_bucket,
)
from seqplat_resources.rules.order import by_user_newest_first
from sequence_defs.schema import Column
from tests.building import days
from tests.hostile.material.draws import mostly
from tests.hostile.material.tables import NULS, TEXTS
from tests.merge_oracle import Marks, Row, available, day_of, gave_way
from tests.properties.clicks import DAY, click, clicks, loaded, shop

# Whatever takes an id apart, cuts it or folds it would make one of two of these.
TYPES, USERS, PARTITIONS = ("click", "view"), ("ann", "ann\0~b\\é"), ("clicks:0", "clicks:1")
IDS = (*TEXTS, *NULS)
REVS, RECEIVED_AFTER = (2**31, 2**62, 2**63 - 1), (-(10**9), -1, 10**9)  # minutes
DAYS = [day.isoformat() for day in days(DAY, 4)]
TASTE = Column(name="taste", dtype="vector[float16,2]")
COLUMNS = (*click().columns, TASTE)
DEFINITIONS = (
    shop,
    clicks(topic="clicks", columns=(*clicks().columns, TASTE)),
    click(columns=COLUMNS),
    clicks(name="views", topic="views", columns=(*clicks().columns, TASTE), order="item"),
    click(columns=COLUMNS, name="view", source="views", natural_key=("click", "shop"), identity_horizon_h=24),
)
PLANS = {name: EventPlan.of(loaded(*DEFINITIONS), name) for name in TYPES}


@st.composite
def histories(draw: st.DrawFn, *, max_size: int = 18) -> list[Row]:
    """Rows by partition and offset. Few ids, so that they come again: copies, conflicts, corrections, retractions.

    A copy may have any time, of another day too, as of a producer that stamps when it sends; so may another rev. Now
    and then an id, a rev, a value, a receipt or the end of a day is one that nobody would think of.
    """
    start = dt.datetime.combine(DAY, dt.time(), dt.UTC)
    rows: list[Row] = []
    next_offset = dict.fromkeys(PARTITIONS, 0)
    for number in range(draw(st.integers(3, max_size))):
        if rows and draw(st.booleans()):
            # Another row of an event there is: copies, conflicts and corrections need more than chance.
            known = draw(st.sampled_from(rows))
            event_type, user, event_id = known["event_type"], known["user"], known["event_id"]
            rev = draw(mostly([known["rev"], known["rev"], 0, 1, 2], REVS))
        else:
            event_type, user = draw(st.sampled_from((*TYPES, "click"))), draw(st.sampled_from((*USERS, "ann", "ann")))
            event_id, rev = draw(mostly("abcdefgh", IDS)), draw(mostly([0, 0, 1], REVS))
        at = start + dt.timedelta(hours=6 * draw(st.integers(0, 4 * len(DAYS) - 1)))
        if draw(st.integers(0, 9)) == 9:
            at += dt.timedelta(hours=6, microseconds=-1)
        partition = draw(st.sampled_from(PARTITIONS))
        rows.append(
            {
                "event_type": event_type,
                "user": user,
                "event_id": event_id,
                "event_time": at,
                "ingest_time": at + dt.timedelta(minutes=draw(mostly([0, 1, 2, 2000], RECEIVED_AFTER))),
                "rev": rev,
                "op": draw(st.sampled_from(["upsert"] * 5 + ["retract"])),
                "source_partition": partition,
                "offset": next_offset[partition],
                "value": number + draw(mostly([0], [2**63 - 1 - max_size])),
                "source_order": draw(mostly(["", "1", "2"], IDS)) if event_type == "view" else None,
                "seen": at + dt.timedelta(minutes=draw(st.sampled_from([2, 2, 2, 400, 2000]))),
            }
        )
        next_offset[partition] += 1
    return rows


def with_a_clock_ahead(rows: Sequence[Row], years: int = 10) -> list[Row]:
    """The same after one message in each partition of somebody else, whose clock is years ahead."""
    first: list[Row] = [
        {
            "event_type": "click",
            "user": "eve",
            "event_id": partition,
            "event_time": dt.datetime(DAY.year + years, 1, 1, tzinfo=dt.UTC),
            "ingest_time": dt.datetime.combine(DAY, dt.time(), dt.UTC),
            "rev": 0,
            "op": "upsert",
            "source_partition": partition,
            "offset": 0,
            "value": 1,
        }
        for partition in PARTITIONS
    ]
    return [*first, *({**row, "offset": row["offset"] + 1} for row in rows)]


def taste_of(row: Row) -> tuple[int, int] | None:
    """A vector of whole numbers, so that similarities can be compared exactly."""
    number: int = row["value"]
    return None if number % 5 == 4 else (number % 3 - 1, number % 7 - 3)


def frame_of(rows: Iterable[Row], event_type: str, *, streamed: bool = False) -> pl.DataFrame:
    """Rows as the engine would give them: an event's columns, by user and newest first."""
    given = [
        {
            **row,
            "user_id": row["user"],
            "available_time": available(row, batch=not streamed),
            "item": row["value"],
            "taste": np.array(taste, np.float16).tobytes() if (taste := taste_of(row)) else None,
        }
        for row in rows
        if row["event_type"] == event_type
    ]
    schema = {**PLANS[event_type].schema, "user_id": pl.String()}
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema, orient="row")
    return by_user_newest_first(frame)


def stream(store: OnlineStore, rows: Sequence[Row], starts: Marks, ends: Marks, *, token: int = 1) -> None:
    """One advance of the rows between two positions."""
    batch = [row for row in rows if starts[row["source_partition"]] <= row["offset"] < ends[row["source_partition"]]]
    writes = []
    for event_type in TYPES:
        mine, reach = [row for row in batch if row["event_type"] == event_type], dict[str, dict[str, int]]()
        for row in mine:
            offsets = reach.setdefault(day_of(row), {})
            offsets[row["source_partition"]] = max(row["offset"] + 1, offsets.get(row["source_partition"], 0))
        blocks = encode_bucket(frame_of(mine, event_type, streamed=True), block_schema(PLANS[event_type]))
        writes.append(NowWrite(event_type, blocks, reach))
    store.advance(writes, {name: Advance(starts[name], ends[name], token, 0, 0) for name in PARTITIONS})


def publish(
    store: OnlineStore, event_type: str, buckets: Mapping[str, tuple[Marks, Sequence[Row]]], known: Sequence[Row] = ()
) -> None:
    """One epoch of these days, made from the rows ``known`` as far as their marks."""

    def writes() -> Iterable[BucketWrite]:
        for day, (marks, rows) in buckets.items():
            frame = frame_of(rows, event_type)
            bucket = BucketVersion(
                0,
                frame.height,
                frame["user_id"].n_unique(),
                dict(marks),
                retractions=int((frame["op"] == "retract").sum()),
                revisions=int((frame["rev"] > 0).sum()),
                outranks=gave_way(known, rows, day, marks),
            )
            yield BucketWrite(day, encode_bucket(frame, block_schema(PLANS[event_type])), bucket)

    store.publish_many(event_type, writes(), release="r", expected_epoch=ANY_EPOCH)

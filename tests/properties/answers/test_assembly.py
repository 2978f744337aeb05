"""Answers against the oracle: total order over event types, window, truncation last, limits and columns."""

import datetime as dt

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import ANY_EPOCH, BucketVersion, BucketWrite, encode_bucket
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import EventType, Pick, Sequence
from tests.building import days
from tests.oracle import Row, deduplicated, sequence
from tests.properties.clicks import DAY, as_event, click, clicks, loaded, raw_rows, run_rows, shop, utc_rows

DAYS = days(DAY, 3)
USERS = ("ann", "bo~b", "éve", "nobody")
VIEW: EventType = click(name="view", natural_key=("click", "shop"), filter="shop IS NOT NULL")


@given(
    rows=raw_rows(within=DAYS, max_size=30, revisions=False, unique_ids=True, users=USERS[:3]),
    length=st.sampled_from([None, 1, 3, 100]),
    window_days=st.sampled_from([None, 1, 2, 365]),
    limit=st.sampled_from([None, 1, 2, 5]),
)
def test_an_answer_is_the_oracles_sequence(
    rows: list[Row], length: int | None, window_days: int | None, limit: int | None
) -> None:
    definition = Sequence(
        name="recent",
        tenant="shop",
        event_types=("click", "view"),
        columns=("item", "shop", Pick(name="worth", columns={"view": "amount"})),
        length=length,
        window_days=window_days,
    )
    release = loaded(shop, clicks(), click(), VIEW, definition)
    store, expected = MemoryStore(), list[Row]()
    for name in ("click", "view"):
        plan = EventPlan.of(release, name)
        events = run_rows(plan, rows).events
        _publish(store, plan, events)
        expected += [_shown(event) for event in utc_rows(events)]
    since = dt.datetime.combine(DAYS[-1], dt.time(), dt.UTC) + dt.timedelta(days=1 - (window_days or 10_000))
    most = min((n for n in (length, limit) if n is not None), default=None)
    columns = ["event_time", "event_type", "event_id", "item", "shop", "worth"]
    for user in USERS:
        mine = sequence((e for e in expected if e["user_id"] == user), length=most, since=since)
        found = answer(SequencePlan.of(release, "recent"), store, user, Query(limit=limit))
        assert utc_rows(found.events) == [{name: event[name] for name in columns} for event in mine]
        # A subset of columns, in another order, is the same answer.
        subset = answer(SequencePlan.of(release, "recent"), store, user, Query(["worth", "item"], limit))
        assert subset.events.equals(found.events.select("worth", "item"))


@given(rows=raw_rows(max_size=30, users=("ann",)))
def test_truncation_comes_after_duplicates_are_dropped(rows: list[Row]) -> None:
    """The newest N of the events that stay, never the ones that stay of the newest N rows."""
    kept, _, _ = deduplicated(map(as_event, rows), ["click"], ["click", "item", "shop", "amount", "event_time", "op"])
    definition = Sequence(name="recent", tenant="shop", event_types=("click",), columns=("click",), length=2)
    release, store = loaded(shop, clicks(), click(), definition), MemoryStore()
    plan = EventPlan.of(release, "click")
    _publish(store, plan, run_rows(plan, rows).events)
    found = answer(SequencePlan.of(release, "recent"), store, "ann").events
    standing = [event for event in kept if event["op"] == "upsert"]
    assert found["click"].to_list() == [event["click"] for event in sequence(standing, length=2)]


def _publish(store: MemoryStore, plan: EventPlan, events: pl.DataFrame) -> None:
    """What batch publishes, without the lake: a block per user and day, retractions among the rows."""
    schema, name = block_schema(plan), plan.event_type.name
    store.register_schema(schema)
    for day in DAYS:
        rows = events.filter(pl.col("event_time").dt.date() == day)
        bucket = BucketVersion(
            0,
            rows.height,
            rows["user_id"].n_unique(),
            retractions=int((rows["op"] == "retract").sum()),
            revisions=int((rows["rev"] > 0).sum()),
        )
        write = BucketWrite(day.isoformat(), encode_bucket(rows, schema), bucket)
        store.publish_many(name, [write], release=plan.release, expected_epoch=ANY_EPOCH)


def _shown(event: Row) -> Row:
    return {**event, "worth": event["amount"] if event["event_type"] == "view" else None}

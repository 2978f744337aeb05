"""One engine, two lookups: a stream that looks up what batch published finds what batch finds, or says PENDING."""

import datetime as dt
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.publish.enrichments import publish_days
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.enrichment.table import covered
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.testing.lookups import FrameLookup
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Column, Enrich, Snapshot, Source, Time, Versioned
from tests.budget import examples
from tests.building import days, runtime_for
from tests.oracle import PENDING, Row
from tests.properties.clicks import DAY, click, clicks, instants, raw_frame, raw_rows, shop, utc_rows

DAYS = days(DAY, 7)
MIDNIGHT = dt.datetime.combine(DAY, dt.time(), dt.UTC)

facts = Source(
    name="facts",
    tenant="shop",
    location="facts.parquet",
    columns=(
        Column(name="item", dtype="int64"),
        Column(name="shop", dtype="string"),
        Column(name="since", dtype="timestamp"),
        Column(name="value", dtype="int64"),
        Column(name="marks", dtype="list[int32]"),
        Column(name="place", dtype="vector[float32,2]", model="m"),
    ),
)
COLUMNS = tuple(column for column in facts.columns if column.name in ("value", "marks", "place"))
VERSIONED = Versioned(
    name="versioned",
    tenant="shop",
    source="facts",
    key=("item", "shop"),
    columns=COLUMNS,
    valid_from=Time(sql="since"),
    missing={"value": -1},
)
SNAPSHOT = Snapshot(name="snapshot", tenant="shop", source="facts", key=("item",), columns=COLUMNS)
NAMES = (VERSIONED.name, SNAPSHOT.name)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    uses = tuple(Enrich(enrichment=name, columns={f"{name}_{c.name}": c.name for c in COLUMNS}) for name in NAMES)
    home = tmp_path_factory.mktemp("facts") / "home"
    return runtime_for(home, (shop, clicks(), facts, VERSIONED, SNAPSHOT, click(enrichments=uses)))


KEYS = [(1, "x")] * 3 + [(2, "x"), (1, "y~"), (3, "x"), (None, "x"), (1, None)]
VALUES = {
    "value": st.sampled_from([None, 1, 2]),
    "marks": st.sampled_from([None, [], [1, None]]),
    "place": st.sampled_from([None, b"12345678"]),
}


@st.composite
def version_buckets(draw: st.DrawFn, within: Sequence[dt.date]) -> dict[dt.date, pl.DataFrame]:
    """Per day a bucket as the lake holds it: what of each key began before the day, and what begins within it.

    Each day says what it likes: restated values, keys that go and come back, versions taken back.
    """
    schema = SCHEMAS[VERSIONED.name]
    pool = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "item": st.sampled_from([1, 1, 1, 2]),
                    "shop": st.sampled_from(["x", "x", "x", "y~"]),
                    "valid_from": instants(days(DAY - dt.timedelta(days=1), 8)),
                    "valid_to": st.one_of(st.none(), st.none(), instants(days(DAY, 9))),
                    **VALUES,
                }
            ),
            min_size=5,
            max_size=25,
        )
    )
    buckets = {}
    for day in within:
        start, end = _edges(day)
        fates = draw(st.lists(st.sampled_from(["kept"] * 8 + ["gone", "restated"]), min_size=25, max_size=25))
        begun = [(row, fate) for row, fate in zip(pool, fates, strict=False) if row["valid_from"] < end]
        said = [row | ({"value": 7} if fate == "restated" else {}) for row, fate in begun if fate != "gone"]
        kept = {}
        for row in sorted(said, key=lambda row: row["valid_from"]):
            is_settled = row["valid_from"] <= start
            kept[row["item"], row["shop"], None if is_settled else row["valid_from"]] = row
        current = [row for row in kept.values() if row["valid_to"] is None or row["valid_to"] > start]
        buckets[day] = pl.DataFrame(current, schema=schema, orient="row")
    return buckets


@st.composite
def snapshot_buckets(draw: st.DrawFn, within: Sequence[dt.date]) -> dict[dt.date, pl.DataFrame]:
    buckets, rows = {}, draw(st.dictionaries(st.sampled_from([1, 2, 3]), st.fixed_dictionaries(VALUES)))
    for day in within:
        if draw(st.booleans()):
            rows = rows | draw(st.dictionaries(st.sampled_from([1, 2, 3]), st.fixed_dictionaries(VALUES)))
        start, end = _edges(day)
        found = [{"item": item, "valid_from": start, "valid_to": end, **row} for item, row in rows.items()]
        buckets[day] = pl.DataFrame(found, schema=SCHEMAS[SNAPSHOT.name], orient="row")
    return buckets


TIMES: dict[str, pl.DataType] = {"valid_from": pl.Datetime("us", "UTC"), "valid_to": pl.Datetime("us", "UTC")}
VALUE_TYPES: dict[str, pl.DataType] = {"value": pl.Int64(), "marks": pl.List(pl.Int32()), "place": pl.Binary()}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    VERSIONED.name: {"item": pl.Int64(), "shop": pl.String(), **TIMES, **VALUE_TYPES},
    SNAPSHOT.name: {"item": pl.Int64(), **TIMES, **VALUE_TYPES},
}


def _edges(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    return start, start + dt.timedelta(days=1)


@settings(max_examples=examples(15), phases=[Phase.generate])
@given(data=st.data())
def test_a_stream_finds_what_batch_finds_within_the_days_kept(runtime: Runtime, data: st.DataObject) -> None:
    """Events are looked up between publications, so that a working set outlives epochs, and at its limits."""
    built = DAYS[:6]
    found = {VERSIONED.name: data.draw(version_buckets(built)), SNAPSHOT.name: data.draw(snapshot_buckets(built))}
    rows = data.draw(raw_rows(within=DAYS, unique_ids=True, revisions=False, max_size=30))
    keys = data.draw(st.lists(st.sampled_from(KEYS), min_size=len(rows), max_size=len(rows)))
    events = raw_frame([row | {"item": item, "shop": at} for row, (item, at) in zip(rows, keys, strict=True)])
    store, plan = MemoryStore(), EventPlan.of(runtime.loaded, "click")
    lookup = OnlineLookup(runtime, store, max_rows=data.draw(st.sampled_from([0, 3, 100])))
    for newest in data.draw(st.lists(st.sampled_from(built), min_size=1, max_size=3)):
        kept = covered(built, newest)
        for definition in (VERSIONED, SNAPSHOT):
            buckets, before = (
                {day: found[definition.name][day] for day in kept},
                store.epoch(f"enrichments/{definition.name}"),
            )
            publish_days(
                store,
                definition,
                buckets,
                release="r",
                delta_version=1,
                expected_epoch=before.epoch if before else None,
            )
        for part in (events[::2], events):
            for event in utc_rows(run(plan, part, lookup, complete=False).events):
                assert _cells(event) == _expected(plan, events, event, found, kept), event


def _expected(
    plan: EventPlan, raw: pl.DataFrame, event: Row, found: dict[str, dict[dt.date, pl.DataFrame]], kept: list[dt.date]
) -> Row:
    """What batch of the event's own day says; after the newest day, what that one would; before the oldest, PENDING."""
    day = event["event_time"].date()
    if day < kept[0]:
        return dict.fromkeys(_cells(event)) | {f"{name}__status": PENDING for name in NAMES}
    buckets = {name: found[name][min(day, kept[-1])] for name in NAMES}
    if day > kept[-1]:
        buckets[SNAPSHOT.name] = buckets[SNAPSHOT.name].with_columns(valid_to=pl.lit(None, TIMES["valid_to"]))
    alone = raw.filter(pl.col("click") == int(event["event_id"]))
    (expected,) = utc_rows(run(plan, alone, FrameLookup(buckets)).events)
    return _cells(expected)


def _cells(event: Row) -> Row:
    return {name: value for name, value in event.items() if name.startswith(NAMES)}


def test_nothing_published_is_pending(runtime: Runtime) -> None:
    at = MIDNIGHT
    row = {"member": "ann", "at": at, "received": at, "click": 1, "item": 1, "_partition": "p", "_offset": 0}
    raw = raw_frame([row | dict.fromkeys(["shop", "amount", "price", "revision", "operation"])])
    events = run(EventPlan.of(runtime.loaded, "click"), raw, OnlineLookup(runtime, MemoryStore())).events
    assert {events[f"{name}__status"].item() for name in NAMES} == {PENDING}

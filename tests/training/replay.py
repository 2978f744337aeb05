"""A replayed installation: events of two types through one stream, batch and upkeep, its answers noted as they were
given; and what they should have been, in plain Python."""

import datetime as dt
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.batch.upkeep.layouts import compact_table, layouts
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.rollup import roll_up
from seqplat_resources.read.answer import answers
from seqplat_resources.read.past import PastRows
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.training.answered.write import RecordedAnswer, append_answers
from seqplat_resources.training.build import build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import Collapse, Column, Definition, Derived, Enrich, EventType
from sequence_defs.schema import Sequence as SequenceDefinition
from serving.follow.answers import AnswerLog
from tests.building import ManualClock, runtime_for, utc
from tests.collapse_oracle import Oracle
from tests.merge_oracle import Row, best, day_of, place
from tests.properties.clicks import clicks, shop
from tests.stream.world import Crash

TOPIC, TYPES, USERS = "clicks", ("order", "view"), ("ann", "bob")
# Before 1970, and some days in a row, of which the last is to come when everything begins.
DAYS = [dt.date(1969, 12, 31), dt.date(2024, 5, 2), dt.date(2024, 5, 3), dt.date(2024, 5, 4), dt.date(2024, 5, 5)]
START, STEP = utc(2024, 5, 4, 6), dt.timedelta(minutes=10)
# Whose time is so far ahead of its receipt is refused.
AHEAD = dt.timedelta(days=1)
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)
FAST = Pace(rows=7, poll_s=0.0, keep_rows=11, keep_s=1e9, heartbeat_s=1e9)


def _event_type(name: str) -> EventType:
    """What is said with the type's name as ``shop``. A correction with another name withdraws it."""
    columns = (Column(name="click", dtype="int64", nullable=False), Column(name="value", dtype="int64", sql="amount"))
    return EventType(
        name=name,
        tenant="shop",
        source="clicks",
        natural_key=("click",),
        filter=f"shop = '{name}'",
        columns=columns,
        enrichments=(Enrich(enrichment="doubled"),) if name == "order" else (),
    )


def _sequence(name: str, **more: Any) -> SequenceDefinition:
    said: dict[str, Any] = {"tenant": "shop", "event_types": TYPES, "columns": ("value", "twice")}
    return SequenceDefinition(name=name, **said, **{"answers_recorded": 1.0} | more)


DEFINITIONS: tuple[Definition, ...] = (
    shop,
    clicks(location="", topic=TOPIC, start=DAYS[0]),
    Derived(name="doubled", tenant="shop", columns=(Column(name="twice", dtype="int64", sql="value * 2"),)),
    *map(_event_type, TYPES),
    _sequence("recent", length=6),
    _sequence("lately", window_days=2),
    _sequence(
        "items",
        length=4,
        collapse=Collapse(by=("value",), within_s=12 * 3600, actions=("order",)),
        answers_recorded=0.0,
    ),
)


@dataclass(frozen=True)
class Asked:
    """A question of a request, and what it means in Python."""

    sequence: str
    query: Query = Query()
    lets_through: Callable[[Row], bool] = lambda _: True

    @property
    def most(self) -> int | None:
        """Of the sequence and of the request."""
        length = {"recent": 6, "items": 4}.get(self.sequence)
        return min((each for each in (length, self.query.limit) if each is not None), default=None)

    def rows(self, newest_first: list[Row]) -> list[Row]:
        """Of events, as many as are answered."""
        return (ITEMS.rows(newest_first) if self.sequence == "items" else newest_first)[: self.most]


ITEMS = Oracle(dt.timedelta(hours=12), ("order",), lambda event: event["value"])
ASKED = (
    Asked("recent"),
    Asked("lately"),
    Asked("items"),
    Asked("recent", Query(limit=2)),
    Asked("recent", Query(where="value > 1 OR twice IS NULL"), lambda r: r["value"] > 1 or r["event_type"] == "view"),
    Asked(
        "lately",
        Query(event_types=["order"], where="twice = 2"),
        lambda r: r == r | {"event_type": "order", "value": 1},
    ),
    Asked("items", Query(limit=2, where="value > 1 OR twice IS NULL"), lambda r: r["value"] > 1 or r["twice"] is None),
    Asked("recent", Query(event_types=["view"], limit=3), lambda row: row["event_type"] == "view"),
    Asked("recent", Query(since=utc(2024, 5, 2, 12)), lambda row: row["event_time"] >= utc(2024, 5, 2, 12)),
)


@dataclass(frozen=True)
class Given:
    """What was answered at a time, by user, and the newest day that was published then. ``request`` is its id."""

    at: dt.datetime
    asked: Asked
    rows: dict[str, list[Row]]
    newest: dt.date | None
    request: str = ""


@dataclass
class Replay:
    """Each step is ten minutes behind the one before; after it every user is asked one question."""

    folder: Path
    store: OnlineStore
    overlap: bool = False
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    messages: list[Row] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runtime = runtime_for(self.folder / "home", DEFINITIONS, self.folder, clock=self.clock)
        self.plans = {name: EventPlan.of(self.runtime.loaded, name) for name in TYPES}
        # When each message was first visible, by partition and offset: the oracle's own record.
        self._visible: dict[tuple[str, int], dt.datetime] = {}
        self._published: set[dt.date] = set()
        self.log = AnswerLog(self._append_answers, self.clock)
        self._questions, self._sets = itertools.cycle(ASKED), itertools.count()
        with closing(self._writer()) as writer:
            writer.create_topic(TOPIC, 2)

    def act(self, kind: str, told: Any = None) -> None:
        """One step; the clock stands while it is taken."""
        self.clock.time += STEP
        getattr(self, f"_{kind}")(told)
        self._note()
        asked = next(self._questions)
        request = f"request {len(self.given)}"
        rows = self._answered(asked, replace(asked.query, until=self.clock.time), request)
        self.given.append(Given(self.clock.time, asked, rows, self.newest_published, request))
        self.log.behind.write()

    def settle(self) -> None:
        """Everything is streamed, built and published."""
        self.act("stream", 40)
        self.act("batch", DAYS)

    def _note(self) -> None:
        for partition, at in self.store.stream_positions().items():
            for offset in range(at.next_offset):
                self._visible.setdefault((partition, offset), self.clock.time)

    # ---- Steps

    def _say(self, rows: Sequence[Row]) -> None:
        with closing(self._writer()) as writer:
            for number, row in enumerate(rows):
                partition, received = row["partition"], self.clock.time - dt.timedelta(seconds=30 - number // 3)
                fields = {name: row[name] for name in ("member", "click", "shop", "amount", "revision", "operation")}
                fields |= {"at": row["at"].isoformat(), "received": received.isoformat()}
                writer.append(TOPIC, [(None, json.dumps(fields).encode())], partition=partition)
                name = f"{TOPIC}:{partition}"
                offset = sum(message["source_partition"] == name for message in self.messages)
                self.messages.append(row | {"received": received, "source_partition": name, "offset": offset})
            writer.flush()

    def _stream(self, batches: int, die_at: int | None = None) -> None:
        def step(number: int) -> None:
            if number == die_at:
                raise Crash

        log, ownership = FileLogSource(str(self.folder / "log")), Ownership(self.runtime.home, "clicks", self.clock)
        pace = replace(FAST, overlap=self.overlap)
        loop = StreamLoop(self.runtime, "clicks", log, self.store, NoLookup(), ownership, pace, self.clock, step)
        try:
            for _ in range(batches):
                loop.once()
            loop.close()
        finally:
            loop.abandon()
            log.close()

    def _crash(self, die_at: int) -> None:
        with suppress(Crash):
            self._stream(5, die_at)

    def _crash_and_go_on(self, die_at: int) -> None:
        """Another process takes over before anything is published: until then the now view knows what it showed."""
        self._crash(die_at)
        self._note()
        self.clock.time += STEP
        self._stream(5)

    def _build(self, days: Iterable[dt.date]) -> None:
        for name in TYPES:
            list(events.build(self.runtime, name, sorted(days)))

    def _batch(self, days: Iterable[dt.date]) -> None:
        self._build(days)
        for name in TYPES:
            list(publish(self.runtime, self.store, name, sorted(days)))
        self._published |= set(days)

    def _upkeep(self, _: Any) -> None:
        """Rolling up, compaction, and a vacuum within its retention."""
        for name in TYPES:
            roll_up(self.store, name)
        for layout in layouts(self.runtime).values():
            if layout.table.exists():
                list(compact_table(layout))
                vacuum(layout.table, dry_run=False)

    def _fill(self, _: Any) -> None:
        """Another release has a column more; days that are there get it beside them."""
        more = Column(name="third", dtype="int64", sql="amount * 3")
        wider = [
            each.model_copy(update={"columns": (*each.columns, more)}) if isinstance(each, EventType) else each
            for each in DEFINITIONS
        ]
        self.runtime = runtime_for(self.folder / "home", wider, self.folder, clock=self.clock)
        for name in TYPES:
            list(events.build(self.runtime, name, DAYS, columns=["third"]))
            list(publish(self.runtime, self.store, name, DAYS))

    # ---- What is said of it

    def as_of(self, given: Given) -> dict[str, list[Row]]:
        """The answers as of then, asked for now."""
        return self._answered(given.asked, replace(given.asked.query, until=given.at, as_of=given.at))

    def training_rows(self, asked: Asked, times: Sequence[dt.datetime]) -> dict[dt.datetime, dict[str, list[Row]]]:
        """A training set with a label for each user and time."""
        at = pl.DataFrame({"time": pl.Series(times, dtype=pl.Datetime("us", "UTC"))})
        labels = at.join(pl.DataFrame({"user": USERS}), how="cross")
        question = TrainingQuestion(asked.sequence, query=asked.query)
        made = build(self.runtime, question, labels, self.folder / f"set {next(self._sets)}", prefix="of_")
        found: dict[dt.datetime, dict[str, list[Row]]] = defaultdict(dict)
        for row in pl.read_parquet(made.out / "*.parquet").iter_rows(named=True):
            found[row["time"].astimezone(dt.UTC)][row["user"]] = _listed(row)
        return found

    def served_rows(self, asked: Asked, requests: Sequence[str]) -> dict[str, dict[str, list[Row]]]:
        """A training set of what requests were answered with, by request and user."""
        labels = pl.DataFrame({"request_id": requests}).join(pl.DataFrame({"user": USERS}), how="cross")
        labels = labels.with_columns(time=pl.lit(self.clock.time).cast(pl.Datetime("us", "UTC")))
        made = build(
            self.runtime,
            TrainingQuestion(asked.sequence, mode="as_served", query=asked.query),
            labels,
            self.folder / f"set {next(self._sets)}",
            prefix="of_",
        )
        assert made.manifest.facts["gone"] == 0
        found: dict[str, dict[str, list[Row]]] = defaultdict(dict)
        for row in pl.read_parquet(made.out / "*.parquet").iter_rows(named=True):
            found[row["request_id"]][row["user"]] = _listed(row)
        return found

    def expected(self, given: Given, *, newest: dt.date | None) -> dict[str, list[Row]]:
        """Of what was visible and happened before, the rows that counted; the window from the newest day of then."""
        return {user: self._expected(user, given, newest) for user in USERS}

    def _expected(self, user: str, given: Given, newest: dt.date | None) -> list[Row]:
        there = [
            row
            for message in self.messages
            if message["member"] == user and self._seen(message) <= given.at
            if message["at"] - message["received"] <= AHEAD
            for row in _meanings(message)
        ]
        today = given.at.date()
        first = str(min(newest or today, today) - dt.timedelta(days=1)) if given.asked.sequence == "lately" else ""
        stands = [
            row
            for row in best(there, horizons={})
            if row["op"] != "retract"
            and row["event_time"] < given.at
            and day_of(row) >= first
            and given.asked.lets_through(row)
        ]
        return _plain(given.asked.rows(sorted(stands, key=place, reverse=True)))

    @property
    def newest_published(self) -> dt.date | None:
        """A window is counted back from it."""
        return max(self._published, default=None)

    def _seen(self, message: Row) -> dt.datetime:
        return self._visible.get((message["source_partition"], message["offset"]), NEVER)

    def _append_answers(self, sequence: str, rows: Sequence[RecordedAnswer], dropped: int) -> None:
        append_answers(self.runtime.home, self.clock, self.runtime.release, sequence, rows, dropped=dropped)

    def _answered(self, asked: Asked, query: Query, request: str = "") -> dict[str, list[Row]]:
        plan, past = SequencePlan.of(self.runtime.loaded, asked.sequence), PastRows(self.runtime.home)
        recording = self.log.drawn(plan, request, query) if request else None
        found = answers(plan, self.store, USERS, query, clock=self.clock, past=past)
        assert not [said for said in found.freshness.degraded if "as_of" in said], found.freshness.degraded
        if recording:
            plans = [plan] * len(USERS)
            recording.add(plans, USERS, found.lengths, found.revisions, found.freshness, found.partial)
        ends = list(itertools.accumulate(found.lengths))
        rows = _plain(found.events.to_dicts())
        return {user: rows[end - size : end] for user, size, end in zip(USERS, found.lengths, ends, strict=True)}

    def _writer(self) -> FileLogWriter:
        return FileLogWriter(str(self.folder / "log"))


def _meanings(message: Row) -> Iterable[Row]:
    """As rows of the event types: of the one it is of; of the other, where it corrects, that it is none."""
    for name in TYPES:
        if message["shop"] == name or message["revision"]:
            yield {
                "event_type": name,
                "user": message["member"],
                "event_id": str(message["click"]),
                "event_time": message["at"],
                "ingest_time": message["received"],
                "rev": message["revision"],
                "op": (message["operation"] or "upsert") if message["shop"] == name else "retract",
                "source_partition": message["source_partition"],
                "offset": message["offset"],
                "value": message["amount"],
                "twice": message["amount"] * 2 if name == "order" else None,
            }


def _listed(row: Mapping[str, Any]) -> list[Row]:
    """The events of a row of a training set."""
    lists = {name.removeprefix("of_"): values for name, values in row.items() if name.startswith("of_")}
    return _plain(dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True))


def _plain(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    names = ("event_type", "event_id", "value", "twice", "actions", "events")
    times = {"event_time": "at", "first_time": "since"}
    return [
        {name: row[name] for name in names if name in row}
        | {new: row[name].astimezone(dt.UTC) for name, new in times.items() if name in row}
        for row in rows
    ]


# ---- Strategies

# Midnights, the times of answers (what happens at that very time is not before it), and what is to come.
TIMES = [dt.datetime.combine(day, dt.time(hour), dt.UTC) for day in DAYS for hour in (0, 12)]  # the last is refused
TIMES += [START + n * STEP for n in range(1, 12, 2)]


@st.composite
def sayings(draw: st.DrawFn) -> list[Row]:
    """Few ids and times, so that they meet: copies, corrections that move, change type or retract."""
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        rows.append(
            {
                "member": draw(st.sampled_from(USERS)),
                "click": draw(st.integers(0, 5)),
                "at": draw(st.sampled_from(TIMES)),
                "shop": draw(st.sampled_from(["view", "view", "order", "order", "other"])),
                "amount": draw(st.sampled_from([1, 2])),
                "revision": draw(st.sampled_from([0, 0, 0, 1, 2])),
                "operation": draw(st.sampled_from([None, None, None, "retract"])),
                "partition": draw(st.sampled_from([0, 1])),
            }
        )
    return rows


some_days = st.sets(st.sampled_from(DAYS), min_size=1)
steps = st.one_of(
    st.tuples(st.just("say"), sayings()),
    st.tuples(st.just("stream"), st.integers(1, 3)),
    st.tuples(st.just("crash_and_go_on"), st.integers(1, 6)),
    st.tuples(st.just("batch"), some_days),
    st.tuples(st.just("build"), some_days),
    st.tuples(st.just("upkeep"), st.none()),
)

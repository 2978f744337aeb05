"""What was answered at a time is what is answered ``as_of`` it later, whatever came, was built and was moved since."""

import datetime as dt
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.rollup import roll_up
from seqplat_resources.read.answer import answer
from seqplat_resources.read.past import PastRows
from seqplat_resources.release.query import Query
from tests.budget import examples
from tests.building import utc
from tests.merge_oracle import Row, best, place
from tests.online_stores import empty_store
from tests.stream.test_convergence import actions
from tests.stream.world import DAYS, QUICK, USERS, Crash, Shop, shown

START, STEP = utc(2024, 5, 4), dt.timedelta(minutes=10)


class Memory:
    """A shop, and what it answered after every step. Each step is ten minutes later than the one before."""

    def __init__(self, folder: Path, store: OnlineStore, *, overlap: bool) -> None:
        self.pace = replace(QUICK, overlap=overlap)
        self.shop = Shop(folder, store)
        self.at = START
        self.answers: list[tuple[dt.datetime, str, list[Row]]] = []
        # When each message was first visible, by partition; the oracle's own record.
        self.visible: dict[tuple[str, int], dt.datetime] = {}

    def act(self, kind: str, given_to: Any) -> None:
        self.at += STEP
        self.shop.clock.time = self.at
        if kind == "say":
            self._say(given_to)
        elif kind == "stream":
            self._stream(given_to)
        elif kind == "crash":
            with suppress(Crash):
                self._stream(5, die_at=given_to)
            self._note()
            self.at = self.shop.clock.time = self.at + STEP
            self._stream(5)  # another process takes over before anything is built
        else:
            self.shop.build(sorted(given_to))
            if kind == "batch":
                self.shop.publish(sorted(given_to))
            roll_up(self.shop.store, "click")
        self._note()

    def _say(self, rows: Sequence[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            row["received"] = self.at - dt.timedelta(seconds=30 - number // 3)
        self.shop.say(rows)

    def _stream(self, batches: int, *, die_at: int | None = None) -> None:
        def step(number: int) -> None:
            if number == die_at:
                raise Crash

        loop = self.shop.loop(step=step, pace=self.pace)
        try:
            for _ in range(batches):
                loop.once()
            loop.close()
        finally:
            loop.abandon()
            loop.log.close()

    def _note(self) -> None:
        for partition, end in self.shop.streamed().items():
            for offset in range(end):
                self.visible.setdefault((partition, offset), self.at)
        for user in USERS:
            self.answers.append((self.at, user, self.shop.answer(user)))

    def as_of(self, user: str, at: dt.datetime) -> list[Row]:
        query, past = Query(as_of=at), PastRows(self.shop.runtime.home)
        found = answer(self.shop.sequence, self.shop.store, user, query, clock=self.shop.clock, past=past)
        assert found.freshness.degraded == self._degraded(), found.freshness.degraded
        rows = found.events.select("event_id", "event_time", "value").to_dicts()
        return [row | {"event_time": row["event_time"].astimezone(dt.UTC)} for row in rows]

    def _degraded(self) -> tuple[str, ...]:
        """What is said of an answer now: nothing of this is about the past."""
        return answer(self.shop.sequence, self.shop.store, "ann", clock=self.shop.clock).freshness.degraded

    def expected(self, user: str, at: dt.datetime) -> list[Row]:
        """Plain Python: of what was visible, the rows that count."""
        there = [row for row in self.shop.messages if row["user"] == user and self._seen(row) <= at]
        stands = [row for row in best(there) if row["op"] != "retract"]
        return shown(sorted(stands, key=place, reverse=True))

    def _seen(self, row: Row) -> dt.datetime:
        return self.visible.get((row["source_partition"], row["offset"]), dt.datetime.max.replace(tzinfo=dt.UTC))

    def check(self) -> None:
        """Every answer that was given, asked for again."""
        for at, user, said in self.answers:
            assert self.expected(user, at) == said, ("the oracle", user, at)
            assert self.as_of(user, at) == said, (user, at)


def tell(store_kind: str, story: list[tuple[str, Any]], overlap: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, empty_store(store_kind, Path(folder)) as store:
        told = Memory(Path(folder), store, overlap=overlap)
        for kind, given_to in story:
            told.act(kind, given_to)
        told.check()
        told.act("stream", 40)
        for _ in range(2):
            told.act("batch", set(DAYS))
        told.check()


FEW = settings(max_examples=examples(8), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
stories = st.lists(actions, min_size=3, max_size=10)


@FEW
@given(stories, st.booleans())
def test_what_was_answered_is_answered_as_of_then(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("lmdb", story, overlap)


@settings(FEW, max_examples=examples(2))
@given(stories, st.booleans())
def test_it_is_on_a_server_too(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("redis", story, overlap)

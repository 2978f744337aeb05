"""Stream, batch and crashes in any order: at every moment the answer is the oracle's, and in the end pure batch's."""

import datetime as dt
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store import OnlineStore
from tests.budget import examples
from tests.building import utc
from tests.merge_oracle import World
from tests.online_stores import empty_store
from tests.stream.world import DAYS, QUICK, USERS, Crash, Shop, shown

LENGTHS = (None, 1, 3)


times = st.builds(
    lambda day, hour: dt.datetime.combine(day, dt.time(hour), dt.UTC),
    st.sampled_from(DAYS),
    st.sampled_from([0, 12, 23]),
)


@st.composite
def sayings(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some clicks: days in disorder, copies and corrections that may say another time of another day, retractions."""
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        click, revision = draw(st.integers(0, 4)), draw(st.sampled_from([0, 0, 0, 1, 2]))
        rows.append(
            {
                "member": draw(st.sampled_from(USERS)),
                "click": click,
                "at": draw(times),
                "amount": draw(st.sampled_from([1, 2])),
                "revision": revision,
                "operation": draw(st.sampled_from([None, None, None, "retract"])),
                "partition": draw(st.sampled_from([0, 1])),
            }
        )
    return rows


actions = st.one_of(
    st.tuples(st.just("say"), sayings()),
    st.tuples(st.just("stream"), st.integers(1, 3)),
    st.tuples(st.just("crash"), st.integers(1, 6)),
    st.tuples(st.just("batch"), st.sets(st.sampled_from(DAYS), min_size=1)),
    st.tuples(st.just("build only"), st.sets(st.sampled_from(DAYS), min_size=1)),
)


class Story:
    """A shop and the world it should look like."""

    def __init__(self, folder: Path, store: OnlineStore, *, overlap: bool) -> None:
        self.pace = replace(QUICK, overlap=overlap)
        self.shop = Shop(folder, store)
        self.world = World(self.shop.messages)
        self.said = 0

    def act(self, kind: str, given: Any) -> None:
        if kind == "say":
            for row in given:  # three receive the same stamp, so that some conflicts are decided by their position
                self.said += 1
                row["received"] = utc(2024, 5, 4) + dt.timedelta(seconds=self.said // 3)
            self.shop.say(given)
        elif kind == "stream":
            self._stream(given)
        elif kind == "crash":
            with suppress(Crash):
                self._stream(5, die_at=given)
        else:
            days = sorted(given)
            self.shop.build(days)
            if kind == "batch":
                self.publish(days)
        self.check()

    def publish(self, days: list[dt.date]) -> None:
        self.shop.publish(days)
        fresh = dict(self.world.current("click"))
        for day in days:
            self.world.publish("click", [str(day)], self.shop.marks(day))
            fresh[str(day)] = self.world.current("click")[str(day)]
        # One epoch for all of them.
        self.world.epochs["click"] = [*self.world.epochs["click"][: -len(days)], fresh]

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
            loop.abandon()  # of a process that is gone, which the next one would see
            loop.log.close()

    def check(self) -> None:
        self.world.streamed = self.shop.streamed()
        for user in USERS:
            for length in LENGTHS:
                expected = shown(self.world.answer(user, ["click"], length=length))
                assert self.shop.answer(user, length) == expected, (user, length)

    def settle(self) -> None:
        """Everything streamed, everything built."""
        self._stream(40)
        assert sum(self.shop.streamed().values()) == len(self.shop.messages)
        self.shop.build(DAYS)
        for _ in range(4):  # again and again changes nothing, and in the end no kept epoch needs the now view
            self.publish(DAYS)
            self.check()
        assert self.shop.store.now_stats("click").batches == 0
        every = World(self.shop.messages)
        every.publish("click", map(str, DAYS), self.shop.streamed())
        for user in USERS:
            assert self.shop.answer(user) == shown(every.answer(user, ["click"]))


def tell(store_kind: str, story: list[tuple[str, Any]], overlap: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, empty_store(store_kind, Path(folder)) as store:
        told = Story(Path(folder), store, overlap=overlap)
        for kind, given_to in story:
            told.act(kind, given_to)
        told.settle()


# One example writes some fifty commits, so there are few of them, each is rich, and none is made smaller.
FEW = settings(max_examples=examples(15), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
stories = st.lists(actions, min_size=3, max_size=12)


@FEW
@given(stories, st.booleans())
def test_every_interleaving_shows_what_the_oracle_shows(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("lmdb", story, overlap)


@settings(FEW, max_examples=examples(4))
@given(stories, st.booleans())
def test_every_interleaving_shows_it_on_a_server(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("redis", story, overlap)

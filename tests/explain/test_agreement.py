"""Whatever stream and batch did in whatever order: every explanation agrees with the answer, and with plain Python."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from seqplat_resources.explain import explain
from seqplat_resources.online_store.lmdb import LmdbStore
from tests.budget import examples
from tests.building import utc
from tests.explain.world import DEFINITIONS, FILTERED, LENGTH, WINDOW_DAYS
from tests.merge_oracle import Row, World
from tests.stream.world import DAYS, USERS, Shop

# Each writes some forty commits and explains a dozen events. The first four have every verdict between them.
STORIES = range(4, 4 + examples(4))


def sayings(random: Random) -> list[dict[str, Any]]:
    """Some clicks: copies, conflicts, corrections that may change the day, retractions, filtered ones."""
    rows = []
    for _ in range(random.randint(3, 10)):
        click, revision = random.randint(0, 9), random.choice([0, 0, 0, 1, 2])
        day = DAYS[(click + (revision if click % 4 == 0 else 0)) % len(DAYS)]
        hour = (0, 12, 23)[(click * 5 + revision) % 3]
        rows.append(
            {
                "member": random.choice(USERS),
                "click": click,
                "at": dt.datetime.combine(day, dt.time(hour), dt.UTC),
                "amount": random.choice([1, 1, 2, FILTERED]),
                "revision": revision,
                "operation": random.choice([None, None, None, "retract"]),
                "partition": random.choice([0, 1]),
            }
        )
    return rows


def actions(random: Random) -> Iterator[tuple[str, Any]]:
    """What happens, in any order; something is said first."""
    yield "say", sayings(random)
    for _ in range(random.randint(3, 8)):
        kind = random.choice(["say", "stream", "stream", "batch", "build only"])
        if kind == "say":
            yield kind, sayings(random)
        elif kind == "stream":
            yield kind, random.randint(1, 3)
        else:
            yield kind, random.sample(DAYS, random.randint(1, len(DAYS)))


class Story:
    """A shop, and the world it should look like: for the oracle filtered rows have never been, or, as corrections,
    retract."""

    def __init__(self, folder: Path) -> None:
        self.shop = Shop(folder, LmdbStore(folder / "online", sync=False), definitions=DEFINITIONS)
        self.kept: list[Row] = []
        self.world = World(self.kept)
        self.said = 0

    def act(self, kind: str, given: Any) -> None:
        if kind == "say":
            for row in given:  # receipts differ, so that no conflict is decided by where a message lies
                self.said += 1
                row["received"] = utc(2024, 5, 4) + dt.timedelta(seconds=self.said)
            self.shop.say(given)
            said = (row if row["value"] != FILTERED else row | {"op": "retract"} for row in self.shop.messages)
            self.kept[:] = [row for row in said if row["value"] != FILTERED or row["rev"] > 0]
        elif kind == "stream":
            self._stream(given)
        else:
            days = sorted(given)
            self.shop.build(days)
            if kind == "batch":
                self._publish(days)

    def _publish(self, days: list[dt.date]) -> None:
        self.shop.publish(days)
        for day in days:
            self.world.publish("click", [str(day)], self.shop.marks(day))

    def _stream(self, batches: int) -> None:
        loop = self.shop.loop()
        with closing(loop.log):
            for _ in range(batches):
                loop.once()
            loop.close()
        self.world.streamed = self.shop.streamed()

    def check(self) -> Iterator[str]:
        """The verdict on every event anybody said, and on one that nobody did."""
        for user in USERS:
            answered, standing = self._answers(user)
            ids = dict.fromkeys(row["event_id"] for row in self.shop.messages if row["user"] == user)
            for event_id in [*ids, "never"]:
                found = explain(self.shop.runtime, self.shop.store, self.shop.sequence, user, event_id)
                code = found.verdict.code
                where = f"{user} {event_id}: {found.verdict}"
                yield code
                assert (code == "in_answer") == (event_id in answered), where
                if code == "in_answer":
                    assert f"at position {answered.index(event_id) + 1}," in found.verdict.text, where
                else:
                    assert code in self._reasons(user, event_id, standing), where

    def _answers(self, user: str) -> tuple[list[str], list[str]]:
        """Ids in the answer, and those that stand in the online store, all in order."""
        answered = self.world.answer(user, ["click"], length=LENGTH, window_days=WINDOW_DAYS)
        every = self.world.answer(user, ["click"])
        return [row["event_id"] for row in answered], [row["event_id"] for row in every]

    def _reasons(self, user: str, event_id: str, standing: list[str]) -> set[str]:
        """Which reasons the oracle knows for an event that is not in the answer."""
        said = [r for r in self.shop.messages if r["user"] == user and r["event_id"] == event_id]
        archived = [row for row in said if row["offset"] < self.world.streamed.get(row["source_partition"], 0)]
        kept = [row for row in archived if row["value"] != FILTERED or row["rev"] > 0]
        if event_id in standing:
            return {"truncated", "outside_window"}
        if not archived:
            # It lies in the log, and nobody has read it there. Before anything was kept there is no lake to look in.
            return {"never_seen"} if any(self.world.streamed.values()) else {"not_known"}
        if not kept:
            return {"filtered"}
        # What is kept, streamed and not in the answer has a retraction that counts; nothing else hides it.
        retracted = {"retracted"} if any(row["op"] == "retract" for row in kept) else set()
        return retracted | ({"withdrawn"} if any(row["value"] == FILTERED for row in kept) else set())


def test_every_events_explanation_agrees_with_the_oracle(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in STORIES:
        folder = tmp_path / str(seed)
        folder.mkdir()
        told = Story(folder)
        with closing(told.shop.store):
            for kind, given in actions(Random(seed)):
                told.act(kind, given)
            seen.update(told.check())
    assert seen.keys() == {
        "in_answer",
        "truncated",
        "outside_window",
        "retracted",
        "withdrawn",
        "filtered",
        "never_seen",
    }, seen

"""Days that are published together are what they are when each is published alone."""

import random
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.online_store import BucketVersion
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, EventType
from tests.building import days
from tests.sources.orders import DAY, Orders, orders

DAYS = days(DAY, 4)
USERS = ["ann", "ann bob", " ann", "2024-05-02 ann", "ä", "long" * 65, "bob"]
order = EventType(
    name="order",
    tenant="shop",
    source="orders",
    natural_key=("number",),
    columns=(Column(name="number", dtype="int64"), Column(name="amount", dtype="float64")),
)


def _built(folder: Path, rows: list[tuple[int, str, int, int, float | None]]) -> Runtime:
    files = Orders(folder)
    lines = [f'"{u}",2024-05-0{d + 1}T0{h}:00:00Z,{n},{"" if a is None else a}' for d, u, h, n, a in rows]
    files.write("orders.csv", "\n".join(["member,at,number,amount", *lines]) + "\n")
    runtime = files.runtime(orders(), order)
    list(raw.ingest(runtime, "orders", DAYS))
    list(events.build(runtime, "order", DAYS))
    return runtime


def _bought(draw: random.Random) -> tuple[int, str, int, int, float | None]:
    amount = draw.choice([None, draw.uniform(0, 9)])
    return draw.choice([0, 1, 3]), draw.choice(USERS), draw.randrange(6), draw.randrange(10), amount


def _shown(store: LmdbStore) -> dict[str, tuple[BucketVersion, list[tuple[str, bytes]]]]:
    epoch = store.epoch("order")
    assert epoch is not None
    with store.snapshot() as view:
        servable = [user for user in USERS if len(user) <= 256]
        found = [(block.day, user, bytes(block.payload)) for user in servable for block in view.blocks("order", user)]
    by_day = {day: [(user, block) for of, user, block in found if of == day] for day in epoch.buckets}
    assert sum(map(len, by_day.values())) == len(found)
    return {day: (bucket, by_day[day]) for day, bucket in epoch.buckets.items()}


@pytest.mark.parametrize("seed", range(4))
def test_days_together_are_days_alone(tmp_path: Path, seed: int) -> None:
    """Empty days, users with spaces and with names like days, and one that no key can hold, among them."""
    draw = random.Random(seed)
    runtime = _built(tmp_path, [_bought(draw) for _ in range(draw.choice([1, 5, 30]))])
    with closing(LmdbStore(tmp_path / "online", sync=False)) as store:
        at_once = list(publish(runtime, store, "order", DAYS))
        together = _shown(store)
        for day in DAYS:
            (alone,) = publish(runtime, store, "order", [day])
            assert (alone.facts["users_written"], alone.facts["users_removed"]) == (0, 0)
            assert alone.rows == next(each.rows for each in at_once if each.day == day)
        alone_shown = _shown(store)
    without_version = {day: (bucket.rows, bucket.users, bucket.revisions) for day, (bucket, _) in together.items()}
    assert {day: (b.rows, b.users, b.revisions) for day, (b, _) in alone_shown.items()} == without_version
    assert {day: blocks for day, (_, blocks) in alone_shown.items()} == {
        d: blocks for d, (_, blocks) in together.items()
    }

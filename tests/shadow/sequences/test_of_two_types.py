"""Our side of a sequence of two event types, of sources that are cut into shards differently, against plain Python."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.shadow.sequences.build import counts_of
from seqplat_resources.shadow.sequences.ours import SequenceSides
from sequence_defs.schema import Blobs, Column, LegacySequence, Sequence, Time
from tests.building import runtime_for
from tests.shadow.world import DAYS, shop, visit, visits

USERS, EVENTS, WINDOW, LENGTH = 60, 2_000, 3, 12
both = Sequence(
    name="both",
    event_types=("visit", "crawl"),
    columns=("page",),
    length=LENGTH,
    window_days=WINDOW,
    legacy=LegacySequence(
        at=Blobs(location="blobs/{day}.parquet", user_id="who", events="events", encoding="list"),
        fields=(
            Column(name="nr", dtype="int64"),
            Column(name="at", dtype="timestamp"),
            Column(name="kind", dtype="string"),
        ),
        event_id="nr",
        event_time=Time(sql="at"),
        event_type="kind",
        event_types={"crawl": "bot"},
    ),
    tenant="shop",
    owner="team:shop",
)
crawls = visits.model_copy(update={"name": "crawls", "shards": 3})
crawl = visit().model_copy(update={"name": "crawl", "source": "crawls", "filter": "bot", "legacy": None})
human = visit().model_copy(update={"legacy": None})


def history(rng: random.Random) -> list[dict[str, Any]]:
    """Events with many ties, of which two types use the same ids."""
    numbers = {kind: iter(range(EVENTS)) for kind in (False, True)}
    rows = []
    for _ in range(EVENTS):
        time = dt.datetime.combine(rng.choice(DAYS), dt.time(rng.randrange(4) * 6), dt.UTC)
        bot = rng.random() < 0.4
        rows.append(
            {
                "member": f"u{min(rng.randrange(USERS), rng.randrange(USERS))}",
                "at": time,
                "received": time,
                "visit": next(numbers[bot]),
                "page": "p",
                "score": 1.0,
                "bot": bot,
            }
        )
    return rows


def naive(rows: list[dict[str, Any]], day: dt.date) -> dict[str, list[tuple[str, int]]]:
    """Of each user the newest events up to the end of a day; of one time the later in the file is the newer."""
    first = day - dt.timedelta(days=WINDOW - 1)
    found: dict[str, list[tuple[str, int]]] = {}
    for _, row in sorted(enumerate(rows), key=lambda each: (each[1]["at"], each[0]), reverse=True):
        if first <= row["at"].date() <= day:
            mine = found.setdefault(row["member"], [])
            mine += [("bot" if row["bot"] else "visit", row["visit"])] if len(mine) < LENGTH else []
    return found


def test_ours_are_what_plain_python_says(tmp_path: Path) -> None:
    rows, day = history(random.Random(7)), DAYS[4]
    times = {("bot" if row["bot"] else "visit", row["visit"]): row["at"] for row in rows}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    runtime = runtime_for(tmp_path / "home", [shop, visits, crawls, human, crawl, both], tmp_path)
    for source, event_type in (("visits", "visit"), ("crawls", "crawl")):
        list(raw.ingest(runtime, source, DAYS))
        list(events.build(runtime, event_type, DAYS))
    expected = naive(rows, day)
    sides = SequenceSides.open(runtime, "both")
    ours = pl.concat([sides.ours(day, shard) for shard in range(sides.shards)])
    said = {user: [f"{'crawl' if kind == 'bot' else kind} {n}" for kind, n in each] for user, each in expected.items()}
    assert dict(ours.iter_rows()) == said
    assert max(map(len, said.values())) == LENGTH

    swapped = [user for user, each in sorted(expected.items()) if len(each) > 1][:5]
    for user in swapped:
        expected[user][:2] = expected[user][1::-1]
    blobs = [
        {"who": user, "events": [{"nr": n, "at": times[kind, n], "kind": kind} for kind, n in each]}
        for user, each in expected.items()
    ]
    (tmp_path / "blobs").mkdir()
    pl.DataFrame(blobs).write_parquet(tmp_path / "blobs" / f"{day}.parquet")
    found = counts_of(sides, day)
    assert found.causes == {"other_order": 5}
    assert found.metrics["other_order"].users == len(expected)
    assert not found.obstacles

"""Sequences of ours beside blobs with planted flaws: each is found, counted exactly and named."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.days.retention import kept_days
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import NotBuilt
from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.routing import is_ours
from seqplat_resources.shadow.sequences.build import SHARE, ShareInvalid, compare_days, counts_of
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.rehearsal import rehearse_sequence
from seqplat_resources.shadow.sequences.window import by_activity, judged_sequence, sequences_match
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from sequence_defs.schema import Blobs, Http
from tests.building import ManualClock, runtime_for, utc
from tests.enrichment.http_service import serving
from tests.shadow.world import DAYS, LENGTH, USERS, World, history, old_visits, shop, visit, visits

LAST = DAYS[-1]
Lay = Callable[[pl.DataFrame], DayCounts]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = World(tmp_path_factory.mktemp("sequences") / "world", visit(), history)
    found.build()
    return found


@pytest.fixture(scope="module")
def runtime(world: World) -> Runtime:
    return of(world)


def of(world: World, **changes: Any) -> Runtime:
    """The world's lake, with legacy of the sequence changed."""
    assert history.legacy is not None
    changed = history.model_copy(update={"legacy": history.legacy.model_copy(update=changes)})
    return runtime_for(world.folder / "home", [shop, visits, old_visits, visit(), changed], world.folder)


@pytest.fixture
def lay(world: World, runtime: Runtime) -> Lay:
    """Write the last day's blobs, and count."""

    def counted(blobs: pl.DataFrame) -> DayCounts:
        world.lay(LAST, blobs)
        return counts_of(SequenceSides.open(runtime, "history"), LAST)

    return counted


def some(n: int) -> pl.Expr:
    """That many users."""
    return pl.col("who").is_in([f"u{user}" for user in range(n)])


def changed(n: int, events: pl.Expr) -> pl.Expr:
    return pl.when(some(n)).then(events).otherwise("events").alias("events")


E_ = pl.col("events")
SWAPPED = pl.concat_list(E_.list.slice(1, 1), E_.list.head(1), E_.list.slice(2))
FLAWS: list[tuple[Callable[[pl.DataFrame], pl.DataFrame], dict[str, int], dict[str, float]]] = [
    (lambda blobs: blobs, {}, {"other_order": 0, "other_top": 0, "jaccard": 0, "edits": 0}),
    (
        lambda blobs: blobs.with_columns(changed(7, SWAPPED)),
        {"other_order": 7},
        {"other_order": 7, "other_top": 7, "jaccard": 0, "edits": 14},
    ),
    (
        lambda blobs: blobs.with_columns(changed(5, E_.list.slice(1))),
        {"other_events": 5},
        {"other_order": 5, "other_top": 5, "jaccard": 5, "edits": 5},
    ),
    (
        lambda blobs: blobs.with_columns(changed(9, E_.list.head(LENGTH - 1))),
        {"one_begins_the_other": 9},
        {"other_order": 9, "jaccard": 9, "edits": 9},
    ),
    (
        lambda blobs: pl.concat([blobs, blobs.head(1).with_columns(who=pl.lit("nobody of ours"))]),
        {"only_legacy": 1},
        {"other_order": 1, "jaccard": LENGTH, "edits": LENGTH},
    ),
    (
        lambda blobs: pl.concat([blobs.filter(~some(3)), blobs.filter(some(1)).with_columns(E_.list.head(0))]),
        {"only_ours": 3},
        {"other_order": 3, "jaccard": 3 * LENGTH, "edits": 3 * LENGTH},
    ),
]


@pytest.mark.parametrize(("flaw", "causes", "metrics"), FLAWS)
def test_every_flaw_is_counted_exactly(
    world: World,
    lay: Lay,
    flaw: Callable[[pl.DataFrame], pl.DataFrame],
    causes: dict[str, int],
    metrics: dict[str, float],
) -> None:
    found = lay(flaw(world.blobs(LAST)))
    assert found.causes == causes
    assert {name: found.metrics[name].differing for name in metrics} == metrics
    assert found.metrics["other_order"].users == USERS + causes.get("only_legacy", 0)
    assert not found.obstacles
    assert len(found.examples) == sum(causes.values())
    assert {example.cause for example in found.examples} <= {*causes, "other_events"}


def test_users_who_cannot_be_read_are_named_and_not_compared(world: World, runtime: Runtime) -> None:
    told = of(world, at=Blobs(location="texts/{day}.parquet", user_id="who", events="events"))
    rows = [
        (row["who"], json.dumps([{"nr": e["nr"], "at": e["at"].isoformat()} for e in row["events"]]))
        for row in world.blobs(LAST).to_dicts()
    ]
    rows[:4] = [(who, said) for (who, _), said in zip(rows[:4], ("{", "7", "[{}]", None), strict=True)]
    (world.folder / "texts").mkdir(exist_ok=True)
    pl.DataFrame([*rows, rows[-1]], schema=["who", "events"], orient="row").write_parquet(
        world.folder / "texts" / f"{LAST}.parquet"
    )
    found = counts_of(SequenceSides.open(told, "history"), LAST)
    assert {each.kind: each.count for each in found.obstacles} == {"corrupt_blobs": 4, "unreadable_values": 1}
    assert all(each.refuses for each in found.obstacles)
    assert not found.causes
    assert found.metrics["other_order"].users == USERS - 4


def test_days_are_kept_judged_and_stale_when_a_side_changes(world: World) -> None:
    runtime = of(world)
    for day in DAYS:
        world.lay(day, world.blobs(day))
    (world.folder / "blobs" / f"{DAYS[3]}.parquet").unlink()
    results = list(compare_days(runtime, "history", DAYS))
    assert [each.day for each in results if each.awaited] == [DAYS[3]]
    assert {each.facts["users"] for each in results if not each.awaited} == {USERS}
    record = judged_sequence(runtime, "history", until=LAST, who="ann").record
    assert record.decision.state == "HOLD", "400 users prove no half percent, and a day is missing"
    assert record.differences == 0
    assert any(str(DAYS[3]) in each for each in record.decision.because)
    kept = ComparedDays.of(runtime, "history", SHADOW_SEQUENCES)
    assert len(kept.read(DAYS)) == len(DAYS) - 1
    [decile, *_] = by_activity(kept.read([LAST])).rows
    assert decile[1:3] == (str(USERS), "0 %")

    world.lay(DAYS[1], world.blobs(DAYS[1]).with_columns(changed(40, SWAPPED)))
    list(events.build(runtime, "visit", DAYS[4:5]))
    stale = [DAYS[1], *DAYS[4:8]]
    record = judged_sequence(runtime, "history", until=LAST, who="ann").record
    assert [day for day in DAYS if day not in record.case.window.judged] == sorted([DAYS[3], *stale])
    list(compare_days(runtime, "history", stale))
    table = {row["day"]: row for row in sequences_match(runtime, "history", DAYS).to_dicts()}
    assert [day for day in DAYS if not table[day]["passed"]] == [DAYS[1], DAYS[3]]
    assert table[DAYS[1]]["not_identical"] == pytest.approx(0.1)
    assert "not_identical is 10 %" in table[DAYS[1]]["detail"]

    log = AcceptedDifferences(runtime.home, "history", runtime.clock, SHADOW_SEQUENCES)
    for metric in record.case.promised:
        log.accept(AcceptedDifference(metric, 0.05, dt.date(2999, 1, 1), "ann", "few users"), by="ann")
    for day in (DAYS[1], DAYS[3]):
        world.lay(day, world.blobs(day))
    list(compare_days(runtime, "history", [DAYS[1], DAYS[3]]))
    decision = judged_sequence(runtime, "history", until=LAST, who="ann").record.decision
    for metric in record.case.promised:  # other tests are judged by the bands
        log.withdraw(metric, by="ann", reason="the test is over")
    assert decision.state == "PASS", decision.because


def test_days_of_a_sequence_that_goes_on_are_missed_and_kept_as_its_events_are(world: World) -> None:
    going_on = [each.model_copy(update={"end": None}) for each in (visits, old_visits)]
    clock = ManualClock(utc(2024, 5, 9, 12))
    runtime = runtime_for(world.folder / "on", [shop, *going_on, visit(), history], world.folder, clock=clock)
    found = days_built(runtime, f"{SHADOW_SEQUENCES}/history")
    assert not found.days, "none was built, so a backfill is somebody's decision"
    assert kept_days(runtime.release, f"{SHADOW_SEQUENCES}/history") == 1000


def test_files_without_a_day_are_of_now(world: World) -> None:
    world.blobs(LAST).write_parquet(world.folder / "now.parquet")
    runtime = of(world, at=Blobs(location="now.parquet", user_id="who", events="events", encoding="list"))
    results = list(compare_days(runtime, "history", DAYS[-2:]))
    assert [each.day for each in results if each.awaited] == [DAYS[-2]]
    assert "as of now" in results[0].awaited
    assert results[1].facts["users"] == USERS


def test_a_service_is_asked_for_our_users_as_of_the_end_of_the_day(world: World) -> None:
    said = {row["who"]: row["events"] for row in world.blobs(LAST).to_dicts()}

    def answer(users: list[Any]) -> bytes:
        events = [[{"nr": e["nr"], "at": e["at"].isoformat()} for e in said[user]] for user in users]
        return json.dumps(
            {"sequences": [None if u == "u0" else e for u, e in zip(users, events, strict=True)]}
        ).encode()

    with serving() as service:
        service.key, service.answer = "users", answer
        runtime = of(world, at=Http(url=service.url, deadline_ms=20_000))
        found = counts_of(SequenceSides.open(runtime, "history"), LAST)
        assert found.causes == {"only_ours": 1}, "legacy does not know one"
        assert {body["as_of"] for body in service.bodies} == {f"{LAST + dt.timedelta(days=1)}T00:00:00Z"}
        service.answer = lambda users: b"no"
        away = counts_of(SequenceSides.open(runtime, "history"), LAST)
    assert [(each.kind, each.count) for each in away.obstacles] == [("legacy_away", USERS)]
    assert not away.causes


def test_a_share_of_users_is_always_the_same_ones(world: World, runtime: Runtime, lay: Lay) -> None:
    lay(world.blobs(LAST).with_columns(changed(USERS, SWAPPED)))
    found = counts_of(SequenceSides.open(runtime, "history"), LAST, share=2_500)
    wanted = [f"u{user}" for user in range(USERS) if is_ours("history", f"u{user}", share=2_500)]
    assert 0 < len(wanted) < USERS
    assert found.metrics["other_order"].differing == len(wanted)
    assert {example.user for example in found.examples} <= set(wanted)
    told = dataclasses.replace(runtime, home=Home(runtime.home.root, {SHARE: "2500"}))
    assert next(compare_days(told, "history", [LAST])).facts["users"] == len(wanted)
    with pytest.raises(ShareInvalid, match="from 1 to 10000"):
        next(compare_days(dataclasses.replace(runtime, home=Home("/x", {SHARE: "10 %"})), "history", [LAST]))


def test_a_gap_in_the_window_is_no_finding_of_legacy(tmp_path: Path) -> None:
    world = World(tmp_path / "world", visit(), history)
    runtime = world.write()
    list(raw.ingest(runtime, "visits", DAYS[:3]))
    list(events.build(runtime, "visit", [DAYS[0], DAYS[2]]))
    world.lay(DAYS[2], world.blobs(DAYS[2]))
    with pytest.raises(NotBuilt, match=f"events/visit was never built for {DAYS[1]}"):
        list(compare_days(runtime, "history", [DAYS[2]]))


def test_defects_in_a_copy_of_ours_are_seen(world: World, lay: Lay, runtime: Runtime) -> None:
    lay(world.blobs(LAST))
    found = rehearse_sequence(runtime, "history", LAST)
    assert found.state == "HOLD"
    assert {each.defect: each.outcome for each in found.probes} == {
        "drop 0.1 %": "untold",
        "swap two": "caught",
        "truncate N-1": "caught",
    }

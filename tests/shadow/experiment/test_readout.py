"""A readout over real tables: who was exposed, what they did, and everything that should not be silent."""

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.upkeep.expiry import expiries
from seqplat_resources.batch.upkeep.layouts import compact_table, layouts
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.account import headline, markdown
from seqplat_resources.shadow.experiment.account import tables as account_tables
from seqplat_resources.shadow.experiment.build import (
    guardrails_hold,
    read_out_days,
    sample_ratio_holds,
)
from seqplat_resources.shadow.experiment.readout import NoExperiment, Readout, newest, read_out
from seqplat_resources.shadow.exposures import first
from seqplat_resources.shadow.exposures.pseudonyms import key_of
from seqplat_resources.shadow.exposures.write import append_exposures
from sequence_defs.schema import UserMetric
from tests.building import ManualClock, utc
from tests.shadow.experiment.divided import EVERYBODY, OURS, START, build, climb, divided, expose, ladder, without
from tests.shadow.world import DAYS

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc(2024, 6, 1))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return build(divided(tmp_path_factory.mktemp("readout") / "world"), ManualClock(utc(2024, 6, 1)))


@pytest.fixture
def runtime(built: Runtime, tmp_path: Path, clock: ManualClock) -> Runtime:
    """A home of its own."""
    shutil.copytree(built.home.root, tmp_path / "home")
    return replace(built, home=Home(str(tmp_path / "home"), {}), clock=clock)


def said(readout: Readout) -> str:
    return " ".join(cell for each in account_tables(readout) for row in each.rows for cell in row)


def test_arms_alike_are_read_out_as_such(runtime: Runtime, clock: ManualClock) -> None:
    move = climb(runtime, clock, "ab_50", START)
    expose(runtime, EVERYBODY, START + HOUR, move, 5000)
    found = newest(runtime, "visit", DAYS[-1])
    assert (found.ratio.ours, found.ratio.legacy) == (len(OURS), 400 - len(OURS))
    assert found.state == "PASS", found.because
    back, visits, score = found.metrics
    assert back.ours.value == back.legacy.value == 1.0
    assert visits.ours.value == visits.legacy.value == 6.0  # three a day, for two days
    assert score.direction == "undecided"
    assert {each.waiting for each in found.metrics} == {0}
    record = json.loads(found.record())
    assert record["state"] == "PASS"
    assert any(name.startswith("exposures/visit ") for name in record["tables"])
    assert headline(found) in markdown(found)


def test_a_loss_that_is_planted_is_found_and_breaks_the_guardrail(tmp_path: Path, clock: ManualClock) -> None:
    world = divided(tmp_path / "world")
    without(world, OURS, 0.7)
    runtime = build(world, clock)
    expose(runtime, EVERYBODY, START + HOUR, climb(runtime, clock, "ab_50", START), 5000)
    found = newest(runtime, "visit", DAYS[-1])
    back, visits, _ = found.metrics
    assert (back.direction, back.guardrail, visits.direction, found.state) == ("worse", "FAIL", "worse", "FAIL")
    assert "worse than legacy by more than 10 %" in headline(found)
    list(read_out_days(runtime, "visit", [DAYS[-1]]))
    (row,) = guardrails_hold(runtime, "visit", [DAYS[-1]]).rows(named=True)
    assert (row["passed"], row["red"]) == (False, True)
    assert row["visits"] == pytest.approx(-0.7, abs=0.05)


def test_only_what_comes_after_the_first_exposure_counts_once(runtime: Runtime, clock: ManualClock) -> None:
    """Users come again and again, to several processes, and visits before an exposure are nobody's doing."""
    move = climb(runtime, clock, "ab_50", START)
    late = dt.datetime.combine(DAYS[3], dt.time(23, 59, 59), dt.UTC)
    for at in (late + 30 * HOUR, late, late + HOUR, late):
        expose(runtime, EVERYBODY, at, move, 5000)
    found = newest(runtime, "visit", DAYS[-1])
    assert found.ratio.users == 400
    assert found.metrics[1].ours.value == 6.0  # visits are at 2, 8 and 14 o'clock
    before = newest(runtime, "visit", DAYS[3])
    assert (before.ratio.users, before.metrics[1].waiting) == (400, 400)
    assert newest(runtime, "visit", DAYS[2]).ratio.users == 0


def test_windows_wait_for_days_that_are_not_built_and_late_events_count(tmp_path: Path, clock: ManualClock) -> None:
    world = divided(tmp_path / "world")
    runtime = build(world, clock, [day for day in DAYS if day != DAYS[2]])
    expose(runtime, EVERYBODY, START + HOUR, climb(runtime, clock, "ab_50", START), 5000)
    gap = newest(runtime, "visit", DAYS[-1])
    assert [each.waiting for each in gap.metrics] == [400, 400, 400]
    assert gap.metrics[0].through == utc(2024, 5, 3)
    assert "400 users wait" in said(gap)
    list(raw.ingest(runtime, "visits", [DAYS[2]]))
    list(events.build(runtime, "visit", [DAYS[2]]))
    whole = newest(runtime, "visit", DAYS[-1])
    assert [each.waiting for each in whole.metrics] == [0, 0, 0]
    assert whole.tables != gap.tables


def test_users_who_moved_up_count_in_the_arm_of_each_step_and_that_is_said(
    runtime: Runtime, clock: ManualClock
) -> None:
    first_move = climb(runtime, clock, "ab_10", START)
    expose(runtime, EVERYBODY, START + HOUR, first_move, 1000)
    later = START + dt.timedelta(days=2)
    clock.time = later - HOUR
    ladder(runtime).hold(by="ann", reason="a look")
    ladder(runtime).hold(by="ann", reason="seen", resume=True)
    clock.time = utc(2024, 6, 1)
    second = climb(runtime, clock, "ab_50", later)
    expose(runtime, EVERYBODY, later + HOUR, second, 5000)
    early, late = newest(runtime, "visit", DAYS[1]), newest(runtime, "visit", DAYS[-1])
    assert (early.step, early.last_move, early.until) == ("ab_10", first_move.number + 2, None)
    assert (late.step, late.first_move) == ("ab_50", second.number)
    assert late.ratio.ours == len(OURS)
    assert late.moved_ours == len(OURS) - early.ratio.ours > 0
    assert late.moved_legacy == 0
    assert "what they saw before may linger" in said(late)


def test_nothing_is_read_out_before_users_are_divided(runtime: Runtime, clock: ManualClock) -> None:
    with pytest.raises(NoExperiment, match=r"no user of 'visit' was divided until 2024-05-08.*cutover status visit"):
        newest(runtime, "visit", DAYS[-1])
    with pytest.raises(NoExperiment, match=r"'visits' is no event type; those with one: visit"):
        newest(runtime, "visits")
    days = [*DAYS[-2:]]
    assert [each.rows for each in read_out_days(runtime, "visit", days)] == [0, 0]
    for measure in (sample_ratio_holds, guardrails_hold):
        found = measure(runtime, "visit", [*days, dt.date(2024, 6, 1)])
        assert found["passed"].to_list() == [False] * 3
        assert found["detail"].to_list()[1:] == [
            "not judged: until then the event type stood at no step with users of both arms",
            "not judged: it was not read out",
        ]


@pytest.mark.parametrize(
    ("users", "state", "why"),
    [
        ([], "HOLD", "no user was exposed"),
        (["u1"], "HOLD", "1 users were exposed, too few to tell"),
        (OURS, "FAIL", "100 % of users have our events, declared are 50 %"),
        (["é\x00\n;--", "u1", "\ud800", "🦊", " ", "'"], "HOLD", "6 users were exposed"),
    ],
    ids=["nobody", "one", "an arm without traffic", "hostile"],
)
def test_few_users_and_empty_arms_are_no_success(
    runtime: Runtime, clock: ManualClock, users: list[str], state: str, why: str
) -> None:
    expose(runtime, users, START + HOUR, climb(runtime, clock, "ab_50", START), 5000)
    found = newest(runtime, "visit", DAYS[-1])
    assert (found.state, found.ratio.users) == (state, len(users))
    assert why in found.because[0]
    assert found.metrics[0].difference is None


def test_bots_and_values_that_are_no_numbers_are_told(tmp_path: Path, clock: ManualClock) -> None:
    metrics = (
        UserMetric(name="capped", event_type="visit", kind="count", within_h=48, cap=10),
        UserMetric(name="open", event_type="visit", kind="count", within_h=48),
        UserMetric(name="score", event_type="visit", kind="sum", column="score", within_h=24),
    )
    world = divided(tmp_path / "world", metrics=metrics)
    bot = world.ours.filter(pl.col("member") == OURS[0]).head(1)
    without(world, EVERYBODY, 0.3)
    many = pl.concat([bot] * 5_000).with_columns(visit=pl.int_range(10**6, 10**6 + 5_000), at=pl.lit(START + 2 * HOUR))
    odd = pl.when(pl.col("visit") % 50 == 0).then(float("nan")).when(pl.col("visit") % 51 == 0).then(float("inf"))
    world.ours = pl.concat([world.ours, many.with_columns(received="at")]).with_columns(score=odd.otherwise("score"))
    runtime = build(world, clock)
    expose(runtime, EVERYBODY, START + HOUR, climb(runtime, clock, "ab_50", START), 5000)
    found = newest(runtime, "visit", DAYS[-1])
    capped, opened, score = found.metrics
    assert (capped.ours.capped, capped.ours.most, capped.direction) == (1, 10.0, "undecided")
    assert opened.ours.most > 5_000
    assert opened.direction == "few decide"
    assert score.ours.unusable > 0
    text = said(found)
    assert "capped: 1 users had more than the cap of 10" in text
    assert "so few decide; a cap helps" in text
    assert "values are NaN or infinite and were left out" in text


def test_what_is_lost_is_said_and_what_cannot_be_is_left_out(runtime: Runtime, clock: ManualClock) -> None:
    move = climb(runtime, clock, "ab_50", START)
    expose(runtime, EVERYBODY, START + HOUR, move, 5000)
    expose(runtime, ["u1"], START + HOUR, move, 0)
    expose(runtime, ["u1"], START + HOUR, move, 10_000)
    append_exposures(runtime.home, ManualClock(START + 2 * HOUR), "visit", [], dropped=7)
    found = newest(runtime, "visit", DAYS[-1])
    assert (found.ratio.users, found.both_arms, found.dropped) == (399, 1, 7)
    assert "servers lost 7 exposures" in said(found)


def test_parts_of_users_give_what_all_together_give(
    runtime: Runtime, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = climb(runtime, clock, "ab_50", START)
    for hour in (1, 2, 3):
        expose(runtime, EVERYBODY, START + hour * HOUR, move, 5000)
    whole = newest(runtime, "visit", DAYS[-1])
    monkeypatch.setattr(first, "PART_ROWS", 80)
    parts = newest(runtime, "visit", DAYS[-1])
    for one, other in zip(whole.metrics, parts.metrics, strict=True):
        for arm in ("ours", "legacy"):
            mine, theirs = getattr(one, arm), getattr(other, arm)
            assert mine.users == theirs.users
            assert (mine.mean_y, mine.yy, mine.xy) == pytest.approx((theirs.mean_y, theirs.yy, theirs.xy))


def test_a_range_of_days_is_what_each_day_is(runtime: Runtime, clock: ManualClock) -> None:
    move = climb(runtime, clock, "ab_50", START)
    for n, day in enumerate(DAYS[1:5]):
        expose(runtime, EVERYBODY[100 * n : 100 * n + 100], dt.datetime.combine(day, dt.time(3), dt.UTC), move, 5000)
    together = {each.day: each for each in read_out(runtime, "visit", DAYS)}
    assert DAYS[0] not in together
    for day in DAYS[1:]:
        alone = newest(runtime, "visit", day)
        assert (alone.ratio, alone.moved_ours) == (together[day].ratio, together[day].moved_ours)
        for one, other in zip(alone.metrics, together[day].metrics, strict=True):
            assert (one.ours.users, one.legacy.users, one.waiting) == (
                other.ours.users,
                other.legacy.users,
                other.waiting,
            )
            assert one.ours.mean_y == pytest.approx(other.ours.mean_y)


def test_exposures_and_readouts_are_looked_after(runtime: Runtime, clock: ManualClock) -> None:
    move = climb(runtime, clock, "ab_50", START)
    for hour in range(1, 4):
        expose(runtime, EVERYBODY, START + hour * HOUR, move, 5000)
    before = newest(runtime, "visit", DAYS[-1])
    layout = layouts(runtime)["exposures/visit"]
    assert layout.table.files().height == 3
    list(compact_table(layout))
    assert layout.table.files().height == 1
    assert newest(runtime, "visit", DAYS[-1]).ratio == before.ratio
    days = list(read_out_days(runtime, "visit", DAYS))
    assert [each.rows for each in days] == [0, 4, 4, 4, 4, 4, 4, 4]
    kept = tables.readout(runtime, "visit").scan().collect()
    assert {json.loads(each)["day"] for each in kept["record"].drop_nulls()} == set(map(str, DAYS[1:]))
    assert key_of(runtime.home) == key_of(runtime.home)
    clock.time = utc(2027, 6, 1)  # 1,000 days are kept
    gone = {each.name: each.gone.days for each in expiries(runtime, dry_run=False, everything=True)}
    assert (gone["exposures/visit"], gone["readout/visit"]) == (1, 8)

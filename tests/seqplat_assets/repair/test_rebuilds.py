"""Which dirty days are asked for, when, and together with which others."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from seqplat_assets.repair.rebuilds import DAYS_PER_RUN, Past, Rebuild, rebuilds
from seqplat_resources.batch.days.ledger import PATIENCE, QUIET, Dirty
from seqplat_resources.batch.days.needs import Need
from tests.building import days, utc

NOW = utc(2024, 5, 10, 12)
D = days(dt.date(2024, 5, 1), 60)
LONG_AGO = NOW - dt.timedelta(hours=1, minutes=1)  # at rest, however late it was


def dirty(day: dt.date, *, last: dt.datetime = LONG_AGO, first: dt.datetime | None = None, messages: int = 1) -> Dirty:
    return Dirty("click", day, messages, 0, first or last, last)


def past(first: dt.date, last: dt.date, *, ago_s: float = 7200, took_s: float | None = 10, ok: bool = False) -> Past:
    began = NOW.timestamp() - ago_s
    return Past(f"run{ago_s}", first, last, began, None if took_s is None else began + took_s, ok)


def asked(found: Sequence[Dirty], runs: Sequence[Past] = (), now: dt.datetime = NOW) -> list[Rebuild]:
    return rebuilds("click", found, runs, lambda day: ("recent",), now=now)


def spans(found: Sequence[Rebuild]) -> list[tuple[dt.date, dt.date]]:
    return [(each.first, each.last) for each in found]


def test_exactly_the_ripe_days_are_asked_for_newest_range_first() -> None:
    fresh = dirty(D[8], last=NOW - dt.timedelta(seconds=1))
    found = asked([dirty(D[0]), dirty(D[1]), fresh, dirty(D[6])])
    assert spans(found) == [(D[6], D[6]), (D[0], D[1])]
    assert spans(asked([fresh], now=NOW + QUIET)) == [(D[8], D[8])]


def test_days_that_do_not_come_to_rest_are_built_all_the_same() -> None:
    busy = dirty(D[7], first=NOW - PATIENCE, last=NOW)
    assert spans(asked([busy])) == [(D[7], D[7])]


def test_a_long_range_is_several_runs() -> None:
    found = spans(asked([dirty(day) for day in D[: DAYS_PER_RUN + 2]], now=utc(2024, 8, 1)))
    assert found == [(D[DAYS_PER_RUN], D[DAYS_PER_RUN + 1]), (D[0], D[DAYS_PER_RUN - 1])]


def test_days_with_other_sequences_are_built_apart() -> None:
    found = rebuilds("click", [dirty(D[0]), dirty(D[1])], [], lambda day: () if day == D[0] else ("all",), now=NOW)
    assert [(each.first, each.others) for each in found] == [(D[1], ("all",)), (D[0], ())]


def test_the_same_dirt_has_the_same_key_and_more_dirt_another() -> None:
    (first,), (same,) = asked([dirty(D[0])]), asked([dirty(D[0])])
    (more,) = asked([dirty(D[0], messages=2)])
    assert first.key == same.key != more.key


def test_a_day_that_a_run_is_on_its_way_to_is_not_asked_for() -> None:
    queued = past(D[0], D[1], ago_s=5, took_s=None)
    assert spans(asked([dirty(D[0]), dirty(D[1]), dirty(D[2])], [queued])) == [(D[2], D[2])]


def test_new_dirt_after_a_rebuild_is_asked_for_again() -> None:
    done = past(D[0], D[0], ago_s=4000, ok=True)
    late = dirty(D[0], last=LONG_AGO)
    assert spans(asked([late], [done])) == [(D[0], D[0])]
    assert asked([late], [done])[0].key != asked([late])[0].key


def test_a_failed_rebuild_is_tried_again_later_and_later() -> None:
    one = past(D[0], D[0], ago_s=50, took_s=10)
    assert asked([dirty(D[0])], [one]) == []
    assert spans(asked([dirty(D[0])], [one], now=NOW + dt.timedelta(seconds=30))) == [(D[0], D[0])]
    two = [past(D[0], D[0], ago_s=100, took_s=10), past(D[0], D[0], ago_s=400)]
    assert asked([dirty(D[0])], two) == []
    assert spans(asked([dirty(D[0])], two, now=NOW + dt.timedelta(seconds=40))) == [(D[0], D[0])]
    many = [past(D[0], D[0], ago_s=ago) for ago in range(3700, 9000, 10)]
    assert spans(asked([dirty(D[0])], many)) == [(D[0], D[0])], "an hour is the longest wait"


def test_days_that_fail_again_are_alone_so_that_they_hold_up_none() -> None:
    found = [dirty(D[0]), dirty(D[1]), dirty(D[2])]
    once = [past(D[0], D[2])]
    assert spans(asked(found, once)) == [(D[0], D[2])]
    twice = [past(D[0], D[2]), past(D[0], D[2], ago_s=9000)]
    assert spans(asked(found, twice)) == [(D[2], D[2]), (D[1], D[1]), (D[0], D[0])]


def test_a_run_that_failed_after_its_events_were_built_is_repeated_though_nothing_is_dirty() -> None:
    """Its days may be built and not published."""
    failed = past(D[0], D[0])
    assert spans(asked([], [failed])) == [(D[0], D[0])]
    assert asked([], [past(D[0], D[0], ago_s=3600, ok=True), failed]) == []


def test_a_rebuild_that_cleans_nothing_is_not_repeated_at_once() -> None:
    useless = past(D[0], D[0], ago_s=60, took_s=30, ok=True)
    assert asked([dirty(D[0], last=NOW - dt.timedelta(minutes=5))], [useless]) == []


def test_a_clock_that_was_ahead_and_was_set_back_keeps_nothing_waiting() -> None:
    """Dirt, a failure and a run of next year, as the ledger and the scheduler have them when it is this year again."""
    later = NOW + dt.timedelta(days=366)
    assert spans(asked([dirty(D[0], last=later)])) == [(D[0], D[0])]
    assert spans(asked([dirty(D[0])], [past(D[0], D[0], ago_s=-(366 * 86_400))])) == [(D[0], D[0])]
    need = Need("raw/clicks", D[0], "failed", "why", 3, later, later + dt.timedelta(minutes=4), "mark")
    assert need.is_ripe(NOW)
    assert not replace(need, next_at=None).is_ripe(NOW), "what waits for files waits for files"

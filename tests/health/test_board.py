"""The view of all checks: what is promised beside what was found; nothing that nobody looked at is green."""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.health.attention import AlreadySaid, Attention, AttentionDamaged, CannotSay
from seqplat_resources.health.board import NOTHING, health, look
from seqplat_resources.health.checks import definition_judged
from seqplat_resources.health.filters import Wanted, narrowed, visible
from seqplat_resources.health.results import Built, CheckVerdict, Results, merge
from seqplat_resources.health.view import Cell, CheckRow, Health, Incident, Status
from seqplat_resources.release.runtime import Runtime
from tests.building import ManualClock, days, utc
from tests.seqplat_assets.shop_days import CLICK as SHOP_CLICK
from tests.seqplat_assets.shop_days import CLICKS, DAYS, shop

CLICK, RAW = "events/click", "raw/clicks"
EVERY = [RAW, CLICK, "sequences/recent", "online/click"]
OF_CLICK = ["schema", "identity_unique", "complete_against_raw", "rejects"]


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """Noon of the day after the last."""
    return shop(tmp_path, clock=ManualClock(utc(2024, 5, 6, 12)))


def view(runtime: Runtime, n: int = 5) -> Health:
    return health(runtime, look(runtime, days=n), days=n)


def row(seen: Health, asset: str, check: str) -> CheckRow:
    return next(each for each in seen.rows if (each.asset, each.check) == (asset, check))


def cells(seen: Health, asset: str = CLICK, check: str = "schema") -> str:
    """A letter a day; blank where nothing is due."""
    return "".join(each.status[0] if each.is_due else " " for each in row(seen, asset, check).cells)


def passing(marks: dict[dt.date, int], raw: dict[dt.date, int]) -> list[CheckVerdict]:
    """All checks of the shop by day, of buckets with these marks."""
    found = [CheckVerdict(RAW, "rejects", day, "pass", mark=mark) for day, mark in raw.items()]
    for check in OF_CLICK:
        mark = {day: of + (raw[day] if check == "complete_against_raw" else 0) for day, of in marks.items()}
        found += [CheckVerdict(CLICK, check, day, "pass", mark=mark[day]) for day in marks]
    return found + [CheckVerdict(asset, "days_built", None, "pass") for asset in EVERY]


def keep(runtime: Runtime, told: Iterable[CheckVerdict] = (), built: Iterable[Built] = ()) -> None:
    buckets = tuple(built)
    told = [
        each if each.mark is None else replace(each, definition=definition_judged(runtime.release, each.asset))
        for each in told
    ]
    Results(runtime.home, runtime.clock).record(told, built=lambda: buckets, run="run", release=runtime.loaded.id)


def build(runtime: Runtime, which: Iterable[dt.date] = DAYS, *, mark: int = 1) -> None:
    """Everything built and judged."""
    marks = dict.fromkeys(which, mark)
    buckets = [Built(asset, day, mark) for asset in (RAW, CLICK) for day in marks]
    others = [Built(asset, day, 0) for asset in EVERY[2:] for day in marks]
    keep(runtime, passing(marks, marks), [*buckets, *others])


def test_a_home_without_results_says_so_and_what_to_do(runtime: Runtime) -> None:
    seen = view(runtime)
    assert (seen.healthy, seen.assets, seen.need_you, seen.data_up_to) == (0, 4, 1, None)
    assert [(each.title, each.next) for each in seen.incidents] == [
        (NOTHING, "seqplat materialize 2024-05-05 2024-05-05")
    ]
    assert len(seen.never_ran) == len(seen.rows) == 9
    assert {each.worst for each in seen.rows} == {"unjudged"}


def test_all_is_well(runtime: Runtime) -> None:
    build(runtime)
    seen = view(runtime, 7)
    assert (seen.healthy, seen.assets, seen.need_you, seen.data_up_to, seen.never_ran) == (4, 4, 0, DAYS[-1], ())
    assert cells(seen) == "  ppppp", "days before the first were never to be built"
    assert seen.as_of == runtime.clock.now()


def test_a_verdict_on_a_bucket_that_was_built_anew_is_stale_whatever_it_said(runtime: Runtime) -> None:
    build(runtime)
    keep(runtime, [CheckVerdict(CLICK, "rejects", DAYS[1], "warn", because="some", mark=1)])
    keep(runtime, built=[Built(CLICK, DAYS[1], 2)])
    seen = view(runtime)
    assert cells(seen) == "psppp"
    stale = row(seen, CLICK, "rejects").cells[1]
    assert (stale.status, stale.was, stale.because) == (
        "stale",
        "warn",
        "built anew since it was judged; it said: some",
    )
    [incident] = seen.incidents
    assert (incident.status, incident.asset, incident.days) == ("stale", CLICK, (DAYS[1],))
    assert incident.next == f"seqplat materialize {DAYS[1]} {DAYS[1]} events/click+"
    keep(runtime, built=[Built(RAW, DAYS[2], 9)])
    seen = view(runtime)
    assert (cells(seen, CLICK, "complete_against_raw"), cells(seen, RAW, "rejects")) == ("psspp", "ppspp")
    assert cells(seen) == "psppp", "the schema says nothing of raw rows"
    keep(
        runtime,
        [CheckVerdict(CLICK, check, DAYS[1], "pass", mark=2 + (check == "complete_against_raw")) for check in OF_CLICK],
    )
    assert cells(view(runtime)) == "ppppp"


def test_a_day_between_others_that_nobody_built_is_no_blank(runtime: Runtime) -> None:
    build(runtime, [day for day in DAYS if day != DAYS[2]])
    seen = view(runtime)
    assert (cells(seen), seen.healthy) == ("ppupp", 2), "sequences and what is published have no checks by day"
    [incident] = seen.incidents
    assert (incident.days, incident.next) == ((DAYS[2],), f"seqplat materialize {DAYS[2]} {DAYS[2]} --missing")
    build(runtime)
    assert (view(runtime).incidents, view(runtime).healthy) == ((), 4)


@pytest.mark.parametrize(
    ("source", "event_type", "stale"),
    [
        ({}, {"filter": "id <> 'x'"}, {CLICK}),
        ({"max_rejected_share": 0.5}, {}, {CLICK, RAW}),
        ({}, {"description": "said otherwise"}, set()),
    ],
)
def test_a_verdict_by_another_definition_is_stale(
    runtime: Runtime, tmp_path: Path, source: dict[str, object], event_type: dict[str, object], stale: set[str]
) -> None:
    build(runtime)
    after = shop(
        tmp_path,
        source=CLICKS.model_copy(update=source),
        event_type=SHOP_CLICK.model_copy(update=event_type),
        clock=runtime.clock,
    )
    seen = view(after)
    assert {each.asset for each in seen.rows if each.worst == "stale"} == stale
    assert {each.asset for each in seen.incidents} == stale
    for each in seen.incidents:
        assert each.title == f"{each.asset} is defined otherwise than when it was judged"
        assert each.next == f"seqplat materialize {DAYS[0]} {DAYS[-1]} {each.asset}+"
    build(after, mark=2)
    assert view(after).incidents == ()


def test_a_day_that_was_refused_upstream_is_one_incident_until_it_is_built(runtime: Runtime) -> None:
    build(runtime, DAYS[:-1])
    why = "not judged, because the day is not built: waits for raw/clicks of that day"
    below = [CheckVerdict(CLICK, check, DAYS[-1], "unjudged", because=why, root=RAW) for check in OF_CLICK]
    whole = [
        CheckVerdict(asset, "days_built", None, "fail", 1.0, 0.0, f"{DAYS[-1]}: waits", root=RAW) for asset in EVERY
    ]
    own = CheckVerdict(RAW, "rejects", DAYS[-1], "unjudged", because="not judged: waits for files", root=RAW)
    keep(runtime, [*below, *whole, own])
    [incident] = view(runtime).incidents
    assert (incident.asset, incident.status, incident.days, len(incident.touches)) == (RAW, "fail", (DAYS[-1],), 9)
    assert incident.because == own.because
    assert incident.next == "seqplat materialize 2024-05-05 2024-05-05 --missing"
    same = incident.id
    # Now the file is there, and all of it is refused: another cause, which holds the day.
    held = CheckVerdict(RAW, "rejects", DAYS[-1], "fail", 1.0, 0.01, "column at: 2", mark=1)
    keep(runtime, [held, *below, *whole], [Built(RAW, DAYS[-1], 1)])
    [incident] = view(runtime).incidents
    assert (incident.title, len(incident.touches)) == ("raw/clicks: rejects does not pass", 9)
    assert incident.next == "seqplat rejects clicks"
    assert incident.id != same
    build(runtime, DAYS[-1:], mark=3)
    assert view(runtime).healthy == 4


def test_a_day_that_was_built_after_it_was_refused_and_not_judged_is_not_green(runtime: Runtime) -> None:
    build(runtime, DAYS[:-1])
    keep(
        runtime, [CheckVerdict(CLICK, check, DAYS[-1], "unjudged", because="failed", root=CLICK) for check in OF_CLICK]
    )
    keep(runtime, built=[Built(CLICK, DAYS[-1], 5)])
    cell = row(view(runtime), CLICK, "schema").cells[-1]
    assert (cell.status, cell.because) == ("unjudged", "built, and not judged; before that: failed")


def test_days_that_nobody_built_are_one_incident_also_where_their_check_was_green(runtime: Runtime) -> None:
    assert isinstance(runtime.clock, ManualClock)
    build(runtime)
    runtime.clock.time += dt.timedelta(days=3)
    seen = view(runtime)
    assert cells(seen) == "ppuuu"
    built = row(seen, CLICK, "days_built").cells[0]
    assert (built.status, built.was, built.because) == ("stale", "pass", "2024-05-06 to 2024-05-08 were not built")
    [incident] = seen.incidents
    assert incident.days == tuple(days(dt.date(2024, 5, 6), 3))
    assert incident.next == "seqplat materialize 2024-05-06 2024-05-08 --missing"
    assert (seen.healthy, seen.need_you) == (0, 1)
    for far in (5, 900):  # the first is in the same month
        runtime.clock.time += dt.timedelta(days=far)
        seen = view(runtime)
        assert cells(seen) == "uuuuu"
    assert (cells(seen), seen.healthy, seen.data_up_to) == ("uuuuu", 0, DAYS[-1]), "the window knows no day any more"
    assert row(seen, CLICK, "days_built").cells[0].status == "stale"


def test_a_clock_that_was_set_back_hides_no_day(runtime: Runtime) -> None:
    build(runtime)
    assert isinstance(runtime.clock, ManualClock)
    runtime.clock.time -= dt.timedelta(days=3)
    seen = view(runtime)
    assert (seen.days[-1], cells(seen), seen.healthy) == (DAYS[-1], "ppppp", 4)


def test_a_day_of_the_far_future_hides_none_of_now(runtime: Runtime) -> None:
    build(runtime)
    future = dt.date(2099, 1, 1)
    keep(runtime, [CheckVerdict(CLICK, "rejects", future, "pass", mark=1)], [Built(CLICK, future, 1)])
    keep(runtime, [CheckVerdict(CLICK, "rejects", DAYS[-1], "fail", mark=1)])
    seen = view(runtime)
    assert (seen.days[-1], cells(seen, CLICK, "rejects"), seen.need_you) == (DAYS[-1], "ppppf", 1)


def test_what_the_release_does_not_promise_any_more_is_not_shown(runtime: Runtime) -> None:
    build(runtime)
    keep(
        runtime,
        [CheckVerdict("events/gone", "schema", DAYS[0], "fail"), CheckVerdict(CLICK, "renamed", DAYS[0], "fail")],
    )
    assert view(runtime).healthy == 4


def test_a_new_check_of_old_days_never_ran(runtime: Runtime) -> None:
    marks = dict.fromkeys(DAYS, 1)
    told = [each for each in passing(marks, marks) if each.check != "identity_unique"]
    keep(runtime, told, [Built(asset, day, 1) for asset in EVERY for day in DAYS])
    seen = view(runtime)
    assert seen.never_ran == ((CLICK, "identity_unique"),)
    assert cells(seen, check="identity_unique") == "uuuuu"
    assert [each.title for each in seen.incidents] == ["1 check(s) of 1 asset(s) never ran"]


def test_what_could_not_be_kept_is_said_and_makes_its_days_stale(runtime: Runtime) -> None:
    build(runtime)
    Results(runtime.home, runtime.clock).unrecorded.add({CLICK: DAYS[3:4]}, "the disk is full")
    seen = view(runtime)
    assert seen.errors == ("events/click: something of it is not known: the disk is full",)
    assert cells(seen) == "pppsp"
    assert cells(seen, check="days_built") == "s"


def test_a_build_that_was_killed_before_it_told_makes_its_days_stale(runtime: Runtime) -> None:
    build(runtime)
    said = {"pid": 1, "host": "another", "at": "2024-05-06T09:00:00+00:00", "until": "2024-05-06T09:03:00+00:00"}
    note = Path(runtime.home.root) / "ledger" / CLICK / "run.begun"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({**said, "days": [str(DAYS[1])]}))
    seen = view(runtime)
    assert cells(seen) == "psppp"
    assert "was broken off" in seen.errors[0]
    note.write_text("{")
    assert cells(view(runtime)) == "ppppp", "no note of any build"


def failing(runtime: Runtime, *which: dt.date, status: str = "warn") -> Incident:
    keep(runtime, [CheckVerdict(CLICK, "rejects", day, status, 0.5, 0.1, "much", mark=1) for day in which])  # type: ignore[arg-type]
    [incident] = view(runtime).incidents
    return incident


def test_an_incident_that_somebody_knows_comes_back_when_it_gets_worse(runtime: Runtime) -> None:
    build(runtime)
    said = Attention(runtime.home, runtime.clock)
    one = failing(runtime, DAYS[0])
    said.acknowledge(one, who="ann", says="they know")
    known = view(runtime)
    assert (known.need_you, known.incidents[0].acknowledged and known.incidents[0].acknowledged.who) == (0, "ann")
    with pytest.raises(AlreadySaid, match="ann acknowledged this"):
        said.acknowledge(one, who="bob", says="me too")
    more = failing(runtime, DAYS[1])
    assert (more.id, more.acknowledged, view(runtime).need_you) == (one.id, None, 1), "another day"
    said.acknowledge(more, who="bob", says="more of it")
    worse = failing(runtime, DAYS[1], status="fail")
    assert (worse.id, worse.acknowledged) == (one.id, None), "another status"
    said.acknowledge(worse, who="bob", says="it is being mended")
    keep(runtime, [CheckVerdict(CLICK, "rejects", DAYS[1], "pass", mark=1)])
    assert view(runtime).need_you == 0, "what gets better stays known"


def test_a_mute_ends(runtime: Runtime) -> None:
    assert isinstance(runtime.clock, ManualClock)
    build(runtime)
    said, one = Attention(runtime.home, runtime.clock), failing(runtime, DAYS[0])
    said.mute(one, who="ann", says="a known one", until=dt.date(2024, 5, 6))
    seen = view(runtime)
    assert (seen.need_you, seen.incidents[0].muted_until) == (0, dt.date(2024, 5, 6))
    assert row(seen, CLICK, "rejects").muted_until == dt.date(2024, 5, 6)
    assert seen.healthy == 3, "it is not well because nobody wants to hear of it"
    runtime.clock.time += dt.timedelta(hours=12)
    assert next(each for each in view(runtime).incidents if each.id == one.id).needs_you
    for until, says in ((dt.date(2024, 5, 1), "x"), (dt.date(2025, 5, 1), "x"), (dt.date(2024, 5, 9), " ")):
        with pytest.raises(CannotSay):
            said.mute(one, who="ann", says=says, until=until)


def test_two_who_speak_at_once_of_two_incidents_are_both_heard(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(runtime)
    said, one = Attention(runtime.home, runtime.clock), failing(runtime, DAYS[0])
    other, append = replace(one, id="other"), Attention._append
    meanwhile = iter([other])

    def interrupted(self: Attention, state: object) -> object:
        if (first := next(meanwhile, None)) is not None:
            said.acknowledge(first, who="bob", says="mine")
        return append(self, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Attention, "_append", interrupted)
    said.acknowledge(one, who="ann", says="mine")
    assert sorted(said.current().acknowledged) == sorted([one.id, "other"])
    meanwhile = iter([replace(one, id="third")])
    with pytest.raises(AlreadySaid, match="bob"):
        said.acknowledge(replace(one, id="third"), who="ann", says="mine")


def test_a_damaged_record_of_what_people_said_names_its_file(runtime: Runtime) -> None:
    build(runtime)
    Attention(runtime.home, runtime.clock).acknowledge(failing(runtime, DAYS[0]), who="ann", says="yes")
    path = Path(runtime.home.root) / "health" / "attention" / "000000000001.json"
    path.write_text("{")
    with pytest.raises(AttentionDamaged, match=f"{path.name} cannot be read"):
        view(runtime)


def test_a_part_of_the_view_counts_itself(runtime: Runtime) -> None:
    build(runtime)
    failing(runtime, DAYS[0])
    seen = view(runtime)
    assert narrowed(seen, Wanted()) is seen
    assert (narrowed(seen, Wanted(owner="TEAM:shop")).assets, narrowed(seen, Wanted(owner="nobody")).assets) == (4, 0)
    some = narrowed(seen, Wanted(check="rejects", status="warn"))
    assert (len(some.rows), some.assets, some.healthy, some.need_you) == (1, 1, 0, 1)
    assert narrowed(seen, Wanted(check="schema")).incidents == ()


def test_a_cause_that_somebody_may_not_see_is_not_told(runtime: Runtime) -> None:
    build(runtime, DAYS[:-1])
    below = [CheckVerdict(CLICK, check, DAYS[-1], "unjudged", because="waits", root=RAW) for check in OF_CLICK]
    own = CheckVerdict(RAW, "rejects", DAYS[-1], "fail", 1.0, 0.0, "a secret", mark=1)
    whole = [CheckVerdict(asset, "days_built", None, "fail", because="waits", root=RAW) for asset in EVERY]
    keep(runtime, [*below, *whole, own], [Built(RAW, DAYS[-1], 1)])
    [shown] = visible(view(runtime), lambda row: row.layer == "events").incidents
    assert "secret" not in repr(shown)
    assert RAW not in repr(shown)
    assert (shown.asset, len(shown.touches), shown.next) == (CLICK, 5, "")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["build", "judge", "late"]), st.integers(0, 1)), max_size=7))
def test_no_green_cell_is_about_a_bucket_that_is_gone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """``late`` is a verdict on what a day was before it was built last, told after that."""
    runtime = shop(tmp_path_factory.mktemp("shop"), clock=ManualClock(utc(2024, 5, 6, 12)))
    marks, judged = [0, 0], dict[int, int]()
    for n, (step, day) in enumerate(steps, start=1):
        if step == "build":
            marks[day] = n
            keep(runtime, built=[Built(CLICK, DAYS[day], n)])
        elif marks[day]:
            judged[day] = marks[day] if step == "judge" else marks[day] - 1
            bucket = [Built(CLICK, DAYS[day], marks[day])]
            keep(runtime, [CheckVerdict(CLICK, "schema", DAYS[day], "pass", mark=judged[day])], bucket)
    found = row(view(runtime), CLICK, "schema").cells
    for day in (0, 1):
        cell: Cell = found[day]
        if not marks[day]:
            assert (cell.status, cell.at) == ("unjudged", None)
        elif day not in judged:
            assert cell.status == "unjudged"
        else:
            assert cell.status == ("pass" if judged[day] == marks[day] else "stale")


@pytest.mark.parametrize("day", [None, DAYS[1]])
@pytest.mark.parametrize("merged", [False, True])
def test_what_was_mended_and_breaks_again_needs_somebody_again(
    runtime: Runtime, day: dt.date | None, merged: bool
) -> None:
    check, clock = "rejects" if day else "days_built", runtime.clock
    assert isinstance(clock, ManualClock)

    def tell(status: Status, because: str = "") -> None:
        clock.time += dt.timedelta(minutes=1)
        keep(runtime, [CheckVerdict(CLICK, check, day, status, because=because, mark=1 if day else None)])

    build(runtime)
    tell("warn", "one of a thousand")
    attention = Attention(runtime.home, clock)
    [incident] = view(runtime).incidents
    attention.acknowledge(incident, who="a\ud800na", says="known \ud800")
    tell("warn", "two of a thousand")
    assert view(runtime).need_you == 0
    tell("pass")
    assert view(runtime).incidents == ()
    tell("warn", "all of them")
    if merged:
        merge(Results(runtime.home, clock).table, f"{day:%Y-%m}" if day else "whole")
    [again] = view(runtime).incidents
    assert (view(runtime).need_you, again.acknowledged) == (1, None)
    attention.acknowledge(again, who="ben", says="it is another one")
    attention.mute(again, who="ben", says="it flickers", until=clock.now().date())
    tell("pass")
    tell("warn", "all of them")
    [muted] = view(runtime).incidents
    assert (muted.needs_you, muted.acknowledged, muted.muted_until) == (False, None, clock.now().date())

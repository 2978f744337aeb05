"""What checks said, in its table: nothing is lost or doubled, and the newest counts, whoever appends meanwhile."""

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.health import results as module
from seqplat_resources.health.results import Built, CheckVerdict, Results, ResultsDamaged, merge
from seqplat_resources.health.unrecorded import Unrecorded
from seqplat_resources.home import Home
from seqplat_resources.lake.table import LakeTable
from tests.building import ManualClock, days

DAYS = days(dt.date(2024, 5, 1), 4)
FIRST = DAYS[0]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(Home(str(tmp_path), {}), ManualClock())


def told(day: dt.date | None, status: str = "pass", *, check: str = "schema", mark: int = 1) -> CheckVerdict:
    return CheckVerdict(
        "events/click", check, day, status, 0.5, 1.0, "" if status == "pass" else "why", {"n": 2.0}, mark=mark
    )  # type: ignore[arg-type]


def keep(results: Results, *verdicts: CheckVerdict, built: tuple[Built, ...] = ()) -> None:
    results.record(verdicts, built=lambda: built, run="run", release="release")


def newest(results: Results) -> dict[tuple[str, dt.date | None], str]:
    """Status by check and day."""
    rows = results.newest(FIRST).verdicts
    return {(check, day): status for check, day, status in rows.select("check", "judged", "status").iter_rows()}


def test_nothing_was_ever_told(results: Results) -> None:
    found = results.newest(FIRST)
    assert (found.verdicts.height, found.buckets.height, found.ran, found.as_of) == (0, 0, frozenset(), None)
    assert results.history("events/click", "schema", FIRST).height == 0
    keep(results)
    assert results.table.version() == -1, "nothing to keep is no commit"


def test_the_verdict_told_last_counts_also_where_the_clock_was_set_back(results: Results) -> None:
    clock = results.clock
    assert isinstance(clock, ManualClock)
    keep(results, told(DAYS[1]))
    clock.time -= dt.timedelta(days=400)
    keep(results, told(DAYS[1], "fail"), told(None, "warn", check="days_built"))
    assert newest(results) == {("schema", DAYS[1]): "fail", ("days_built", None): "warn"}


def test_a_window_leaves_out_older_days_and_knows_that_they_were_judged(results: Results) -> None:
    old = FIRST - dt.timedelta(days=200)
    keep(results, told(old), told(old, check="rejects"), told(old, "unjudged", check="available"))
    keep(results, told(DAYS[0]))
    found = results.newest(FIRST)
    assert found.verdicts.height == 1
    assert found.ran == {("events/click", "schema"), ("events/click", "rejects")}, "nobody looked at the third"
    assert results.history("events/click", "schema", old)["judged"].to_list() == [old, DAYS[0]]


def test_what_a_number_is_not_is_left_out(results: Results) -> None:
    hostile = CheckVerdict(
        "events/click", "schema", DAYS[0], "warn", float("nan"), None, "\ud800" * 9_000, {"a": float("inf")}
    )
    keep(results, hostile)
    row = results.newest(FIRST).verdicts.row(0, named=True)
    assert (row["value"], row["numbers"], len(row["because"])) == (None, "{}", module.MOST_CHARS)


def test_appends_at_once_lose_nothing_and_a_bucket_is_kept_as_it_was_last(results: Results) -> None:
    """Each writer builds the bucket anew, and keeps what it sees then: the last one kept is the last one built."""
    bucket, lock = [0], threading.Lock()

    def write(writer: int) -> None:
        for n in range(3):
            with lock:
                bucket[0] += 1
            mine = Results(results.home, results.clock)
            mine.record(
                [told(DAYS[n], check=f"check {writer}")],
                built=lambda: [Built("events/click", DAYS[0], bucket[0])],
                run=None,
                release="",
            )

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = results.newest(FIRST)
    assert found.verdicts.height == 9
    assert found.buckets["mark"].to_list() == [9]


def test_many_files_are_merged_and_what_is_appended_meanwhile_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(home, ManualClock())
    monkeypatch.setattr(module, "MOST_FILES", 3)
    for n in range(6):
        keep(results, told(DAYS[n % 2], "warn" if n < 4 else "pass"))
    assert results.table.files().height <= 4
    read, once = LakeTable.read, iter([True])

    def interrupted(table: LakeTable, paths: list[str]) -> pl.DataFrame:
        rows = read(table, paths)
        if next(once, False):
            monkeypatch.setattr(LakeTable, "read", read)
            keep(results, told(DAYS[3], "fail"))
        return rows

    monkeypatch.setattr(module, "MOST_FILES", 1_000)
    monkeypatch.setattr(LakeTable, "read", interrupted)
    merge(results.table, "2024-05")
    assert newest(results) == {("schema", DAYS[0]): "pass", ("schema", DAYS[1]): "pass", ("schema", DAYS[3]): "fail"}


def test_results_go_by_how_far_they_are_from_the_newest_day_not_from_the_clock(results: Results) -> None:
    old = FIRST - dt.timedelta(days=500)
    keep(results, told(old), told(None, check="days_built"))
    keep(results, replace(told(old), asset="events/ended"))
    assert isinstance(results.clock, ManualClock)
    results.clock.time += dt.timedelta(days=4_000)
    keep(results, told(DAYS[0]))
    merge(results.table, "2024-05")
    assert sorted(results.table.files()["month"]) == [f"{old:%Y-%m}", "2024-05", "whole"]
    assert ("events/ended", "schema") in results.newest(FIRST).ran, "its days have ended, and were judged"
    assert newest(results) == {("schema", DAYS[0]): "pass", ("days_built", None): "pass"}


def test_what_could_not_be_kept_is_known_until_it_is_kept(home: Home) -> None:
    results = Results(home, ManualClock())
    results.unrecorded.add({"events/click": DAYS[:2]}, "the disk is full")
    results.unrecorded.add({"events/click": DAYS[2:3]}, "still full")
    assert results.newest(FIRST).unrecorded == (Unrecorded("events/click", tuple(DAYS[:3]), "still full"),)
    keep(results, told(DAYS[1]))
    assert results.newest(FIRST).unrecorded == (Unrecorded("events/click", (DAYS[0], DAYS[2]), "still full"),)
    keep(results, told(DAYS[0]), told(DAYS[2]))
    assert results.newest(FIRST).unrecorded == ()


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    yield
    path.write_bytes(kept)


def test_a_damaged_table_is_an_error_that_says_the_way_out(results: Results, tmp_path: Path) -> None:
    keep(results, told(DAYS[0]))
    keep(results, told(DAYS[1]))
    commit = next((tmp_path / "lake" / "checks" / "_delta_log").glob("*1.json"))
    data = next((tmp_path / "lake" / "checks").rglob("*.parquet"))
    for path in (commit, data):
        with damaged(path):
            with pytest.raises(ResultsDamaged, match="delete that folder"):
                Results(results.home).newest(FIRST)
            with pytest.raises(ResultsDamaged):
                Results(results.home).history("events/click", "schema", FIRST)
    with damaged(data):
        keep(results, told(DAYS[2]))
    assert len(newest(results)) == 3


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["pass", "warn", "fail"]), st.integers(0, 2)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 5),
)
def test_the_table_is_what_a_dictionary_is(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int]], merged_at: int
) -> None:
    """Whatever was appended in whatever order, and merged at whatever time."""
    results, wanted = Results(Home(str(tmp_path_factory.mktemp("home")), {}), ManualClock()), {}
    for n, (day, status, check) in enumerate(steps):
        keep(results, told(DAYS[day], status, check=f"c{check}"))
        wanted[f"c{check}", DAYS[day]] = status
        if n == merged_at:
            merge(results.table, "2024-05")
    assert newest(results) == wanted

"""Backfills: newest first, what is good left out, cancelled, resumed, and nothing half visible after a kill."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_assets.backfill.run import BackfillSettings, run
from seqplat_assets.backfill.wanted import Backfill
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.backfill.rates import Rate, Sample
from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.records.lease import LeaseHeld
from tests.seqplat_assets.shop_days import DAYS, LAYERS, built, lock, served, shop, write


@pytest.fixture
def settings(new_instance: Callable[[], dg.DagsterInstance]) -> BackfillSettings:
    return BackfillSettings(instance=new_instance())


def asked(runtime: object, first: int = 0, last: int = 4, **more: object) -> Backfill:
    return Backfill.asked(runtime, [], DAYS[first], DAYS[last], **more)  # type: ignore[arg-type]


def test_what_is_not_good_is_built_newest_first_and_only_that(
    tmp_path: Path, settings: BackfillSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqplat_assets.backfill.wanted.DAYS_PER_PIECE", 2)
    runtime = shop(tmp_path)
    assert materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=settings.instance).success
    wanted = asked(runtime)
    assert (wanted.total, wanted.good) == (16, 4)
    assert [(p.first, p.last) for p in wanted.pieces(runtime)] == [
        (DAYS[3], DAYS[4]),
        (DAYS[2], DAYS[2]),
        (DAYS[0], DAYS[0]),
    ]
    records = list(run(runtime, wanted, settings))
    assert [(r.state, r.done) for r in records] == [
        ("running", 0),
        ("running", 8),
        ("running", 12),
        ("running", 16),
        ("done", 16),
    ]
    assert built(runtime) == {name: [0, 1, 2, 3, 4] for name in LAYERS}
    assert asked(runtime).days == {}
    assert all(each.effort.seconds > 0 for each in asked(runtime, again=True).pieces(runtime))
    write(tmp_path, DAYS[2], rows=2)  # its file changed: built again, with what is made of it
    assert {name: sorted(of) for name, of in asked(runtime).days.items()} == {key: [DAYS[2]] for key in LAYERS}


def test_a_day_that_fails_costs_no_other_and_is_asked_for_again(tmp_path: Path, settings: BackfillSettings) -> None:
    runtime = shop(tmp_path)
    lock(tmp_path, DAYS[3])
    *_, last = run(runtime, asked(runtime), settings)
    assert (last.state, last.done, last.failed) == ("failed", 16, 4)
    assert "2024-05-04" in last.failures[0]
    assert {day for of in asked(runtime).days.values() for day in of} == {DAYS[3]}


def test_a_cancelled_backfill_ends_before_its_next_piece_and_goes_on_there(
    tmp_path: Path, settings: BackfillSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqplat_assets.backfill.wanted.DAYS_PER_PIECE", 2)
    runtime = shop(tmp_path)
    records, wanted = BackfillRecords(runtime.home), asked(runtime, again=True)
    running = run(runtime, wanted, settings)
    assert next(running).total == 20
    with pytest.raises(LeaseHeld):
        next(run(runtime, wanted, settings))  # of two, one wins
    assert next(running).done == 8
    records.cancel(records.all()[0].id[:6])
    (ended,) = running
    assert (ended.state, ended.done, sorted(served(runtime))) == ("cancelled", 8, [3, 4])
    again = list(run(runtime, wanted, replace(settings, newest_first=True)))
    assert [(r.state, r.done) for r in again] == [("running", 8), ("running", 16), ("running", 20), ("done", 20)]


KILLED = """
import os, signal, sys, dagster as dg
from pathlib import Path
import seqplat_assets.backfill.wanted as wanted
from seqplat_assets.backfill.run import BackfillSettings, run
from tests.seqplat_assets.shop_days import DAYS, loaded

def step(number):
    seen.append(number)
    if [number, seen.count(number)] == [int(sys.argv[2]), int(sys.argv[3])]:
        os.kill(os.getpid(), signal.SIGKILL)

seen, wanted.DAYS_PER_PIECE = [], 2
runtime = loaded(Path(sys.argv[1]))
asked = wanted.Backfill.asked(runtime, [], DAYS[0], DAYS[-1], again=True)
for _ in run(runtime, asked, BackfillSettings(instance=dg.DagsterInstance.get(), step=step)):
    pass
"""


@pytest.mark.parametrize(("step", "time", "done"), [(1, 1, 0), (3, 2, 8), (4, 2, 16)])
def test_a_kill_leaves_whole_days_and_the_same_again_goes_on(
    tmp_path: Path,
    settings: BackfillSettings,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    time: int,
    done: int,
) -> None:
    """Killed when it has begun; when days of its second piece are built and nothing says so; and when that is said."""
    monkeypatch.setattr("seqplat_assets.backfill.wanted.DAYS_PER_PIECE", 2)
    runtime = shop(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(step), str(time)], check=False)
    assert ended.returncode == -signal.SIGKILL
    whole = [1, 2, 3, 4] if step > 1 else []
    assert built(runtime) == dict.fromkeys(LAYERS, whole)
    assert (served(runtime) if whole else {}) == dict.fromkeys(whole, 4)
    (left,) = BackfillRecords(runtime.home).all()
    assert (left.shown_state, left.done, left.total) == ("broken off", done, 20)
    records = list(run(runtime, asked(runtime, again=True), settings))
    assert [records[0].done, records[-1].done, records[-1].state] == [done, 20, "done"]
    assert built(runtime) == {name: [0, 1, 2, 3, 4] for name in LAYERS}
    assert served(runtime) == dict.fromkeys(range(5), 4)


@pytest.mark.parametrize(
    ("samples", "days", "rows", "seconds"),
    [
        ([Sample(730, 2_920, 1, 73.0), Sample(3, 3_000_000, 1, 300.3)], 10, 1_000_000, 101.0),  # both parts
        ([Sample(10, 0, 0, 5.0)], 20, 0, 10.0),  # nothing but days
        ([Sample(10, 100, 1, 5.0), Sample(10, 100, 1, 5.0)], 20, 200, 10.0),  # alike: no way to tell the parts
        # 4 s a run, 8 a million rows: one large day tells nothing of eight, and two sizes do
        ([Sample(n, n * 1_000_000, 1, 4 + 8 * n) for n in (1, 4, 8)], 20, 20_000_000, 164.0),
        ([Sample(1, 1_000_000, 1, 12.0)], 3, 500_000, 6.0),  # rows, where they are many
        # a machine that got twice as slow
        ([Sample(10, 0, 0, 5.0)] * 12 + [Sample(10, 0, 0, 10.0)] * 12, 10, 0, pytest.approx(8.0, abs=1.0)),
        ([Sample(0, 0, 0, 1.0)], 1, 1, None),
    ],
)
def test_time_is_fitted_by_run_and_day_and_row(samples: list[Sample], days: int, rows: int, seconds: Any) -> None:
    rate = Rate.fitted(samples)
    near = pytest.approx(seconds, rel=0.02) if isinstance(seconds, float) else seconds
    assert (rate and rate.seconds(days, rows)) == near


@given(
    parts=st.tuples(st.floats(0, 10), st.floats(0.01, 1), st.floats(1e-6, 1e-5)),
    sizes=st.lists(st.tuples(st.integers(1, 92), st.integers(0, 1_000_000)), min_size=5, max_size=24),
    errors=st.lists(st.floats(0.95, 1.05), min_size=24, max_size=24),
)
def test_what_was_measured_is_planned_within_30_percent(
    parts: tuple[float, float, float], sizes: list[tuple[int, int]], errors: list[float]
) -> None:
    """Whatever the parts are, and whichever of them can be told apart."""

    def truth(days: int, rows: int) -> float:
        return parts[0] + parts[1] * days + parts[2] * rows

    known = [(days, days * a_day) for days, a_day in sizes]
    samples = [Sample(*size, 0, truth(*size) * error) for size, error in zip(known, errors, strict=False)]
    rate = Rate.fitted(samples)
    assert rate is not None
    assert sum(rate.seconds(*size) for size in known) == pytest.approx(sum(truth(*s) for s in known), rel=0.3)

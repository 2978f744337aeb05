"""What was answered at a time, what is answered ``as_of`` it, the row of a training set and plain Python are the same:
with late, corrected, moved and retracted events, before batch, after it, after days were built again, after upkeep."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.read.answer import answer
from seqplat_resources.read.past import PastRows
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.training.answered.skew import Skew, skew
from seqplat_resources.training.build import build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import Column, EventType
from tests.budget import examples
from tests.building import runtime_for, utc
from tests.online_stores import empty_store
from tests.training.replay import DAYS, DEFINITIONS, START, STEP, Asked, Given, Replay, sayings, steps

FEW = settings(max_examples=examples(3), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
stories = st.tuples(sayings(), st.lists(steps, min_size=3, max_size=6)).map(lambda told: [("say", told[0]), *told[1]])


def check(replay: Replay, *, built: bool) -> None:
    """Every answer that was given, asked for again; where all days are ``built``, of a training set as well."""
    newest, by_question = replay.newest_published, defaultdict[Asked, list[Given]](list)
    for each in replay.given:
        by_question[each.asked].append(each)
        assert each.rows == replay.expected(each, newest=each.newest), ("the answer of then", each)
        # A window is counted back from the newest day that is published, which it may not have been then.
        assert replay.as_of(each) == replay.expected(each, newest=newest), ("as_of", each)
    for asked, of_question in by_question.items() if built else ():
        rows = replay.training_rows(asked, [each.at for each in of_question])
        for each in of_question:
            assert rows[each.at] == replay.expected(each, newest=newest), ("the training set", each)
        if asked.sequence == "items":  # answers that are rows of several events are not recorded
            continue
        served = replay.served_rows(asked, [each.request for each in of_question])
        for each in of_question:
            assert served[each.request] == each.rows, ("what was served", each)
    for sequence in ("recent", "lately") if built else ():
        _check_skew(skew(replay.runtime, sequence, START, replay.clock.time + STEP))


def _check_skew(found: Skew) -> None:
    """None, but for days of a window that was counted back from the newest day that was published then."""
    assert found.answers
    assert (found.reordered, found.not_compared) == (0, {})
    windows = {"extra": {"before the window"}} if found.sequence == "lately" else {}
    assert {what: set(causes) for what, causes in found.differences.items()} in ({}, windows), found


def tell(store_kind: str, story: list[tuple[str, Any]], overlap: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, empty_store(store_kind, Path(folder)) as store:
        replay = Replay(Path(folder), store, overlap)
        for kind, told in story:
            replay.act(kind, told)
        check(replay, built=False)
        replay.settle()
        check(replay, built=True)
        replay.act("batch", set(DAYS[2:]))
        replay.act("upkeep")
        check(replay, built=True)


@FEW
@given(stories, st.booleans())
def test_a_row_is_what_was_answered_then(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("lmdb", story, overlap)


@settings(FEW, max_examples=examples(1))
@given(stories)
def test_it_is_what_a_server_answered_then(story: list[tuple[str, Any]]) -> None:
    tell("redis", story, False)


def test_a_column_that_is_filled_later_changes_no_row(tmp_path: Path) -> None:
    """Of events that were corrected, moved and retracted, beside days that keep their rows."""
    with empty_store("lmdb", tmp_path) as store:
        replay = Replay(tmp_path, store)
        told = [click(), click(revision=1, amount=2, at=utc(2024, 5, 2)), click(click=2), click(click=2, shop="view")]
        for row in [*told, click(click=3, shop="view"), click(click=3, shop="view", revision=2, operation="retract")]:
            replay.act("say", [row])
            replay.act("stream", 1)
        replay.settle()
        check(replay, built=True)
        replay.act("fill")
        assert tables.events(replay.runtime, replay.plans["order"]).columns_beside()
        check(replay, built=True)


def test_a_default_is_in_rows_and_in_answers_as_of_then(tmp_path: Path) -> None:
    """Of events that were stored before there was such a column, superseded ones among them."""
    third = Column(name="third", dtype="int64", nullable=False, default=7, sql="coalesce(amount, 0) * 3")
    with empty_store("lmdb", tmp_path) as store:
        replay = Replay(tmp_path, store)
        for row in (click(shop="view"), click(shop="view", revision=1, amount=2), click(click=2)):
            replay.act("say", [row])
            replay.act("stream", 1)
        replay.settle()
        wider = [
            each.model_copy(update={"columns": (*each.columns, third)})
            if isinstance(each, EventType)
            else each.model_copy(update={"columns": ("value", "third")})
            if each.name == "recent"
            else each
            for each in DEFINITIONS
        ]
        replay.runtime = runtime_for(tmp_path / "home", wider, tmp_path, clock=replay.clock)
        assert _thirds(replay, tmp_path / "before") == [[], [7], [7], [7], [7], [7, 7], [7, 7], [7, 7]]
        replay.act("batch", DAYS)
        assert _thirds(replay, tmp_path / "after") == [[], [3], [3], [6], [6], [3, 6], [3, 6], [3, 6], [3, 6]]


def _thirds(replay: Replay, out: Path) -> list[list[int]]:
    """The column at each time that there was an answer; the same in a training set as in answers as of then."""
    times = [each.at for each in replay.given]
    at = pl.Series(times, dtype=pl.Datetime("us", "UTC"))
    made = build(
        replay.runtime, TrainingQuestion("recent"), pl.DataFrame({"user": "ann", "time": at}), out, prefix="of_"
    )
    plan, past = SequencePlan.of(replay.runtime.loaded, "recent"), PastRows(replay.runtime.home)
    asked = (Query(columns=["third"], until=time, as_of=time) for time in times)
    found = [answer(plan, replay.store, "ann", each, clock=replay.clock, past=past).events for each in asked]
    answered = [events["third"].to_list() for events in found]
    assert pl.read_parquet(made.out / "*.parquet").sort("label_id")["of_third"].to_list() == answered
    return answered


def click(**said: Any) -> dict[str, Any]:
    """An order of May 3."""
    told = {"member": "ann", "click": 1, "at": utc(2024, 5, 3), "shop": "order", "amount": 1, "revision": 0}
    return told | {"operation": None, "partition": 0} | said


@pytest.mark.parametrize("before", [[], [click(click=9)]])
def test_a_day_that_was_built_before_its_times_were_recorded_is_built_again(
    before: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The stream ends behind its commit to the archive: batch has its messages, and not when they were visible."""
    with empty_store("lmdb", tmp_path) as store:
        replay = Replay(tmp_path, store)
        if before:
            replay.act("say", before)
            replay.act("stream", 1)
        replay.act("say", [click(amount=2)])
        replay.act("crash", 5)
        replay.act("build", DAYS)
        assert not dirty_buckets(replay.runtime, "order")
        replay.act("stream", 5)
        (dirty,) = dirty_buckets(replay.runtime, "order")
        assert (dirty.day, dirty.messages) == (DAYS[2], 1)
        replay.act("batch", DAYS)
        assert not dirty_buckets(replay.runtime, "order")
        check(replay, built=True)


def test_a_manifest_says_how_late_what_no_stream_recorded_is_taken_to_be(tmp_path: Path) -> None:
    with empty_store("lmdb", tmp_path) as store:
        replay = Replay(tmp_path, store)
        replay.act("say", [click()])
        replay.act("stream", 1)
        replay.act("batch", DAYS)
        labels = pl.DataFrame({"user": ["ann"], "time": [replay.clock.time]})
        made = build(replay.runtime, TrainingQuestion("recent"), labels, tmp_path / "set", prefix="of_")
        measured = {"how": "measured", "seconds": 630.0}
        assert made.manifest.facts["serving_delays"] == {"order": measured, "view": {"how": "unknown", "seconds": 0.0}}

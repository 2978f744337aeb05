"""Of whatever history, whatever is asked, for one user or many: rows are put together as the oracle does."""

import datetime as dt
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.read.answer import answer
from seqplat_resources.read.merge import reading
from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.release.sequence_plan import SequencePlan, UnknownSequenceColumn
from sequence_defs.schema import Collapse
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.budget import examples
from tests.collapse_oracle import Oracle
from tests.merge_oracle import Row
from tests.properties.answers.test_merge import Run, stores_of
from tests.properties.answers.test_selection import START, Asked, answers_as_the_oracle, asked, questions
from tests.properties.clicks import loaded
from tests.properties.streams import DEFINITIONS, TYPES, histories

SAID = ("actions", "events", "first_time")
SHOWN = ("event_type", "event_id", "event_time", "item", *SAID)
SHOPS = (None, "a", "b", "")
WITHIN_H = 12


def plan_of(length: int, window_days: int | None) -> SequencePlan:
    definition = SequenceDefinition(
        name="recent",
        tenant="shop",
        event_types=TYPES,
        columns=("item", "taste", "shop"),
        length=length,
        window_days=window_days,
        collapse=Collapse(by=("shop",), within_s=WITHIN_H * 3600, actions=("view",)),
    )
    return SequencePlan.of(loaded(*DEFINITIONS, definition), "recent")


PLANS = {(length, days): plan_of(length, days) for length in (3, 100) for days in (None, 2)}


def shopped(rows: list[Row]) -> list[Row]:
    """Events of few shops, and of none."""
    return [{**row, "shop": SHOPS[row["value"] % len(SHOPS)]} for row in rows]


def expected(run: Run, user: str, plan: SequencePlan, one: Asked) -> list[tuple[object, ...]]:
    oracle = Oracle(dt.timedelta(hours=WITHIN_H), ("view",), lambda event: event["shop"])
    definition, limit = plan.definition, one.query.limit
    length = definition.length if one.query.top_k or limit is None else min(limit, definition.length or 0)
    rows = run.world.answer(
        user, TYPES, length=length, window_days=definition.window_days, wanted=one.wanted, together=oracle.rows
    )
    return [tuple({**row, "item": row["value"]}[name] for name in SHOWN) for row in rows[:limit]]


collapsing = questions | {
    "rows": histories().map(shopped),
    "queries": st.lists(asked(SHOWN), min_size=3, max_size=6),
    "plans": st.just(PLANS),
    "expected": st.just(expected),
    "shown": st.just(SHOWN),
}


@settings(max_examples=examples(15))
@given(**collapsing)
def test_rows_of_any_history_are_those_of_the_oracle(**question: Any) -> None:
    answers_as_the_oracle("memory", "lmdb", **question)


@settings(max_examples=examples(4))
@given(**collapsing)
def test_rows_of_any_history_are_those_of_the_oracle_on_a_server(**question: Any) -> None:
    answers_as_the_oracle("redis", **question)


@settings(max_examples=examples(12))
@given(rows=histories().map(shopped), history=questions["history"], most=st.integers(1, 6))
def test_where_there_are_too_many_events_an_answer_says_so(
    rows: list[Row], history: list[tuple[Any, ...]], most: int
) -> None:
    """Rows are then put together from the newest ones: all is said of these, and nothing is wrong but what is older."""
    plan = PLANS[3, None]
    with stores_of("memory", "lmdb") as stores, mock.patch.object(reading, "MOST_EVENTS", most):
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        for step in history:
            run.apply(step)
        everything = run.world.answer("ann", TYPES)
        oracle = Oracle(dt.timedelta(hours=WITHIN_H), ("view",), lambda event: event["shop"])
        whole, few = oracle.rows(everything, 3), oracle.rows(everything[:most], 3)
        for store in stores:
            found = answer(plan, store, "ann", Query(columns=SHOWN), clock=run.clock)
            shown = found.events.select("event_id", *SAID).to_dicts()
            told = [text for text in found.freshness.degraded if "to put together" in text]
            assert found.freshness.partial == bool(told)
            assert shown == [{name: row[name] for name in ("event_id", *SAID)} for row in (few if told else whole)]


def test_what_rows_say_cannot_be_asked_as_a_condition() -> None:
    with stores_of("memory") as (store,), pytest.raises(QueryError, match="where: there is no column 'events'"):
        answer(PLANS[3, None], store, "ann", Query(where="events > 1"))


def test_rows_are_the_same_whatever_columns_a_caller_may_see() -> None:
    said = {"user": "ann", "rev": 0, "op": "upsert", "source_partition": "clicks:0", "ingest_time": START, "shop": "a"}
    rows: list[Row] = [
        {**said, "event_type": TYPES[n], "event_id": str(n), "event_time": START, "offset": n, "value": n}
        for n in (0, 1)
    ]
    with stores_of("memory", "lmdb") as stores:
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        run.apply(("stream", (2, 0)))
        for store in stores:
            few = PLANS[3, None].restricted(["item"])
            assert answer(few, store, "ann", clock=run.clock).events.columns == [
                *("event_time", "event_type", "event_id", "item")
            ]
            assert answer(few, store, "ann", clock=run.clock).events.height == 1
            only = answer(PLANS[3, None], store, "ann", Query(columns=["events", "actions"]), clock=run.clock)
            assert only.events.to_dicts() == [{"events": 2, "actions": 3}]
            with pytest.raises(UnknownSequenceColumn):
                answer(few, store, "ann", Query(columns=["shop"]))

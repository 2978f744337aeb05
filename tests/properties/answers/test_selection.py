"""Whatever is asked of whatever history, for one user or many, the answer is the oracle's."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer, answers
from seqplat_resources.read.merge import newest
from seqplat_resources.release.query import Query, TopK
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.budget import examples
from tests.merge_oracle import Row, Wanted
from tests.properties.answers.test_merge import Run, steps, stores_of
from tests.properties.clicks import DAY, loaded
from tests.properties.rolled import Rolled
from tests.properties.streams import DAYS, DEFINITIONS, TYPES, USERS, histories, taste_of, with_a_clock_ahead

SHOWN = ("event_type", "event_id", "event_time", "item")
START = dt.datetime.combine(DAY, dt.time(), dt.UTC)
CONDITIONS: dict[str, Callable[[Row], bool]] = {
    "item > 4": lambda row: row["value"] > 4,
    "item % 2 = 0 OR event_id = 'a'": lambda row: row["value"] % 2 == 0 or row["event_id"] == "a",
    "event_type = 'view'": lambda row: row["event_type"] == "view",
    "event_id IN ('a', 'c', 'e') AND NOT item = 3": lambda row: row["event_id"] in {*"ace"} and row["value"] != 3,
    "taste IS NULL": lambda row: taste_of(row) is None,
    "shop = 'x'": lambda row: False,
    "1 = 1": lambda row: True,
}
VECTORS = [(1, 0), (1, 2), (-2, 1), (0, 0)]
METRICS: dict[str, Callable[[Sequence[int], Sequence[int]], float]] = {
    "dot": lambda one, two: sum(a * b for a, b in zip(one, two, strict=True)),
    "l2": lambda one, two: -sum((a - b) ** 2 for a, b in zip(one, two, strict=True)),
}


@dataclass(frozen=True)
class Asked:
    """A query, and the same said to the oracle."""

    query: Query
    wanted: Wanted


instants = st.integers(-1, 17).map(lambda quarter: START + dt.timedelta(hours=6 * quarter))


@st.composite
def asked(draw: st.DrawFn, shown: Sequence[str] = SHOWN) -> Asked:
    def maybe(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.one_of(st.none(), st.none(), values))

    since, until, as_of = maybe(instants), maybe(instants), maybe(instants)
    if since and until and until <= since:
        until = since + dt.timedelta(hours=7)
    types, where, limit = (
        maybe(st.sampled_from([["click"], ["view"], ["view", "click"]])),
        maybe(st.sampled_from(sorted(CONDITIONS))),
        maybe(st.integers(0, 4)),
    )
    vector, metric, k = maybe(st.sampled_from(VECTORS)), draw(st.sampled_from(sorted(METRICS))), draw(st.integers(1, 4))
    top_k = TopK("taste", vector, k, cast(Any, metric)) if vector else None

    def score(row: Row) -> float | None:
        taste = taste_of(row)
        return None if taste is None else METRICS[metric](taste, vector)

    return Asked(
        Query(draw(st.sampled_from([shown, None])), limit, since, until, types, as_of, where, top_k),
        Wanted(
            since, until, types, CONDITIONS[where] if where else lambda row: True, as_of, score if top_k else None, k
        ),
    )


def plan_of(length: int, window_days: int | None) -> SequencePlan:
    definition = SequenceDefinition(
        name="recent",
        tenant="shop",
        event_types=TYPES,
        columns=("item", "taste", "shop"),
        length=length,
        window_days=window_days,
    )
    return SequencePlan.of(loaded(*DEFINITIONS, definition), "recent")


Expected = Callable[[Run, str, SequencePlan, Asked], list[tuple[object, ...]]]
PLANS = {(length, days): plan_of(length, days) for length in (3, 100) for days in (None, 2)}


def expected(run: Run, user: str, plan: SequencePlan, one: Asked) -> list[tuple[object, ...]]:
    definition, limit = plan.definition, one.query.limit
    length = definition.length if one.query.top_k or limit is None else min(limit, definition.length or 0)
    rows = run.world.answer(user, TYPES, length=length, window_days=definition.window_days, wanted=one.wanted)
    return [tuple({**row, "item": row["value"]}[name] for name in SHOWN) for row in rows[:limit]]


spans = st.sampled_from([[DAYS], [DAYS[:2], DAYS[2:]], [DAYS[1:3]], [DAYS[:3]]])
young = st.sets(st.sampled_from(DAYS), max_size=2)


questions = {
    "rows": histories(),
    "history": st.lists(steps, min_size=3, max_size=10),
    "length": st.sampled_from([3, 100, 100]),
    "window_days": st.sampled_from([None, None, 2]),
    "queries": st.lists(asked(), min_size=3, max_size=6),
    "spans": spans,
    "is_ahead": st.booleans(),
    "young": young,
}


@settings(max_examples=examples(50))
@given(**questions)
def test_any_query_of_any_history_answers_as_the_oracle(**question: Any) -> None:
    answers_as_the_oracle("memory", "lmdb", plans=PLANS, expected=expected, shown=SHOWN, **question)


@settings(max_examples=examples(10))
@given(**questions)
def test_any_query_of_any_history_answers_as_the_oracle_on_a_server(**question: Any) -> None:
    answers_as_the_oracle("redis", plans=PLANS, expected=expected, shown=SHOWN, **question)


def answers_as_the_oracle(
    *kinds: str,
    rows: list[Row],
    history: list[tuple[Any, ...]],
    length: int,
    window_days: int | None,
    queries: list[Asked],
    spans: list[list[str]],
    young: set[str],
    is_ahead: bool,
    plans: Mapping[tuple[int, int | None], SequencePlan],
    expected: Expected,
    shown: Sequence[str],
) -> None:
    rows = with_a_clock_ahead(rows) if is_ahead else rows
    plan, users = plans[length, window_days], [*USERS, "nobody", USERS[0]]
    with stores_of(*kinds) as stores:
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        for step in history:
            run.apply(step)
        every = [*stores, cast(OnlineStore, Rolled(stores[0], spans, young))]
        for one in queries:
            wanted = [expected(run, user, plan, one) for user in users]
            for store in every:
                for user, rows_of_user in zip(users, wanted, strict=True):
                    found = answer(plan, store, user, one.query, clock=run.clock)
                    assert found.events.select(shown).rows() == rows_of_user, (type(store).__name__, user, one.query)
                for together in (1, newest.TOGETHER):
                    with mock.patch.object(newest, "TOGETHER", together):
                        batch = answers(plan, store, users, one.query, clock=run.clock)
                    assert batch.lengths == tuple(map(len, wanted)), (type(store).__name__, one.query)
                    assert batch.events.select(shown).rows() == [row for each in wanted for row in each]


@given(rows=histories(), history=st.lists(steps, min_size=3, max_size=10), as_of=instants)
def test_what_changed_after_the_time_asked_is_counted(
    rows: list[Row], history: list[tuple[Any, ...]], as_of: dt.datetime
) -> None:
    plan = PLANS[100, None]
    with stores_of("memory", "lmdb") as stores:
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        for step in history:
            run.apply(step)
        for user in USERS:
            counts = {name: run.world.changed_after(user, [name], as_of) for name in TYPES}
            told = [
                f"{name}: {n} event{'s' if n > 1 else ''} changed after as_of left out"
                for name, n in counts.items()
                if n
            ]
            for store in stores:
                degraded = answer(plan, store, user, Query(as_of=as_of)).freshness.degraded
                assert [text for text in degraded if "as_of" in text] == told


@pytest.mark.parametrize("name", ["dot", "l2"])
def test_the_similarity_is_shown(name: str) -> None:
    """The oracle compares squares of distances; an answer tells the distance."""
    with stores_of("memory", "lmdb") as stores:
        rows = [
            {
                "event_type": "click",
                "user": "ann",
                "event_id": str(number),
                "event_time": START + dt.timedelta(minutes=number),
                "ingest_time": START,
                "rev": 0,
                "op": "upsert",
                "source_partition": "clicks:0",
                "offset": number,
                "value": number,
            }
            for number in range(20)
        ]
        run = Run(rows, stores, batch_may_lead=True, filtered=frozenset())
        run.apply(("publish", "click", set(DAYS), (10, 0)))
        run.apply(("stream", (20, 0)))
        metric = METRICS[name]
        for store in stores:
            found = answer(
                PLANS[100, None], store, "ann", Query(["item"], top_k=TopK("taste", (1, 2), 50, cast(Any, name)))
            ).events
            scores = [metric(cast(Sequence[int], taste_of({"value": item})), (1, 2)) for item in found["item"]]
            shown = scores if name == "dot" else [-((-score) ** 0.5) for score in scores]
            assert found["similarity"].to_list() == pytest.approx(shown)
            assert found.height == 16
            assert scores == sorted(scores, reverse=True)

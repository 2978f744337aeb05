"""Which requests are recorded, and what becomes of answers that there is no room for."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from seqplat_resources.read.freshness import Freshness
from seqplat_resources.release.query import Query, TopK
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.training.answered.write import RecordedAnswer, asked_of
from sequence_defs.schema import Sequence as SequenceDefinition
from serving.follow.answers import AnswerLog
from tests.building import ManualClock, utc

FRESH = Freshness("release", {}, None, None, 1.0, degraded=("view: 1 damaged block left out (3)",))
REVISIONS = pl.DataFrame(
    {
        "event_type": ["view"] * 3,
        "event_id": ["a", "b", "c"],
        "event_time": [utc(2024, 5, 1)] * 3,
        "rev": [0] * 3,
        "source_partition": ["p"] * 3,
        "offset": [0, 1, 2],
    }
)


def plan(share: float) -> SequencePlan:
    definition = SequenceDefinition(
        name="recent", tenant="shop", event_types=("view",), columns=("item",), length=9, answers_recorded=share
    )
    return SequencePlan("release", definition, {}, {}, [], {}, {}, {}, False)


class Lake:
    def __init__(self) -> None:
        self.rows: list[RecordedAnswer] = []
        self.dropped = 0

    def append(self, sequence: str, rows: Sequence[RecordedAnswer], dropped: int) -> None:
        self.rows.extend(rows)
        self.dropped += dropped


def test_a_share_of_requests_is_drawn_and_each_one_always() -> None:
    log, names = AnswerLog(Lake().append, ManualClock()), [f"9702106b{number:08x}" for number in range(10_000)]
    tenth = {name for name in names if log.drawn(plan(0.1), name, Query())}
    assert 800 < len(tenth) < 1200
    assert tenth == {name for name in names if log.drawn(plan(0.1), name, Query())}
    assert tenth < {name for name in names if log.drawn(plan(0.5), name, Query())}
    assert not any(log.drawn(plan(0.0), name, Query()) for name in names)
    assert all(log.drawn(plan(1.0), name, Query()) for name in names)


def test_questions_that_answer_nobody_are_not_recorded() -> None:
    log = AnswerLog(Lake().append, ManualClock())
    assert log.drawn(plan(1.0), "r", Query(as_of=utc(2024, 5, 1))) is None
    assert log.drawn(plan(1.0), "r", Query(top_k=TopK("vector", (1.0,), 1))) is None


def test_each_user_of_a_batch_is_recorded_once_with_their_own_events() -> None:
    lake, clock = Lake(), ManualClock()
    log = AnswerLog(lake.append, clock)
    recording = log.drawn(plan(1.0), "r", Query(limit=5))
    assert recording is not None
    clock.time += dt.timedelta(minutes=1)  # reading takes its time
    users = ["ann", "nobody", "bob", "ann"]
    recording.add([plan(1.0)] * 4, users, [1, 0, 2, 1], pl.concat([REVISIONS, REVISIONS[:1]]), FRESH, [False] * 4)
    log.behind.write()
    found = {
        row.user: pl.read_ipc_stream(row.revisions)["event_id"].to_list() if row.revisions else [] for row in lake.rows
    }
    assert found == {"ann": ["a"], "nobody": [], "bob": ["b", "c"]}
    assert len(lake.rows) == 3
    assert {row.at_us for row in lake.rows} == {1_717_200_000_000_000}
    assert {(row.query, row.degraded) for row in lake.rows} == {('{"limit": 5}', FRESH.degraded)}


def test_what_there_is_no_room_for_is_dropped_and_counted() -> None:
    lake = Lake()
    log = AnswerLog(lake.append, ManualClock(), most_bytes=4_000)
    for number in range(5):
        recording = log.drawn(plan(1.0), f"r{number}", Query())
        assert recording is not None
        recording.add([plan(1.0)], ["ann"], [3], REVISIONS, FRESH, [False])
    log.behind.write()
    assert 0 < len(lake.rows) < 5
    assert lake.dropped == log.behind.dropped == 5 - len(lake.rows)


def test_queries_that_choose_alike_are_one_question() -> None:
    assert asked_of(Query(columns=("a",), limit=9), 9) == asked_of(Query(), 9) == "{}"
    assert asked_of(Query(limit=9), None) == '{"limit": 9}'
    assert asked_of(Query(event_types=["b", "a", "b"]), 9) == asked_of(Query(event_types=["a", "b"]), 9)

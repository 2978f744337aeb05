"""Which recorded answer a label has, against a loop in plain Python; and what becomes of labels without one."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.batch.inputs import tables
from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import microseconds
from seqplat_resources.training.answered.match import AnswerMatch, matched
from seqplat_resources.training.answered.write import RecordedAnswer, append_answers, packed
from seqplat_resources.training.build import BuiltSet, TrainingSetDiffers, build
from seqplat_resources.training.given.labels import LabelColumns, LabelsRefused, OnOdd
from seqplat_resources.training.manifest import Manifest
from seqplat_resources.training.question import TrainingQuestion
from tests.building import utc
from tests.training.world import NOON, home

USERS, REQUESTS, MINUTE = ("ann", "bob"), ("r1", "r2", "r3"), dt.timedelta(minutes=1)
times = st.integers(0, 9).map(lambda n: NOON + n * MINUTE)
said = st.fixed_dictionaries(
    {
        "_user": st.sampled_from(USERS),
        "request": st.sampled_from(REQUESTS),
        "at": times,
        "query": st.sampled_from(["{}", '{"limit": 1}']),
    }
)
labelled = st.fixed_dictionaries(
    {
        "user": st.sampled_from([*USERS, "nobody", None]),
        "time": st.one_of(st.none(), times),
        "asked": st.sampled_from([*REQUESTS, "r4", None]),
    }
)
SAID = {"_user": pl.String(), "request": pl.String(), "at": pl.Datetime("us", "UTC"), "query": pl.String()}
LABELS = {"user": pl.String(), "time": pl.Datetime("us", "UTC"), "asked": pl.String()}


@given(st.lists(labelled, max_size=8), st.lists(said, max_size=8), st.booleans(), st.integers(1, 9))
def test_a_label_has_the_newest_answer_that_fits(
    labels: list[dict[str, Any]], answers: list[dict[str, Any]], by_request: bool, minutes: int
) -> None:
    match = AnswerMatch("asked" if by_request else None, within=minutes * MINUTE)
    frame = pl.DataFrame(labels, schema=LABELS, orient="row").with_row_index("label_id").cast({"label_id": pl.Int64})
    recorded = pl.LazyFrame(answers, schema=SAID, orient="row")
    found = matched(frame, recorded, LabelColumns(), match, "{}")
    expected = {}
    for number, label in enumerate(labels):
        mine = [each for each in answers if each["_user"] == label["user"]]
        if by_request:
            fitting = [each for each in mine if each["request"] == label["asked"]]
        else:
            ends = label["time"]
            fitting = [
                each for each in mine if ends and each["query"] == "{}" and ends - match.within <= each["at"] < ends
            ]
        if fitting:
            expected[number] = max(each["at"] for each in fitting)
    assert dict(found.select("label_id", "at").iter_rows()) == expected
    assert found["label_id"].to_list() == sorted(expected)


# ---- Sets


def event(event_id: str, **said: Any) -> dict[str, Any]:
    known = {"user_id": "ann", "event_type": "view", "event_time": NOON, "available_time": NOON}
    return {"event_id": event_id, **known, **said}


def record(runtime: Runtime, request: str, *ids: str, at: dt.datetime = NOON, user: str = "ann", rev: int = 0) -> None:
    """An answer with these events, which were views at noon."""
    named = {"event_type": "view", "event_time": NOON, "rev": rev, "source_partition": "p", "offset": 0}
    revisions = packed(pl.DataFrame([{"event_id": each, **named} for each in ids]))
    answer = RecordedAnswer(request, user, microseconds(at), "{}", runtime.loaded.id, len(ids), revisions)
    append_answers(runtime.home, runtime.clock, runtime.release, "recent", [answer])


def made(runtime: Runtime, folder: Path, labels: list[dict[str, Any]], **more: Any) -> BuiltSet:
    query = more.pop("query", Query(columns=["event_id"]))
    question = TrainingQuestion("recent", mode="as_served", query=query)
    return build(runtime, question, pl.DataFrame(labels), folder, **more)


def shown(found: BuiltSet) -> list[list[str]]:
    return pl.read_parquet(found.out / "*.parquet").sort("label_id")["event_id"].to_list()


def test_the_order_of_the_answer_is_kept_and_nothing_is_added(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a"), event("b"), event("c")])
    record(runtime, "r1", "b", "c")
    record(runtime, "r2", "c", "a", at=NOON + MINUTE)
    labels = [{"user": "ann", "time": NOON + n * MINUTE} for n in (1, 2, 3)]
    found = made(runtime, tmp_path / "set", labels)
    assert shown(found) == [["b", "c"], ["c", "a"], ["c", "a"]]
    pointers = made(runtime, tmp_path / "pointers", labels, form="pointers")
    assert [shard.values for shard in pointers.manifest.shards] == [6]


def test_an_event_that_is_not_there_any_more_is_counted(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a", rev=1)], [event("a", superseded_time=utc(2024, 5, 2))])
    record(runtime, "old", "a", "gone")
    record(runtime, "new", "a", rev=1)
    record(runtime, "newer", "a", rev=2)
    labels = [{"user": "ann", "time": NOON, "request_id": each} for each in ("old", "new", "newer")]
    found = made(runtime, tmp_path / "set", labels)
    assert (shown(found), found.manifest.facts["gone"]) == ([["a"], ["a"], []], 2)


def test_events_of_a_type_that_the_sequence_lost_are_counted(tmp_path: Path) -> None:
    """And those of a type that nobody asks for are not."""
    runtime = home(tmp_path, [event("a"), event("b", event_type="order")])
    record(runtime, "r1", "a")
    labels = [{"user": "ann", "time": NOON + MINUTE, "request_id": "r1"}]
    narrow = made(runtime, tmp_path / "narrow", labels, query=Query(columns=["event_id"], event_types=["order"]))
    assert (shown(narrow), narrow.manifest.facts["gone"]) == ([[]], 0)
    runtime = home(tmp_path, [event("a"), event("b", event_type="order")], event_types=("order",))
    lost = made(runtime, tmp_path / "lost", labels)
    assert (shown(lost), lost.manifest.facts["gone"]) == ([[]], 1)


@pytest.mark.parametrize("policy", ["keep", "drop"])
def test_labels_without_an_answer_are_counted(policy: OnOdd, tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a")])
    record(runtime, "r1", "a")
    labels = [{"user": user, "time": NOON + MINUTE} for user in ("ann", "bob")]
    found = made(runtime, tmp_path / "set", labels, match=AnswerMatch(on_unserved=policy))
    assert shown(found) == [["a"], []][: 2 if policy == "keep" else 1]
    assert found.manifest.facts["labels"]["counts"] == {"without a recorded answer": 1}


def test_labels_without_an_answer_refuse_the_set(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a")])
    record(runtime, "r1", "a")
    labels = [{"user": "ann", "time": NOON + MINUTE}]
    with pytest.raises(LabelsRefused) as refused:
        made(runtime, tmp_path / "set", labels, query=Query(limit=1))
    assert str(refused.value) == (
        'labels of a frame of 1 rows: 1 of 1 have no recorded answer to {"limit": 1} within 1:00:00 before its time; '
        "recorded are 1 to {}; say --on-unserved drop or keep, a longer --within, or ask what was asked (--length, "
        "--where, --event-types)"
    )
    with pytest.raises(LabelsRefused, match="have no column 'trace'; it has"):
        made(runtime, tmp_path / "set", labels, match=AnswerMatch("trace"))


def test_a_sequence_that_records_nothing_says_how_to(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a")])
    with pytest.raises(QueryError, match=r"no answers of sequence 'recent' are recorded; write answers_recorded=1\.0"):
        made(runtime, tmp_path / "set", [{"user": "ann", "time": NOON}])


def test_users_of_a_sequence_with_personal_data_are_pseudonyms(tmp_path: Path) -> None:
    """And those that were recorded before it had any are found beside them."""
    runtime = home(tmp_path, [event("a"), event("b")])
    record(runtime, "before", "a")
    secret = home(tmp_path, [event("a"), event("b")], pii="drop")
    record(secret, "after", "b")
    rows = tables.answered(secret.home, "recent", secret.clock).scan().collect()
    names = dict(rows.select("request", "user").iter_rows())
    assert names["before"] == "ann" != names["after"]
    labels = [{"user": "ann", "time": NOON, "request_id": each} for each in ("before", "after")]
    assert shown(made(secret, tmp_path / "set", labels)) == [["a"], ["b"]]


def test_it_is_made_again_of_the_answers_of_then(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("a"), event("b")])
    record(runtime, "r1", "a")
    labels = [{"user": "ann", "time": NOON + MINUTE}]
    first = made(runtime, tmp_path / "set", labels)
    record(runtime, "r2", "b", at=NOON + MINUTE / 2)
    with pytest.raises(TrainingSetDiffers, match=r"tables\.lake/answered/recent"):
        made(runtime, tmp_path / "set", labels)
    again = made(runtime, tmp_path / "again", labels, again=Manifest.read(first.out))
    assert again.manifest.shards == first.manifest.shards
    assert shown(made(runtime, tmp_path / "now", labels)) == [["b"]]

"""Training sets from a lake: against plain Python, made twice, interrupted, of labels that are odd."""

import datetime as dt
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.times import FIRST_US, LAST_US, microseconds
from seqplat_resources.training import build as building
from seqplat_resources.training.build import BuiltSet, TrainingLimits, TrainingSetDiffers, build
from seqplat_resources.training.folder import TrainingSetBusy
from seqplat_resources.training.given.labels import LabelPolicy, LabelsRefused
from seqplat_resources.training.manifest import Manifest, NoTrainingSet
from seqplat_resources.training.question import TrainingQuestion
from tests.training.world import NOON, NOW, Event, home, put, seen

HOUR = dt.timedelta(hours=1)
AS_KNOWN, AS_CORRECTED = TrainingQuestion("recent"), TrainingQuestion("recent", mode="as_corrected")


def event(
    event_id: str = "a", user: str = "ann", hours: float = 0, *, of: str = "view", late_h: float = 0, **more: Any
) -> Event:
    time = NOON + hours * HOUR
    said = {"event_type": of, "user_id": user, "event_id": event_id, "event_time": time}
    return said | {"available_time": time + late_h * HOUR} | more


def labels(*of: tuple[str | None, dt.datetime | None], **more: Any) -> pl.DataFrame:
    users, times = [user for user, _ in of], [time for _, time in of]
    times_ = pl.Series(times, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"user": pl.Series(users, dtype=pl.String), "time": times_, **more})


def read(made: BuiltSet) -> pl.DataFrame:
    return pl.read_parquet(made.out / "*.parquet")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Rows as they are today, and those that counted before: each event with its revisions, one after the other."""
    events, superseded = [], []
    for number in range(draw(st.integers(0, 8))):
        user, of = draw(st.sampled_from(["ann", "bob"])), draw(st.sampled_from(["view", "order"]))
        available = hours = draw(st.integers(0, 60))
        revisions = []
        for rev in range(draw(st.integers(1, 3))):
            available += draw(st.integers(0, 30))
            moved = hours + draw(st.sampled_from([0, 0, 30]))
            op = draw(st.sampled_from(["upsert", "upsert", "retract"]))
            at = event(str(number), user, moved, of=of, rev=rev, op=op, offset=number * 10 + rev, until=None)
            revisions.append(at | {"available_time": NOON + available * HOUR, "price": draw(st.integers(0, 9))})
        for one, other in pairwise(revisions):
            one["until"] = one["superseded_time"] = other["available_time"]
        events.append(revisions[-1])
        superseded += [row for row in revisions[:-1] if row["available_time"] < row["until"]]
    return events, superseded


asked = st.lists(st.tuples(st.sampled_from(["ann", "bob", "zoe"]), st.integers(0, 140)), min_size=1, max_size=6)


@given(world=worlds(), at=asked, length=st.sampled_from([None, 2]), window_days=st.sampled_from([None, 2]))
def test_each_label_sees_what_was_known(
    world: tuple[list[Event], list[Event]], at: list[tuple[str, int]], length: int | None, window_days: int | None
) -> None:
    events, superseded = world
    with tempfile.TemporaryDirectory() as folder:
        runtime = home(Path(folder), events, superseded, length=length, window_days=window_days)
        given_labels = labels(*((user, NOON + hours * HOUR) for user, hours in at))
        made = build(runtime, AS_KNOWN, given_labels, Path(folder) / "set", limits=TrainingLimits(row_group_bytes=100))
        found = read(made).sort("label_id")
        newest = max((e["event_time"].date() for e in events), default=NOW.date())
        for row, (user, hours) in zip(found.iter_rows(named=True), at, strict=True):
            wanted = seen(
                [*events, *superseded], user, NOON + hours * HOUR, length=length, window_days=window_days, newest=newest
            )
            assert row["event_id"] == [name.split("@")[0] for name in wanted]
            assert len(row["price"]) == len(row["event_type"]) == len(wanted)
            for name, kind, price in zip(wanted, row["event_type"], row["price"], strict=True):
                event_id, rev = name.split("@")
                of_revision = next(
                    e for e in [*events, *superseded] if e["event_id"] == event_id and e["rev"] == int(rev)
                )
                assert price == (of_revision["price"] if kind == "order" else None)


def test_what_is_corrected_is_shown_as_of_now(tmp_path: Path) -> None:
    late, gone = event("late", late_h=100), event("gone", hours=1, op="retract", rev=1, late_h=8)
    runtime = home(tmp_path, [late, gone], [gone | {"op": "upsert", "rev": 0, "available_time": NOON + HOUR}])
    at = labels(("ann", NOON + 5 * HOUR))
    assert read(build(runtime, AS_CORRECTED, at, tmp_path / "now"))["event_id"].to_list() == [["late"]]
    assert read(build(runtime, AS_KNOWN, at, tmp_path / "then"))["event_id"].to_list() == [["gone"]]


def test_what_a_filter_withdrew_was_known_until_then(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event("kept")], [event("withdrawn", superseded_time=NOON + 9 * HOUR)])
    at = labels(*(("ann", NOON + hours * HOUR) for hours in (8, 9)))
    assert read(build(runtime, AS_KNOWN, at, tmp_path / "set"))["event_id"].to_list() == [
        ["withdrawn", "kept"],
        ["kept"],
    ]


def test_conditions_types_columns_and_length_are_those_of_a_request(tmp_path: Path) -> None:
    events = [event(str(n), hours=n, of="order", price=n, offset=n) for n in range(5)] + [event("v", hours=9)]
    runtime = home(tmp_path, events)
    query = Query(columns=["price"], limit=2, where="price < 4 AND event_id <> '2'", event_types=["order"])
    found = read(build(runtime, TrainingQuestion("recent", query=query), labels(("ann", NOW)), tmp_path / "set"))
    assert found.columns == ["label_id", "user", "time", "price"]
    assert found["price"].to_list() == [[3, 1]]


def test_embargo_and_events_at_the_very_time(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event(str(n), hours=n, offset=n) for n in range(3)])
    at, ids = labels(("ann", NOON + 2 * HOUR)), dict[str, list[list[str]]]()
    for name, more in {"strict": {}, "inclusive": {"inclusive": True}, "embargo": {"embargo": HOUR}}.items():
        ids[name] = read(build(runtime, TrainingQuestion("recent", **more), at, tmp_path / name))["event_id"].to_list()
    assert ids == {"strict": [["1", "0"]], "inclusive": [["2", "1", "0"]], "embargo": [["0"]]}


def many(tmp_path: Path) -> Any:
    events = [event(f"{user}{n}", user, n / 10, offset=n, late_h=n % 3) for user in "abcdef" for n in range(40)]
    return home(tmp_path, events, length=5)


ROWS = labels(*((user, NOON + hours * HOUR) for hours in range(6) for user in "fedcba"), y=range(36))


def test_the_same_is_made_byte_by_byte_whatever_memory_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = many(tmp_path)
    once, again = (build(runtime, AS_KNOWN, ROWS, tmp_path / name) for name in ("once", "again"))
    assert once.manifest.shards == again.manifest.shards
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)
    parts = build(runtime, AS_KNOWN, ROWS, tmp_path / "parts")
    assert len(parts.manifest.shards) > 3
    assert_frame_equal(read(parts), read(once))
    assert read(once)["label_id"].to_list() == sorted(range(36), key=lambda n: (ROWS["user"][n], n))


def test_a_set_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    asked = TrainingQuestion("recent", query=Query(columns=["price"], event_types=["view"], since=NOON))
    assert TrainingQuestion.of(asked.said()) == asked
    build(runtime, asked, ROWS, tmp_path / "set")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    assert not build(runtime, asked, ROWS, tmp_path / "set").is_new
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()} == before


def test_another_set_is_not_replaced_unless_that_is_said(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    build(runtime, AS_KNOWN, ROWS, tmp_path / "set")
    put(runtime, [event("new", "a")])
    with pytest.raises(TrainingSetDiffers, match=r"tables.lake/events/view: 1, now 2.*say --replace") as refused:
        build(runtime, AS_KNOWN, ROWS, tmp_path / "set")
    assert refused.value.moved == ("tables.lake/events/view: 1, now 2",)
    assert read(build(runtime, AS_KNOWN, ROWS, tmp_path / "set", replace=True))["event_id"].list.len().sum() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "set"]


class Killed(BaseException):
    """Nobody catches it."""


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_killed_run_leaves_nothing_to_read_and_is_gone_on_with(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = many(tmp_path)
    whole = build(runtime, AS_KNOWN, ROWS, tmp_path / "whole")
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)
    whole = build(runtime, AS_KNOWN, ROWS, tmp_path / "in parts")

    def kill(progress: building.TrainingProgress) -> None:
        if progress.shard == at:
            raise Killed

    with pytest.raises(Killed):
        build(runtime, AS_KNOWN, ROWS, tmp_path / "set", progress=kill)
    assert not (tmp_path / "set").exists()
    last = tmp_path / "set.partial" / f"part-{at - 1:05d}.parquet"
    last.write_bytes(last.read_bytes()[:-1])  # of all things, a torn one
    made = build(runtime, AS_KNOWN, ROWS, tmp_path / "set")
    assert made.reused == at - 1
    assert made.manifest.shards == whole.manifest.shards
    assert not (tmp_path / "set.partial").exists()


def test_what_was_finished_for_another_question_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = many(tmp_path)
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)

    def kill(progress: building.TrainingProgress) -> None:
        raise Killed

    with pytest.raises(Killed):
        build(runtime, AS_KNOWN, ROWS, tmp_path / "set", progress=kill)
    assert build(runtime, AS_CORRECTED, ROWS, tmp_path / "set").reused == 0


def test_a_set_is_made_by_one_run_at_a_time(tmp_path: Path) -> None:
    runtime, out = home(tmp_path, [event()]), tmp_path / "set"

    def again(_: object) -> None:
        with pytest.raises(TrainingSetBusy, match="is being made by another run"):
            build(runtime, AS_CORRECTED, ROWS, out)

    assert build(runtime, AS_KNOWN, ROWS, out, progress=again).is_new
    assert not build(runtime, AS_KNOWN, ROWS, out).is_new


def test_what_a_killed_replacement_left_is_in_nobodys_way(tmp_path: Path) -> None:
    runtime, out = home(tmp_path, [event()]), tmp_path / "set"
    build(runtime, AS_KNOWN, ROWS, out)
    (tmp_path / "set.replaced").mkdir()
    (tmp_path / "set.replaced/part-00000.parquet").write_bytes(b"older")
    assert build(runtime, AS_CORRECTED, ROWS, out, replace=True).is_new
    assert not (tmp_path / "set.replaced").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "set.partial").mkdir()
    mine = tmp_path / "set.partial/notes.txt"
    mine.write_text("mine")
    with pytest.raises(NoTrainingSet, match="move it away"):
        build(home(tmp_path, [event()]), AS_KNOWN, ROWS, tmp_path / "set")
    assert mine.read_text() == "mine"


BAD = {
    "without a user": (None, NOON),
    "without a time": ("ann", None),
    "in the future": ("ann", NOW + HOUR),
}


@pytest.mark.parametrize("what", sorted(BAD))
def test_bad_labels_are_counted_and_refused_left_out_or_empty(what: str, tmp_path: Path) -> None:
    runtime = home(tmp_path, [event()])
    given_labels = labels(("ann", NOON + HOUR), BAD[what], y=[1, 2])
    with pytest.raises(
        LabelsRefused, match=f"of 2 there are 1 {what} \\(label_id 1, from 0\\).*--on-bad drop"
    ) as refused:
        build(runtime, AS_KNOWN, given_labels, tmp_path / "refused")
    assert refused.value.counts == {what: 1}
    dropped = build(runtime, AS_KNOWN, given_labels, tmp_path / "drop", policy=LabelPolicy("drop"))
    assert read(dropped).select("y", "event_id").rows() == [(1, ["a"])]
    kept = build(runtime, AS_KNOWN, given_labels, tmp_path / "keep", policy=LabelPolicy("keep-empty"))
    assert sorted(read(kept).select("y", "event_id").rows()) == [(1, ["a"]), (2, [])]
    for made, rows in ((dropped, 1), (kept, 2)):
        assert made.manifest.facts["labels"] == {"given": 2, "kept": rows, "counts": {what: 1}}
    assert json.loads((tmp_path / "keep/manifest.json").read_text())["facts"]["empty"] == 1
    assert Manifest.read(tmp_path / "keep") == kept.manifest


# The edges of the type, of the years there are, and what lies just beyond these, in microseconds.
EDGES = (-(1 << 63) + 1, FIRST_US - 1, FIRST_US, LAST_US, LAST_US + 1, (1 << 63) - 1)


@pytest.mark.parametrize("question", [AS_KNOWN, TrainingQuestion("recent", embargo=dt.timedelta(days=999_999))])
def test_a_time_at_the_edge_of_its_type_costs_its_own_label(question: TrainingQuestion, tmp_path: Path) -> None:
    runtime = home(tmp_path, [event()], window_days=30)
    times = pl.Series([microseconds(NOON + HOUR), *EDGES]).cast(pl.Datetime("us", "UTC"))
    at = pl.DataFrame({"user": ["ann"] * times.len(), "time": times})
    made = build(runtime, question, at, tmp_path / "set", policy=LabelPolicy("keep-empty"))
    by_label = dict(read(made).select("label_id", "event_id").iter_rows())
    assert by_label == {0: ["a"] if question is AS_KNOWN else [], **{key: [] for key in range(1, times.len())}}
    counts = made.manifest.facts["labels"]["counts"]
    assert counts.pop("of users without events", 2) == 2  # so long before nothing is built
    assert counts == {"in the future": 1, "with a time outside of the years 1 to 9999": 4}


def test_an_embargo_that_no_time_can_have_is_refused() -> None:
    with pytest.raises(QueryError, match="embargo"):
        TrainingQuestion("recent", embargo=dt.timedelta.max)


def test_duplicates_and_unknown_users_are_kept_counted_and_refused_where_that_is_said(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event()])
    given_labels = labels(("ann", NOON + HOUR), ("ann", NOON + HOUR), ("zoe", NOON), y=[1, 2, 3])
    kept = build(runtime, AS_KNOWN, given_labels, tmp_path / "kept")
    assert kept.manifest.facts["labels"]["counts"] == {"of a user and time again": 1, "of users without events": 1}
    assert read(kept)["event_id"].to_list() == [["a"], ["a"], []]
    dropped = build(
        runtime,
        AS_KNOWN,
        given_labels,
        tmp_path / "dropped",
        policy=LabelPolicy(on_duplicate="drop", on_unknown="drop"),
    )
    assert read(dropped)["y"].to_list() == [1]
    with pytest.raises(LabelsRefused, match="1 have the user and time of another"):
        build(runtime, AS_KNOWN, given_labels, tmp_path / "d", policy=LabelPolicy(on_duplicate="refuse"))
    with pytest.raises(LabelsRefused, match=r"1 are of users without any event \(zoe\)"):
        build(runtime, AS_KNOWN, given_labels, tmp_path / "u", policy=LabelPolicy(on_unknown="refuse"))


def test_times_without_a_zone_are_read_as_utc_where_that_is_said(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event()])
    given_labels = labels(("ann", NOON + HOUR)).with_columns(pl.col("time").dt.replace_time_zone(None))
    (tmp_path / "labels.csv").write_text("user,time\nann,2024-05-01T13:00:00\nann,2024-05-01 13:00:00\n")
    for source in (given_labels, tmp_path / "labels.csv"):
        with pytest.raises(LabelsRefused, match="without a time zone"):
            build(runtime, AS_KNOWN, source, tmp_path / "no")
        name = "csv" if isinstance(source, Path) else "frame"
        made = build(runtime, AS_KNOWN, source, tmp_path / name, policy=LabelPolicy(assume_utc=True))
        assert set(read(made)["event_id"].list.join(",")) == {"a"}


def test_columns_that_both_have_need_a_prefix(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event()])
    given_labels = labels(("ann", NOON + HOUR), price=[7], event_id=["mine"])
    with pytest.raises(QueryError, match="both have event_id, price; say --prefix"):
        build(runtime, AS_KNOWN, given_labels, tmp_path / "set")
    found = read(build(runtime, AS_KNOWN, given_labels, tmp_path / "set", prefix="seq_"))
    assert found.select("price", "event_id", "seq_event_id").rows() == [(7, "mine", ["a"])]


def test_users_of_another_type_are_read_as_ids_where_nothing_is_lost(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event(user="7")])
    given_labels = pl.DataFrame({"user": [7, 8], "time": [NOON + HOUR] * 2}).with_columns(
        pl.col("time").cast(pl.Datetime("us", "UTC"))
    )
    assert read(build(runtime, AS_KNOWN, given_labels, tmp_path / "set"))["event_id"].to_list() == [["a"], []]


def test_days_that_labels_reach_and_nobody_built_are_told(tmp_path: Path) -> None:
    """Holes, and what is newer than the newest day; days before the first one, nobody has missed."""
    view, order = [event("a"), event("b", hours=48)], [event("o", of="order", hours=72)]
    made = build(home(tmp_path, [*view, *order]), AS_KNOWN, labels(("ann", NOON + 96 * HOUR)), tmp_path / "set")
    assert made.manifest.facts["not_built"] == {
        "order": {"days": 1, "first": "2024-05-05", "last": "2024-05-05"},
        "view": {"days": 3, "first": "2024-05-02", "last": "2024-05-05"},
    }
    midnight = labels(("ann", NOON + 12 * HOUR))  # of that day nothing is before it
    known = build(home(tmp_path / "other", view), AS_KNOWN, midnight, tmp_path / "known")
    assert known.manifest.facts["not_built"] == {"order": {"days": 1, "first": "2024-05-01", "last": "2024-05-01"}}
    nobody = build(home(tmp_path / "none", view), AS_KNOWN, labels(), tmp_path / "nobody")
    assert nobody.manifest.facts["not_built"] == {}


def test_no_labels_make_a_set_without_rows(tmp_path: Path) -> None:
    found = read(build(home(tmp_path, [event()]), AS_KNOWN, labels(), tmp_path / "set"))
    assert found.height == 0
    assert found.columns == ["label_id", "user", "time", "event_time", "event_type", "event_id", "price"]

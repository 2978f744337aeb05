"""Labels made of what followed are what plain Python counts, whatever the order of rows and the memory."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.outcomes.after import after
from seqplat_resources.training.outcomes.definition import Anchors, LabelOutcome, Negatives, OutcomesRefused
from seqplat_resources.training.outcomes.labels import make
from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time
from sequence_defs.schema.sequences import FollowedKind
from serving.cli.main import root
from tests.building import days, runtime_for, utc

DAYS = days(dt.date(2024, 5, 1), 4)
END = utc(2024, 5, 5)
OURS: dict[str, Any] = {"tenant": "shop", "owner": "team:shop"}
DAY = dt.timedelta(days=1)
# User, id, time, amount; the last line takes the one before it back.
SAID = [
    ("ann", "1", utc(2024, 5, 1, 9), 3, "upsert"),
    ("ann", "2", utc(2024, 5, 1, 9), 4, "upsert"),
    ("ann", "3", utc(2024, 5, 2, 9), 5, "upsert"),
    ("bob", "4", utc(2024, 5, 2, 8), None, "upsert"),
    ("bob", "5", utc(2024, 5, 4, 23), 7, "upsert"),
    ("cid", "6", utc(2024, 5, 3, 1), 1, "upsert"),
    ("cid", "7", utc(2024, 5, 3, 2), 9, "upsert"),
    ("cid", "7", utc(2024, 5, 3, 2), 9, "retract"),
    *(("dan", f"d{n}", utc(2024, 5, 1, 10, n), 0, "upsert") for n in range(20)),
]


def release(folder: Path, said: list[Any]) -> Runtime:
    for day in DAYS:
        rows = [(*row[:4], row[4], int(row[4] == "retract")) for row in said if row[2].date() == day]
        schema = {"user": pl.String, "id": pl.String, "at": pl.Datetime("us", "UTC"), "amount": pl.Int64}
        frame = pl.DataFrame(rows, schema={**schema, "said": pl.String, "rev": pl.Int64}, orient="row")
        frame.write_parquet(folder / f"{day}.parquet")
    types = {"at": "timestamp", "amount": "int64", "rev": "int64"}
    columns = tuple(
        Column(name=name, dtype=types.get(name, "string"), nullable=name == "amount")
        for name in ("user", "id", "at", "amount", "said", "rev")
    )
    source = Source(
        name="orders", location="{day}.parquet", columns=columns, event_time=Time(sql="at"), user_id="user",
        rev="rev", op="said", start=DAYS[0], shards=3, **OURS,
    )  # fmt: skip
    kept = (Column(name="id", dtype="string"), Column(name="amount", dtype="int64"))
    buy = EventType(name="buy", source="orders", id_field="id", columns=kept, **OURS)
    recent = Sequence(name="recent", event_types=("buy",), columns=("amount",), length=5, window_days=30, **OURS)
    runtime = runtime_for(folder / "home", [Tenant(name="shop", tenant="shop"), source, buy, recent], folder)
    list(raw.ingest(runtime, "orders", DAYS))
    list(events.build(runtime, "buy", DAYS))
    return runtime


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return release(tmp_path_factory.mktemp("outcomes"), SAID)


EVENT = st.tuples(st.sampled_from("abc"), st.integers(-5, 20), st.none() | st.floats(-1e6, 1e6))
MOMENT = st.tuples(st.sampled_from("abcd"), st.integers(-5, 20))


@given(
    st.lists(EVENT, max_size=12),
    st.lists(MOMENT, max_size=8),
    st.sampled_from(["count", "did", "sum", "time_to"]),
    st.integers(1, 30),
    st.randoms(),
)
def test_what_followed_is_what_plain_python_counts(
    said: list[Any], moments: list[Any], measure: FollowedKind, within: int, order: Any
) -> None:
    asked = pl.DataFrame(moments, schema={"user": pl.String, "at": pl.Int64}, orient="row")
    schema = {"user": pl.String, "at": pl.Int64, "value": pl.Float64}
    found = after(asked, pl.DataFrame(said, schema=schema, orient="row"), measure, within_us=within).to_list()
    for (user, at), value in zip(moments, found, strict=True):
        follows = sorted((t, x) for u, t, v in said if u == user and at < t <= at + within for x in [v or 0.0])
        want = {
            "did": bool(follows),
            "count": len(follows),
            "time_to": (follows[0][0] - at) / 1e6 if follows else None,
            "sum": sum(x for _, x in follows),
        }[measure]
        assert value == (pytest.approx(want, abs=1e-6) if measure == "sum" else want)
    shuffled = list(said)
    order.shuffle(shuffled)
    again = after(asked, pl.DataFrame(shuffled, schema=schema, orient="row"), measure, within_us=within)
    assert again.to_list() == found


OUTCOMES = [
    LabelOutcome("again", "did", "buy", DAY),
    LabelOutcome("spent", "sum", "buy", DAY, "amount"),
    LabelOutcome("big", "count", "buy", DAY, where="amount > 4"),
    LabelOutcome("wait", "time_to", "buy", DAY),
]


def test_labels_of_every_event(shop: Runtime) -> None:
    """What happens at the moment itself is no outcome; what was taken back is none; who is not through is dropped."""
    made = make(shop, Anchors("buy", where="id NOT LIKE 'd%'"), OUTCOMES)
    day = DAY.total_seconds()
    assert made.rows.drop("time").rows() == [
        ("ann", "1", True, 5.0, 1, day),
        ("ann", "2", True, 5.0, 1, day),
        ("ann", "3", False, 0.0, 0, None),
        ("bob", "4", False, 0.0, 0, None),
        ("cid", "6", False, 0.0, 0, None),
    ]
    assert made.counts == {"moments": 6, "censored": 1, "negatives left out": 0}
    assert made.cutoff == END
    kept = make(shop, Anchors("buy", where="id NOT LIKE 'd%'"), OUTCOMES, on_censored="keep").rows
    assert kept.filter("censored").drop("time").rows() == [("bob", "5", None, None, None, None, True)]


def test_labels_of_a_schedule_begin_after_the_users_first_event(shop: Runtime) -> None:
    made = make(shop, Anchors("buy", every=DAY), OUTCOMES[:1], cutoff=utc(2024, 5, 4))
    assert (
        [(user, time.day, again) for user, time, _, again in made.rows.iter_rows() if user != "dan"]
        == [
            ("ann", 2, True),  # at midnight, before the event of nine o'clock
            ("cid", 4, None),
        ][:1]
    )
    assert set(make(shop, Anchors("buy", every=DAY, since=utc(2024, 5, 3)), OUTCOMES[:1]).rows["time"].dt.day()) == {3}


def test_memory_and_order_have_no_part_in_labels(shop: Runtime) -> None:
    negatives = Negatives("again", cap=3, seed=7)
    once = make(shop, Anchors("buy"), OUTCOMES, negatives=negatives)
    in_passes = make(shop, Anchors("buy"), OUTCOMES, negatives=negatives, memory_bytes=1_000)
    assert once.rows.equals(in_passes.rows)
    assert once.counts == in_passes.counts


def test_negatives_are_capped_and_say_how_many_they_stand_for(tmp_path: Path, shop: Runtime) -> None:
    outcome = LabelOutcome("bought", "did", "buy", DAY, where="amount > 0")
    every = make(shop, Anchors("buy"), [outcome]).rows
    capped = make(shop, Anchors("buy"), [outcome], negatives=Negatives("bought", 3, seed=1))
    of_dan = capped.rows.filter(user="dan")
    assert (of_dan.height, of_dan["sample_weight"].sum()) == (3, 20.0)
    assert capped.counts["negatives left out"] == 17
    assert capped.rows.filter("bought").drop("sample_weight").equals(every.filter("bought"))
    other = make(shop, Anchors("buy"), [outcome], negatives=Negatives("bought", 3, seed=2)).rows
    assert not other.equals(capped.rows)
    none = make(shop, Anchors("buy"), [outcome], negatives=Negatives("bought", 0)).rows
    assert none["bought"].all()


def test_what_happens_after_a_window_changes_no_label_of_it(shop: Runtime, tmp_path: Path) -> None:
    """And what happens before a moment changes no outcome of it."""
    more = [("ann", "x", utc(2024, 5, 4, 9), 50, "upsert"), ("bob", "y", utc(2024, 5, 1, 1), 60, "upsert")]
    changed = release(tmp_path, [*SAID, *more])
    anchors = Anchors("buy", where="id NOT IN ('x', 'y')")
    assert make(changed, anchors, OUTCOMES).rows.equals(make(shop, anchors, OUTCOMES).rows)


REFUSED = {
    "buys": (Anchors("buys"), OUTCOMES, "there are no events or sessions 'buys'; there are buy"),
    "column": (
        Anchors("buy"),
        [LabelOutcome("a", "sum", "buy", DAY, "id")],
        "outcome 'a' sums 'id', which",
    ),
    "names": (Anchors("buy"), [LabelOutcome("user", "did", "buy", DAY)], "an outcome cannot be called 'user'"),
    "none": (Anchors("buy"), [], "labels have at least one outcome"),
    "span": (Anchors("buy"), [LabelOutcome("a", "did", "buy", 0 * DAY)], "outcome 'a' looks 0:00:00 ahead"),
    "unknown": (Anchors("buy", where="amont > 1"), OUTCOMES, "condition 'amont > 1' names 'amont'; 'buy' has user_id,"),
    "far": (
        Anchors("buy"),
        [LabelOutcome("a", "did", "buy", dt.timedelta.max)],
        "outcome 'a' looks .* ahead, longer",
    ),
    "often": (Anchors("buy", every=dt.timedelta(microseconds=1)), OUTCOMES, "every 0:00:00.000001 would make [0-9,]+ "),
    "rarely": (Anchors("buy", every=dt.timedelta.max), OUTCOMES, "every .* has no moments"),
    "where": (Anchors("buy", where="now() > 1"), OUTCOMES, "condition 'now"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_does_not_hold_together_is_refused(shop: Runtime, name: str) -> None:
    anchors, outcomes, said = REFUSED[name]
    with pytest.raises(OutcomesRefused, match=said.replace("(", r"\(")):
        make(shop, anchors, outcomes)


def test_days_that_are_not_built_are_not_taken_for_quiet_ones(shop: Runtime) -> None:
    with pytest.raises(OutcomesRefused, match="days are built until 2024-05-05 00:00 UTC"):
        make(shop, Anchors("buy"), OUTCOMES, cutoff=utc(2024, 5, 6))


def test_a_training_set_takes_them_and_no_outcome_is_in_a_sequence(shop: Runtime, tmp_path: Path) -> None:
    out, into = str(tmp_path / "labels.parquet"), tmp_path / "set"
    environment = {"SEQPLAT_HOME": shop.home.root}
    asked = ["labels", out, "--anchors", "buy", "--outcome", "spent=sum:buy.amount:1d", "--negatives", "spent:2"]
    said = CliRunner().invoke(root, asked, env=environment)
    assert said.exit_code == 0, said.output
    assert "are censored at 2024-05-05 00:00 UTC and dropped" in said.output
    said = CliRunner().invoke(
        root, ["training-set", "recent", out, str(into), "--mode", "as_corrected"], env=environment
    )
    assert said.exit_code == 0, said.output
    rows = pl.read_parquet(into / "**/*.parquet").sort("label_id")
    by_request = {row["request"]: row for row in rows.iter_rows(named=True)}
    assert by_request["1"]["amount"] == by_request["2"]["amount"] == []  # not what happens at the moment itself
    assert sorted(by_request["3"]["amount"]) == [3, 4]
    assert by_request["1"]["spent"] == 5.0

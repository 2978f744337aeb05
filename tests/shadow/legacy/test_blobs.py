"""Legacy blobs as sequences: three encodings that say the same, and users who cannot be compared by name."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy import blobs
from seqplat_resources.shadow.legacy.blobs import BlobSequences
from seqplat_resources.shadow.legacy.contract import NoLegacyData
from seqplat_resources.sources.files import SourceUnreadable
from sequence_defs.schema import Blobs, Column, Compared, EventType, LegacySequence, Sequence, Time
from tests.building import utc
from tests.sources.orders import DAY, NEXT, Orders, orders

ORDERS = orders(
    columns=(
        Column(name="member", dtype="int64", nullable=False),
        Column(name="at", dtype="timestamp"),
        Column(name="number", dtype="int64"),
        Column(name="price", dtype="float32"),
        Column(name="vec", dtype="vector[float16,2]"),
    )
)
TYPES = tuple(
    EventType(name=name, tenant="shop", source="orders", id_field="number", columns=ORDERS.columns[2:])
    for name in ("buy", "view")
)
FIELDS = (
    Column(name="id", dtype="string"),
    Column(name="kind", dtype="string", field="meta.kind"),
    Column(name="at", dtype="int64"),
    Column(name="usd", dtype="float64"),
    Column(name="cents", dtype="float64", sql="usd * 100"),
    Column(name="vector", dtype="vector[float32,2]"),
)
BLOBS = Blobs(location="old/{day}.parquet", user_id="user.id", events="events")


def legacy(**changes: Any) -> LegacySequence:
    found = LegacySequence(
        at=BLOBS,
        fields=FIELDS,
        event_id="id",
        event_time=Time(sql="at", epoch_unit="ms"),
        event_type="kind",
        event_types={"buy": "B"},
        columns={"price": Compared(field="usd"), "vec": Compared(field="vector", cosine=0.99)},
    )
    return found.model_copy(update=changes)


@pytest.fixture
def folder(tmp_path: Path) -> Orders:
    found = Orders(tmp_path)
    (found.files / "old").mkdir()
    return found


def opened(folder: Orders, of: LegacySequence, day: dt.date = DAY) -> BlobSequences:
    sequence = Sequence(name="s", tenant="shop", event_types=("buy", "view"), columns=("price", "vec"), legacy=of)
    runtime: Runtime = folder.runtime(ORDERS, *TYPES, sequence)
    return BlobSequences.open(runtime, "s", day)


def read(side: BlobSequences, keep: pl.Expr | None = None) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    chunks = list(side.chunks(keep))
    return pl.concat([c.rows for c in chunks]).to_dicts(), pl.concat([c.problems for c in chunks]).rows()


def event(number: object, at: object, kind: str = "B", usd: object = 0.1, vector: object = None) -> dict[str, Any]:
    return {"id": number, "at": at, "meta": {"kind": kind}, "usd": usd, "vector": vector or [0.5, 1.0], "more": 1}


AT = 1_714_557_600_000  # 10:00 UTC on DAY
FIRST, LAST = event("7", AT + 1), event("8", AT - 1, "view", None)
GOOD = [FIRST, event("x", AT, "impression"), LAST]
EXPECTED = {
    "user_id": 7,
    "event_ids": ["7", "8"],
    "event_times": [utc(2024, 5, 1, 10) + n * dt.timedelta(milliseconds=1) for n in (1, -1)],
    "event_types": ["buy", "view"],
    "price": [pl.Series([0.1], dtype=pl.Float32())[0], None],
    "vec": [b"\x00\x38\x00\x3c"] * 2,
}
NONE: dict[str, list[object]] = {key: [] for key in ("event_ids", "event_times", "event_types", "price", "vec")}


def users(*ids: object) -> pl.Series:
    return pl.Series("user", [{"id": one} for one in ids])


@pytest.mark.parametrize("encoding", ["json", "bytes", "msgpack", "list", "side by side", "ndjson"])
def test_every_encoding_says_the_same(folder: Orders, encoding: str) -> None:
    changes: dict[str, Any] = {}
    of = legacy()
    packed = {
        "json": json.dumps,
        "bytes": lambda e: json.dumps(e, indent=1).encode(),
        "msgpack": msgspec.msgpack.encode,
    }
    if encoding in packed:
        data = pl.DataFrame([users("7", "8"), pl.Series("events", [packed[encoding](GOOD), packed[encoding]([])])])
        changes = {"encoding": "msgpack"} if encoding == "msgpack" else {}
    elif encoding == "ndjson":
        changes = {"format": "ndjson", "location": "old/{day}.ndjson", "encoding": "list"}
        lines = [{"user": {"id": 7}, "events": GOOD}, {"user": {"id": "8"}, "events": []}]
        folder.write(f"old/{DAY}.ndjson", "\n".join(map(json.dumps, lines)))
        data = None
    else:
        events = pl.DataFrame({"events": [GOOD, []]}, schema={"events": pl.List(pl.Struct(pl.DataFrame(GOOD).schema))})
        changes = {"encoding": "list"}
        if encoding == "side by side":
            fields = events.with_row_index("n").explode("events").unnest("events").filter(pl.col("id").is_not_null())
            lists = fields.with_columns(pl.col("meta").struct.field("kind")).group_by("n").agg(pl.all())
            nothing = pl.DataFrame({"n": [1]}, schema={"n": lists.schema["n"]})
            lists = pl.concat([lists, nothing], how="diagonal").sort("n")
            events = lists.with_columns(pl.col(lists.columns[1:]).fill_null([])).drop("n")
            changes["events"] = ""
            of = legacy(fields=tuple(f.model_copy(update={"field": None}) for f in FIELDS))
        data = events.with_columns(users("7", "8"))
    if data is not None:
        folder.write(f"old/{DAY}.parquet", data)
    side = opened(folder, of.model_copy(update={"at": BLOBS.model_copy(update=changes)}))
    assert read(side) == read(side) == ([EXPECTED, {"user_id": 8, **NONE}], [])
    assert side.reader.left_out == {"impression": 2}  # it was read twice
    assert read(opened(folder, side.reader.legacy), pl.col("user_id") > 7)[0] == [{"user_id": 8, **NONE}]


def test_whoever_cannot_be_compared_is_named(folder: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "USERS_AT_ONCE", 2)
    cases: list[tuple[object, object, str | None]] = [
        ("1", json.dumps([FIRST]), None),
        ("2", '[{"id": "7"', "events: no array of json: Input data was truncated"),
        ("3", '{"id": "7"}', "events: no array of json: Expected `array`, got `object`"),
        ("4", None, "events: null"),
        ("ann", "[]", "user: ann is not int64"),
        (None, "[]", "user: null"),
        ("01", "[]", "the user stands in the files more than once"),
        ("6", json.dumps([FIRST, event(None, AT)]), "event 1: column id: null, but it is required"),
        ("7", json.dumps([event("7", "noon")]), "event 0: column at: noon is not int64"),
        ("8", json.dumps([FIRST, 7]), "event 1: not a JSON object: int"),
        ("9", json.dumps([event("7", None)]), "event 0: event_time: at gives no time"),
        ("10", json.dumps([event("7", AT, vector=[1.0])]), "event 0: column vector: [1] is not vector[float32,2]"),
        ("11", '[{"id":"1","id":"2"}]', "event 0: not one JSON object: 'id' stands in it 2 times"),
        ("12", json.dumps([event("7", AT, usd=float("nan"))]), None),
        ("13", "[]", None),
    ]
    events = pl.Series("events", [blob for _, blob, _ in cases], dtype=pl.String())
    folder.write(f"old/{DAY}.parquet", pl.DataFrame([users(*(user for user, _, _ in cases)), events]))
    found, problems = read(opened(folder, legacy()))
    assert [row["user_id"] for row in found] == [1, 12, 13]
    assert str(found[1]["price"]) == "[nan]"
    assert found[2] == {"user_id": 13, **NONE}
    user_of = {"01": "1"}
    expected = {
        (user_of.get(str(user), user), f"old/{DAY}.parquet row {n}"): why
        for n, (user, _, why) in enumerate(cases)
        if why
    }
    said = {(user, place): why for user, place, why in problems}
    assert said.keys() == expected.keys()
    for key, why in expected.items():
        assert said[key].startswith(why), (key, said[key])


def test_numbers_and_bytes_of_messagepack_stay_what_they_are(folder: Orders) -> None:
    packed = [event("7", AT, usd=float("inf")), {**event("8", AT), "vector": b"\0\0\x80?\0\0\0@", "usd": 2}]
    packed[0]["vector"] = None
    truncated = msgspec.msgpack.encode([FIRST])[:-3]
    data = [msgspec.msgpack.encode(packed), truncated, msgspec.msgpack.encode({"a": 1}), b"\xc1"]
    folder.write(f"old/{DAY}.parquet", pl.DataFrame([users(1, 2, 3, 4), pl.Series("events", data)]))
    side = opened(folder, legacy(at=BLOBS.model_copy(update={"encoding": "msgpack"})))
    found, problems = read(side)
    assert [(row["price"], row["vec"]) for row in found] == [([float("inf"), 2.0], [None, b"\x00\x3c\x00\x40"])]
    assert [(user, why.split(":")[1]) for user, _, why in problems] == [(n, " no array of msgpack") for n in "234"]


def test_a_day_without_blobs_and_files_that_hold_none_say_so(folder: Orders) -> None:
    with pytest.raises(NoLegacyData, match=rf"no legacy data of sequence 's' for {DAY}: no file matches 'old/{DAY}"):
        opened(folder, legacy())
    folder.write(f"old/{DAY}.parquet", pl.DataFrame([users(1), pl.Series("event", ["[]"])]))
    with pytest.raises(SourceUnreadable, match="has no field 'events'"):
        read(opened(folder, legacy()))
    folder.write(f"old/{NEXT}.parquet", pl.DataFrame([users(1), pl.Series("events", [7])]))
    with pytest.raises(SourceUnreadable, match="field 'events' is Int64, no list of events and no json"):
        read(opened(folder, legacy(), NEXT))
    folder.write(f"old/{NEXT}.parquet", b"no parquet")
    with pytest.raises(SourceUnreadable, match="is not readable parquet"):
        read(opened(folder, legacy(), NEXT))


TEXTS = st.text(max_size=3) | st.sampled_from(["7", "é", 'a"b', "\\", "\x00", "null", "[1]", "NaN"])
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | TEXTS | st.integers(-5, 5) | st.booleans(),
        "at": st.none() | st.integers(AT, AT + 9) | st.just(float(AT)) | st.just("noon") | st.lists(st.integers(0, 1)),
        "meta": st.none() | st.fixed_dictionaries({}, optional={"kind": st.sampled_from(["B", "view", "x", None])}),
        "usd": st.none() | st.floats(width=32) | st.integers(-(2**53), 2**53) | st.just("1e3") | st.just({}),
        "other": st.none() | TEXTS,
    },
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users_events=st.lists(st.none() | st.lists(EVENTS, max_size=4), min_size=1, max_size=4))
def test_json_and_messagepack_are_one_language_and_every_user_is_an_answer_or_a_problem(
    folder: Orders, users_events: list[list[dict[str, Any]] | None]
) -> None:
    said = []
    for encoding in ("json", "msgpack"):
        packed = [
            None
            if each is None
            else msgspec.msgpack.encode(each)
            if encoding == "msgpack"
            else json.dumps(each).encode()
            for each in users_events
        ]
        events = pl.Series("events", packed, dtype=pl.Binary())
        folder.write(f"old/{DAY}.parquet", pl.DataFrame([users(*range(len(packed))), events]))
        at = BLOBS.model_copy(update={"encoding": encoding})
        rows, problems = read(opened(folder, legacy(at=at)))
        named = {int(user) for user, _, why in problems if not why.startswith("column price: ")}
        assert sorted([row["user_id"] for row in rows] + sorted(named)) == list(range(len(packed)))
        said.append((str(rows), problems))
    assert said[0] == said[1]

"""Where a source says that its columns are: fields of any name, inside others, in text; and which rows are its own."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.sources.decode import DecodedRows, decode_files
from seqplat_resources.sources.files import find
from seqplat_resources.sources.formats.fields import from_json, located
from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.stream.messages import decode_messages
from sequence_defs import Column, Csv, Join, Source, Time
from sequence_defs.schema.paths import Match, parse_path, quoted
from tests.budget import examples

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
ROW = {"member": "u", "id": "1", "at": "2026-11-22T10:00:00Z"}


def source(*columns: Column, **more: Any) -> Source:
    settings = {"event_time": Time(sql="at"), "user_id": "member"} | more
    return Source(name="s", tenant="shop", location="s.*", topic="s", columns=columns, **settings)


def read(definition: Source, data: bytes | dict[str, bytes], folder: Path) -> DecodedRows:
    files = data if isinstance(data, dict) else {f"s.{definition.format}": data}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found = find(f"s.{definition.format}", str(folder), source="s")
    (decoded,) = decode_files(definition, found, str(folder))
    return decoded


def sent(definition: Source, *values: bytes | None) -> DecodedRows:
    stamps = [int(NOON.timestamp() * 1000)] * len(values)
    batch = LogBatch(Partition("s", 0), list(range(len(values))), stamps, list(values), len(values))
    return decode_messages(definition, [batch])


def fields(prefix: str = "", **paths: str) -> tuple[Column, ...]:
    """The columns of ``ROW`` below ``prefix``."""
    return (
        Column(name="member", dtype="string", nullable=False, field=f"{prefix}member"),
        Column(name="id", dtype="string", nullable=False, field=f"{prefix}id"),
        Column(name="at", dtype="timestamp", nullable=False, field=f"{prefix}at"),
        *(Column(name=name, dtype="string", field=path) for name, path in paths.items()),
    )


ENVELOPES = {
    "debezium with schema": ("payload.after.", {"schema": None, "payload": {"op": "c", "before": None, "after": ROW}}),
    "debezium": ("after.", {"op": "c", "before": None, "after": ROW}),
    "cloudevents": ("data.", {"specversion": "1.0", "type": "click", "source": "/s", "id": "other", "data": ROW}),
    "json in text": ("body.", {"body": json.dumps(ROW)}),
    "json in text in json in text": ("a.b.", {"a": json.dumps({"b": json.dumps(ROW)})}),
    "array": ("rows[-1].", {"rows": [{}, ROW]}),
    "names with points": ('"a.b"."c d".', {"a.b": {"c d": ROW}, "a": {"b": 1}}),
}


@pytest.mark.parametrize(("prefix", "envelope"), ENVELOPES.values(), ids=list(ENVELOPES))
@pytest.mark.parametrize("way", ["message", "ndjson"])
def test_an_envelope_is_opened(prefix: str, envelope: dict[str, Any], way: str, tmp_path: Path) -> None:
    value = json.dumps(envelope).encode()
    definition = source(*fields(prefix), format="ndjson")
    found = sent(definition, value) if way == "message" else read(definition, value, tmp_path)
    assert found.rejects.height == 0
    (row,) = found.rows.select("member", "id", "at").to_dicts()
    assert row == ROW | {"at": dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)}
    assert json.loads(found.rows["_extra"][0]) == envelope, "what no column takes whole is kept"
    used = str(parse_path(f"{prefix}x")[0])
    assert set().union(*found.unknown_fields.values()) == set(envelope) - {used}


@pytest.mark.parametrize(
    "name",
    ["$insert_id", "_id", "@timestamp", "__op", "event.name", "event-name", "Event Name", "größe", "_offset", 'a"b'],
)
@pytest.mark.parametrize("way", ["message", "message with more", "ndjson", "csv", "parquet"])
def test_a_field_of_any_name_is_read(name: str, way: str, tmp_path: Path) -> None:
    path = name if "." not in name and '"' not in name else '"' + name.replace('"', '""') + '"'
    columns = (*fields(), Column(name="value", dtype="string", field=path))
    record = ROW | {name: "v"}
    if way.startswith("message"):
        found = sent(source(*columns), json.dumps(record | ({"also": 1} if "more" in way else {})).encode())
    elif way == "ndjson":
        found = read(source(*columns, format="ndjson"), json.dumps(record).encode(), tmp_path)
    elif way == "csv":
        lines = pl.DataFrame([record]).write_csv().encode()
        found = read(source(*columns, format="csv"), lines, tmp_path)
    else:
        pl.DataFrame([record]).write_parquet(tmp_path / "s.parquet")
        found = read(source(*columns), {}, tmp_path)
    assert (found.rejects.height, found.rows["value"].to_list(), found.rows["id"].to_list()) == (0, ["v"], ["1"])
    assert found.rows["_extra"].to_list() == (['{"also":1}'] if "more" in way else [None])


def test_numbers_survive_as_they_were_written() -> None:
    whole, exact = "9007199254740993", "0.1000000000000000055511151231257827"
    value = f'{{"p":{{"m":"u","at":1764000000000,"big":{whole},"f":1.0,"x":{exact},"o":{{"a":1.50}}}}}}'.encode()
    columns = (
        Column(name="member", dtype="string", field="p.m"),
        Column(name="at", dtype="int64", field="p.at"),
        Column(name="big", dtype="int64", field="p.big"),
        Column(name="f", dtype="string", field="p.f"),
        Column(name="x", dtype="float64", field="p.x"),
        Column(name="o", dtype="string", field="p.o"),
    )
    found = sent(source(*columns, event_time=Time(sql="at", epoch_unit="ms")), value)
    assert found.rejects.height == 0
    assert found.rows.select("big", "f", "x", "o").row(0) == (int(whole), "1.0", 0.1, '{"a":1.50}')


PARAMS = [
    {"key": "page_location", "value": {"string_value": "/a", "int_value": None}},
    {"key": "n", "value": {"string_value": None, "int_value": 9007199254740993}},
    {"key": "page_location", "value": {"string_value": "/second", "int_value": None}},
]


@pytest.mark.parametrize("way", ["message", "parquet"])
def test_keys_and_values_in_an_array_are_found(way: str, tmp_path: Path) -> None:
    page = "event_params[key=page_location].value.string_value"
    columns = (
        *fields(page=page, gone="event_params[key=gone].value.string_value", first="event_params[0].key"),
        Column(name="n", dtype="int64", field="event_params[key=n].value.int_value"),
        Column(name="late", dtype="string", field="event_params[7].key"),
        Column(name="odd", dtype="string", field="event_params.key"),
    )
    records = [ROW | {"event_params": params} for params in (PARAMS, [], None, PARAMS[1:])]
    if way == "message":
        found = sent(source(*columns), *(json.dumps(record).encode() for record in records))
    else:
        pl.DataFrame(records).write_parquet(tmp_path / "s.parquet")
        found = read(source(*columns), {}, tmp_path)
    assert found.rejects.height == 0
    assert found.rows.select("page", "n", "first", "gone", "late", "odd").rows() == [
        ("/a", 9007199254740993, "page_location", None, None, None),
        (None, None, None, None, None, None),
        (None, None, None, None, None, None),
        ("/second", 9007199254740993, "n", None, None, None),
    ]
    assert json.loads(found.rows["_extra"][0])["event_params"] == PARAMS


def test_structs_of_parquet_are_opened_and_nulls_stay_null(tmp_path: Path) -> None:
    struct = pl.Struct(
        {"member": pl.String(), "id": pl.String(), "at": pl.String(), "deep": pl.Struct({"x": pl.Int64()})}
    )
    rows = [{**ROW, "deep": {"x": 7}}, None, {**ROW, "deep": None}]
    frame = pl.DataFrame({"data": pl.Series(rows, dtype=struct), "id": ["a", "b", "c"]})
    frame.write_parquet(tmp_path / "s.parquet")
    columns = (*fields("data.", gone="data.nothing.there"), Column(name="x", dtype="int64", field="data.deep.x"))
    found = read(source(*columns), {}, tmp_path)
    assert found.rows.select("member", "x", "gone").rows() == [("u", 7, None), ("u", None, None)]
    assert found.rejects["reason"].to_list() == ["column member: null, but it is required"]
    assert json.loads(found.rejects["payload"][0]) == {"data": None, "id": "b"}, "as it was sent"
    assert json.loads(found.rows["_extra"][0]) == {"data": rows[0], "id_": "a"}


TWICE = {
    "in an object": ("data.user", '{"user": "x", "user": "u"}'),
    "in one further out": ("data.a.user", '{"a": {}, "a": {"user": "u"}}'),
    "in an item": ("data[0].user", '[{"user": null, "user": "u"}]'),
    "in what is searched": ("data[k=a].user", '[{"k": "a", "k": "b", "user": "u"}]'),
    "in text": ("data.a.user", '{"a": "{\\"user\\":\\"x\\", \\"user\\":\\"u\\"}"}'),
    "with an escape": ("data.user", '{"user": "x", "\\u0075ser": "u\\u003a"}'),
}


@pytest.mark.parametrize(("path", "data"), TWICE.values(), ids=list(TWICE))
@pytest.mark.parametrize("way", ["message", "ndjson", "csv", "parquet"])
def test_a_name_that_stands_twice_on_a_path_costs_its_row(path: str, data: str, way: str, tmp_path: Path) -> None:
    columns = (Column(name="user", dtype="string", field=path), *fields()[1:])
    good = '[{"k": "a", "user": "g"}]' if "[" in path else '{"user": "g", "a": {"user": "g", "b:": [":"]}}'
    frame = pl.DataFrame({"id": "1", "at": "2026-11-22T10:00:00Z", "data": [good, data, good]})
    more = '"id": "1", "at": "2026-11-22T10:00:00Z", "user": "top", "other": {"x": 1}'
    lines = [f'{{{more}, "data": {text}}}'.encode() for text in (good, data, good)]
    if way == "csv":
        lines = frame.write_csv().encode().splitlines(keepends=True)[1:]
    definition = source(*columns, user_id="user", format="ndjson" if way == "message" else way)
    if way == "message":
        found = sent(definition, *lines)
    elif way == "parquet":
        frame.write_parquet(tmp_path / "s.parquet")
        found = read(definition, {}, tmp_path)
    else:
        found = read(definition, frame.write_csv().encode() if way == "csv" else b"\n".join(lines), tmp_path)
    assert found.rows["user"].to_list() == ["g", "g"]
    (reject,) = found.rejects.to_dicts()
    assert reject["offset"] == 1
    assert "stands in it 2 times" in reject["reason"]
    sent_as = frame[1].write_ndjson().strip().encode() if way == "parquet" else lines[1]
    assert reject["payload"] == sent_as


def test_texts_of_parquet_are_opened_however_they_are_kept(tmp_path: Path) -> None:
    """As categories, as bytes; and keys of maps, which are texts in JSON, whatever they are."""
    text, pair = '{"a": 7}', pl.Struct({"key": pl.Int64(), "value": pl.Binary()})
    plain = {
        **{name: [value] * 2 for name, value in ROW.items()},
        "text": [text, text],
        "data": [text.encode(), b"\xff"],
    }
    pairs = pl.Series("map", [[{"key": 1, "value": b"v"}], None], dtype=pl.List(pair))
    items = pl.Series("items", [[{"k": b"\xff", "v": 1}, {"k": b"x", "v": 2}], None])
    frame = pl.DataFrame(plain).with_columns(
        pl.col("text").cast(pl.Categorical()), pairs.cast(pl.Map(pl.Int64(), pl.Binary())), items
    )
    frame.write_parquet(tmp_path / "s.parquet")
    columns = fields(text="text.a", data="data.a", map="map.1", items="items[k=x].v")
    found = read(source(*columns, Column(name="whole", dtype="string", field="map")), {}, tmp_path)
    assert found.rows.select("text", "data", "map", "items", "whole").rows() == [
        ("7", "7", "v", "2", '{"1":"76"}'),
        ("7", None, None, None, None),
    ]


def test_maps_of_parquet_are_objects(tmp_path: Path) -> None:
    at = pl.Series(
        [[("k", dt.datetime(2026, 1, 1))], [("j", None)], None],
        dtype=pl.List(pl.Struct({"key": pl.String(), "value": pl.Datetime("ms")})),
    )
    frame = pl.DataFrame(
        {
            **{name: [value] * 3 for name, value in ROW.items()},
            "m": at.cast(pl.Map(pl.String(), pl.Datetime("ms"))),
        }
    )
    frame.write_parquet(tmp_path / "s.parquet")
    paths = {"value": "m.k", "entry": "m[key=k].value", "first": "m[0].key", "none": "m.k.x"}
    whole = Column(name="whole", dtype="string", field="m")
    found = read(source(*fields(**paths), whole), {}, tmp_path)
    assert found.rows.select(*paths).rows() == [
        ("2026-01-01 00:00:00.000", "2026-01-01 00:00:00.000", "k", None),
        (None, None, "j", None),
        (None, None, None, None),
    ]
    assert found.rows["whole"].to_list() == ['{"k":"2026-01-01 00:00:00"}', '{"j":null}', None]


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ('{"a": {"b": 1}}', "a.b", "1"),
        ('{"a": "{\\"b\\": [1, 2]}"}', "a.b[1]", "2"),
        ('[{"k": 7, "v": "x"}, {"k": "7", "v": "y"}]', "[k=7].v", "x"),
        ('[{"k": true, "v": null}]', "[k=true].v", None),
        ('{"a": {"b": 1}', "a.b", None),
        ("no JSON", "a", None),
        ("", "a", None),
        ("7", "a", None),
        ('{"a": 7}', "a.b.c", None),
        ('{"a": [1]}', "a.b", None),
        ('{"a": {"0": 1}}', "a[0]", None),
        ('{"a": {"0": 1}}', "a.0", "1"),
        ('{"a": ""}', "a.b", None),
        ('{"a": {"b": 1, "c": {"d": 1, "d": 2}}}', "a.b", "1"),
        ('{"a": "\\ud800"}', "a", None),
        ("[" * 100_000, "a[0]", None),
    ],
)
def test_a_path_that_leads_nowhere_is_null(text: str, path: str, wanted: str | None) -> None:
    steps = parse_path(f"top{path}" if path.startswith("[") else f"top.{path}")[1:]
    assert from_json(text, steps) == wanted


def test_one_field_can_be_read_twice_and_a_bad_value_costs_its_row() -> None:
    columns = (*fields(), Column(name="again", dtype="int64", field="id"))
    found = sent(source(*columns), json.dumps(ROW).encode(), json.dumps(ROW | {"id": "x"}).encode(), b"[]", None)
    assert found.rows.select("id", "again").rows() == [("1", 1)]
    assert found.rejects.height == 3
    assert json.dumps(ROW | {"id": "x"}).encode() in found.rejects["payload"].to_list()


# Rows and columns that are computed.


def test_a_user_id_can_fall_back_and_a_filter_counts_what_it_leaves_out() -> None:
    columns = (
        Column(name="member", dtype="string", field="user.id"),
        Column(name="device", dtype="string"),
        Column(name="at", dtype="timestamp"),
        Column(name="n", dtype="int64"),
        Column(name="who", dtype="string", sql="COALESCE(member, 'device:' || device)"),
        Column(name="half", dtype="float64", sql="n / 2.0"),
    )
    definition = source(*columns, user_id="who", filter="n > 1 AND half < 100")
    at = ROW["at"]
    found = sent(
        definition,
        json.dumps({"user": {"id": "u"}, "device": "d", "at": at, "n": 3}).encode(),
        json.dumps({"device": "d", "at": at, "n": 5, "who": "sent"}).encode(),
        json.dumps({"device": "d", "at": at, "n": 1}).encode(),
        json.dumps({"device": None, "at": at, "n": 7}).encode(),
        json.dumps({"device": "d", "at": at, "n": "many"}).encode(),
        json.dumps({"at": at, "n": 0}).encode(),
        json.dumps({"at": at}).encode(),
    )
    assert found.rows.select("who", "half").rows() == [("u", 1.5), ("device:d", 2.5)]
    assert json.loads(found.rows["_extra"][1]) == {"who": "sent"}
    assert sum(found.filtered.values()) == 3
    assert sorted(found.rejects["reason"]) == [
        "column n: many is not int64",
        "column who: null, but it is required",
    ]
    assert b'"many"' in b"".join(found.rejects["payload"])


def test_a_computed_column_that_fails_costs_its_row() -> None:
    columns = (*fields(), Column(name="n", dtype="int64", sql="CAST(id AS BIGINT)"))
    found = sent(source(*columns, filter="n > 0"), *(json.dumps(ROW | {"id": i}).encode() for i in ("7", "x", "0")))
    assert (found.rows["n"].to_list(), sum(found.filtered.values()), found.rejects.height) == ([7], 1, 1)
    assert "conversion from `str` to `i64` failed" in found.rejects["reason"][0]


def test_a_time_is_told_in_the_zone_of_its_row() -> None:
    columns = (*fields(), Column(name="tz", dtype="string"), Column(name="local", dtype="string"))
    event_time = Time(sql="STRPTIME(local, '%Y-%m-%d %H:%M')", timezone_column="tz")
    zones = ["Europe/Berlin", "America/New_York", "UTC", "Mars/Base", None, "+01:00", "", "Europe/Berlin"]
    found = sent(
        source(*columns, event_time=event_time),
        *(
            json.dumps(ROW | {"tz": zone, "local": "2026-11-22 05:00", "id": str(n)}).encode()
            for n, zone in enumerate(zones)
        ),
    )
    hours = dict(found.rows.select("id", pl.col("_event_time").dt.hour()).rows())
    assert hours == {"0": 4, "1": 10, "2": 5, "7": 4}
    reasons = [reason.rpartition(" gives no time in time zone ")[2] for reason in found.rejects["reason"]]
    assert reasons == ["Mars/Base", "null", "+01:00", ""]


def test_a_join_takes_keys_of_other_names(tmp_path: Path) -> None:
    columns = (*fields(), Column(name="store", dtype="int32"), Column(name="city", dtype="string"))
    join = Join(location="stores.csv", on={"store": "Store No."}, columns=("city",))
    data = {
        "s.csv": f"member,id,at,store\nu,1,{ROW['at']},7\nu,2,{ROW['at']},8\n".encode(),
        "stores.csv": b"store,Store No.,city\nx,7,Bonn\ny,9,Ulm\n",
    }
    found = read(source(*columns, joins=(join,), format="csv"), data, tmp_path)
    assert found.rows.select("id", "city").rows() == [("1", "Bonn"), ("2", None)]


@pytest.mark.parametrize(
    ("written", "codec"),
    [
        (Csv(delimiter=";", quote="'", encoding="latin-1"), "latin-1"),
        (Csv(delimiter="\t", encoding="cp1252"), "cp1252"),
        (Csv(delimiter="|", encoding="utf-16"), "utf-16"),
        (Csv(), "utf-8"),
    ],
)
def test_csv_is_read_as_it_is_written(written: Csv, codec: str, tmp_path: Path) -> None:
    d, q = written.delimiter, written.quote
    text = f"Größe{d}member{d}id{d}at\n{q}a{d}ü\n{q}{q}b{q}{d}u{d}1{d}{ROW['at']}\nx{d}u{d}2{d}{ROW['at']}\n"
    definition = source(*fields(size="Größe"), format="csv", csv=written)
    found = read(definition, text.encode(codec), tmp_path)
    assert found.rejects.height == 0
    assert found.rows["size"].to_list() == [f"a{d}ü\n{q}b", "x"]


def test_bytes_that_are_no_characters_cost_their_row(tmp_path: Path) -> None:
    head = "member,id,at,x\n".encode("utf-16")
    rows = f"u,1,{ROW['at']},ok\nu,2,{ROW['at']},".encode("utf-16-le") + b"\x00\xd8" + "\n".encode("utf-16-le")
    found = read(source(*fields(x="x"), format="csv", csv=Csv(encoding="utf-16")), head + rows, tmp_path)
    assert (found.rows["id"].to_list(), found.rejects["reason"].to_list()) == (["1"], ["not UTF-8"])
    assert found.rejects["payload"][0] == rows[len(f"u,1,{ROW['at']},ok\n") * 2 :]
    data = f"member,id,at,x\nu,1,{ROW['at']},a\u20ac\nu,2,{ROW['at']},".encode("cp1252") + b"\x81\n"
    found = read(source(*fields(x="x"), format="csv", csv=Csv(encoding="cp1252")), data, tmp_path)
    assert (found.rows["x"].to_list(), found.rejects["reason"].to_list()) == (["a\u20ac"], ["not UTF-8"])
    assert found.rejects["payload"][0] == data[data.index(b"u,2") :]


@pytest.mark.parametrize("codec", ["latin-1", "cp1252", "utf-16", "utf-16-be", "utf-8"])
def test_rejects_of_csv_keep_the_bytes_as_sent(codec: str, tmp_path: Path) -> None:
    """Of rows that are none of CSV, and of rows whose values do not fit."""
    bad = ["ü,9,gestern,é\n", f"ß,8,{ROW['at']},a,b,c\n"]
    mark = "\ufeff" if codec == "utf-16-be" else ""
    text = f"{mark}member,id,at,x\nu,1,{ROW['at']},ö\n" + "".join(bad)
    written = Csv(encoding="utf-16" if codec.startswith("utf-16") else codec)  # type: ignore[arg-type]
    found = read(source(*fields(x="x"), format="csv", csv=written), text.encode(codec), tmp_path)
    assert found.rows["x"].to_list() == ["ö"]
    within = "utf-16-le" if codec == "utf-16" else codec
    assert found.rejects.sort("offset")["payload"].to_list() == [line.encode(within) for line in bad]


names = st.sampled_from(["a", "b", "key", "a.b", "é"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=3),
    st.sampled_from(["a", "7", "[1]", "{}"]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3), inner.map(json.dumps)
    ),
    max_leaves=12,
)
steps = st.lists(
    st.one_of(names, st.integers(-2, 2), st.builds(Match, names, st.sampled_from(["a", "7", "true"]))), max_size=4
)


def inside(value: Any, path: list[Any]) -> Any:
    """What a path leads to, in plain Python; None for nothing."""
    for step in path:
        if isinstance(value, str):
            try:
                opened = json.loads(value)
            except ValueError:
                return None
            value = opened if isinstance(opened, dict | list) else None
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else None
        else:
            value = next((item for item in value if told(inside(item, [step.name])) == step.value), None)
    return value


def told(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@settings(max_examples=examples(50))
@given(st.dictionaries(names, documents, max_size=4), st.lists(st.tuples(names, steps), min_size=1, max_size=4))
def test_paths_lead_where_plain_python_says(document: dict[str, Any], paths: list[tuple[str, list[Any]]]) -> None:
    record = ROW | document
    written = ["".join([quoted(first), *(_written(step) for step in path)]) for first, path in paths]
    columns = (*fields(), *(Column(name=f"c{n}", dtype="string", field=path) for n, path in enumerate(written)))
    found = sent(source(*columns), json.dumps(record, separators=(",", ":")).encode())
    assert found.rejects.height == 0
    for number, (first, path) in enumerate(paths):
        wanted = told(inside(record.get(first), path))
        got = found.rows[f"c{number}"][0]
        assert got == wanted or json.loads(got) == json.loads(wanted or "null")


def _written(step: Any) -> str:
    if isinstance(step, Match):
        return f"[{quoted(step.name)}={quoted(step.value)}]"
    return f"[{step}]" if isinstance(step, int) else f".{quoted(step)}"


structs = st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9), "t": st.none() | st.text("ab")})
items = st.fixed_dictionaries({"key": st.sampled_from("ab"), "v": st.none() | st.integers(0, 9)})
records_of_types = st.fixed_dictionaries({"o": st.none() | structs, "l": st.none() | st.lists(items)})


@settings(max_examples=examples(30))
@given(st.lists(records_of_types, min_size=1, max_size=5))
def test_parquet_and_messages_say_the_same(records: list[dict[str, Any]]) -> None:
    paths = ["o.x", "o.t", "l[0].v", "l[-1].key", "l[key=a].v", "l[v=7].key", "l.key", "o[0]", "o.none"]
    columns = (*fields(), *(Column(name=f"c{n}", dtype="string", field=path) for n, path in enumerate(paths)))
    struct = pl.Struct({"x": pl.Int64(), "t": pl.String()})
    item = pl.Struct({"key": pl.String(), "v": pl.Int64()})
    rows = [ROW | record for record in records]
    frame = pl.DataFrame(rows, schema_overrides={"o": struct, "l": pl.List(item)})
    wanted = sent(source(*columns), *(json.dumps(row).encode() for row in rows)).rows
    found, faults = located(frame, columns)
    assert not faults
    names_ = [f"c{n}" for n in range(len(paths))]
    assert found.select(pl.col(names_).cast(pl.String)).rows() == wanted.select(names_).rows()

"""Answers as JSON, byte for byte, and that they are what the JSON Schema promises."""

import datetime as dt
import json
from typing import Any

import jsonschema_rs
import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.answers.encoding import answer_head, batch_pieces, compressed_pieces, with_meta

Client = TestClient[Litestar]
NAN, INF = float("nan"), float("inf")
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC)

COLUMNS: dict[str, tuple[pl.Series, str]] = {
    "bool": (pl.Series([True, False]), "[true,false]"),
    "nullable bool": (pl.Series([True, None]), "[true,null]"),
    "int8": (pl.Series([-128, 127], dtype=pl.Int8), "[-128,127]"),
    "int64": (pl.Series([-(2**63), 2**63 - 1]), "[-9223372036854775808,9223372036854775807]"),
    "nullable int": (pl.Series([None, 2**53 + 1]), "[null,9007199254740993]"),
    "float32 as short as it can be": (pl.Series([0.1, 1e10], dtype=pl.Float32), "[0.1,10000000000.0]"),
    "float64": (pl.Series([0.1, 1.0]), "[0.1,1.0]"),
    "what is not finite is null": (pl.Series([NAN, INF, -INF, None, 1.5]), "[null,null,null,null,1.5]"),
    "null float32": (pl.Series([None, NAN, 1.5], dtype=pl.Float32), "[null,null,1.5]"),
    "string": (pl.Series(['"\\\n', "é🛒\0"]), r'["\"\\\n","é🛒\u0000"]'),
    "nullable string": (pl.Series(["a", None]), '["a",null]'),
    "binary": (pl.Series([b"\x00\xff", None]), '["AP8=",null]'),
    "date": (pl.Series([dt.date(2024, 5, 1), None]), '["2024-05-01",null]'),
    "timestamp": (
        pl.Series([NOON, NOON.replace(microsecond=250), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC)]),
        '["2024-05-01T12:00:00Z","2024-05-01T12:00:00.000250Z","1969-12-31T23:59:59.999999Z"]',
    ),
    "the first and the last instants": (
        pl.Series([FIRST, dt.datetime(9999, 12, 30, 22, tzinfo=dt.UTC), LAST]),
        '["0001-01-01T00:00:00Z","9999-12-30T22:00:00Z","9999-12-31T23:59:59.999999Z"]',
    ),
    "their lists": (pl.Series([[FIRST, LAST], None]), '[["0001-01-01T00:00:00Z","9999-12-31T23:59:59.999999Z"],null]'),
    "nullable timestamp": (
        pl.Series([NOON, None, NOON.replace(microsecond=250)]),
        '["2024-05-01T12:00:00Z",null,"2024-05-01T12:00:00.000250Z"]',
    ),
    "vector": (pl.Series([[1, -2], [3, 4]], dtype=pl.Array(pl.Int8, 2)), "[[1,-2],[3,4]]"),
    "nullable vector": (pl.Series([None, [0.1, NAN], None], dtype=pl.Array(pl.Float32, 2)), "[null,[0.1,null],null]"),
    "only null vectors": (pl.Series([None, None], dtype=pl.Array(pl.Float32, 2)), "[null,null]"),
    "list": (pl.Series([[1, None], [], None], dtype=pl.List(pl.Int32)), "[[1,null],[],null]"),
    "list of floats": (pl.Series([[NAN, 0.5]], dtype=pl.List(pl.Float64)), "[[null,0.5]]"),
    "list of times": (pl.Series([[NOON, None]]), '[["2024-05-01T12:00:00Z",null]]'),
    "list of binary": (pl.Series([[b"\xff", None], None], dtype=pl.List(pl.Binary)), '[["/w==",null],null]'),
    "no rows": (pl.Series([], dtype=pl.Array(pl.Float32, 8)), "[]"),
    "several chunks": (pl.concat([pl.Series([1, 2]), pl.Series([3])], rechunk=False), "[1,2,3]"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_written_so(name: str) -> None:
    column, expected = COLUMNS[name]
    body = with_meta(answer_head("s", "u", column.rename("c").to_frame()), {}).decode()
    head = f'{{"sequence":"s","user_id":"u","length":{len(column)},"columns":{{"c":'
    assert body == head + expected + '},"meta":{}}'


def test_a_batch_cuts_every_kind_of_column_by_users() -> None:
    events = pl.DataFrame(
        {
            "t": [NOON, NOON, NOON],
            "s": ["a", None, "c"],
            "i": [1, 2, 3],
            "v": pl.Series([[1, 2], None, [5, 6]], dtype=pl.Array(pl.Int8, 2)),
        }
    )
    pieces = batch_pieces("s", ["x", "nobody", "x"], [2, 0, 1], [NOON, None, NOON], [False, False, True], events, {})
    body = b"".join(pieces)
    noon = '"2024-05-01T12:00:00Z"'
    assert body.decode() == (
        '{"sequence":"s","users":['
        f'{{"user_id":"x","length":2,"newest_event_time":{noon},"partial":false,'
        f'"columns":{{"t":[{noon},{noon}],"s":["a",null],"i":[1,2],"v":[[1,2],null]}}}},'
        '{"user_id":"nobody","length":0,"newest_event_time":null,"partial":false,"columns":{"t":[],"s":[],"i":[],"v":[]}},'
        f'{{"user_id":"x","length":1,"newest_event_time":{noon},"partial":true,'
        f'"columns":{{"t":[{noon}],"s":["c"],"i":[3],"v":[[5,6]]}}}}'
        '],"meta":{}}'
    )


@pytest.mark.parametrize("sequence", ["household_history", "purchase_vectors"])
@pytest.mark.parametrize("query", ["", "?limit=2", "?limit=1&columns=event_time"])
def test_answers_are_what_the_json_schema_promises(client: Client, sequence: str, query: str) -> None:
    schema = client.get(f"/v1/sequences/{sequence}/schema").json()["json_schema"]
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for user in ("1146", "nobody"):
        answer = client.get(f"/v1/sequences/{sequence}/users/{user}{query}").json()
        validator.validate(answer)
    answer["columns"]["more"] = []
    assert not validator.is_valid(answer)


def test_an_answer_by_similarity_is_promised_as_well(client: Client) -> None:
    path = "/v1/sequences/purchase_vectors"
    schema = client.get(f"{path}/schema").json()["json_schema"]
    query = "top_k=3&similar_to=product_vector&vector=1,0,0,0,0,0,0,0"
    answer = client.get(f"{path}/users/1146?{query}").json()
    assert answer["length"] == 1
    assert list(answer["columns"])[-1] == "similarity"
    assert answer["columns"]["similarity"] == sorted(answer["columns"]["similarity"], reverse=True)
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer)


def test_times_stay_what_they_are_in_json(client: Client) -> None:
    answer: dict[str, Any] = client.get("/v1/sequences/household_history/users/1146").json()
    assert json.loads(json.dumps(answer)) == answer


def test_compressing_makes_smaller_and_loses_nothing() -> None:
    import gzip

    import zstandard

    body = b"event" * 10_000
    for coding, undone in (("gzip", gzip.decompress), ("zstd", zstandard.ZstdDecompressor().decompress)):
        packed = b"".join(compressed_pieces([body], coding))  # type: ignore[arg-type]
        assert len(packed) < len(body) / 10
        assert undone(packed) == body

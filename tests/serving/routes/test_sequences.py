"""Users' sequences over HTTP."""

import base64
import datetime as dt
import io
import re
from pathlib import Path

import msgspec
import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from sequence_defs.compiler.discover import discover
from serving.answers import answer as answering
from tests.building import runtime_for
from tests.serving.conftest import DAYS, FIRST, Start

Client = TestClient[Litestar]
# Bought, redeemed coupons and was sent a campaign within the published days.
HOUSEHOLD = "1146"
PATH = f"/v1/sequences/household_history/users/{HOUSEHOLD}"


def test_columns_have_equal_lengths_and_the_declared_order(client: Client) -> None:
    answer = client.get(PATH).json()
    assert list(answer) == ["sequence", "user_id", "length", "columns", "meta"]
    assert answer["sequence"] == "household_history"
    assert answer["user_id"] == HOUSEHOLD
    assert list(answer["columns"])[:5] == ["event_time", "event_type", "event_id", "product_id", "department"]
    assert {len(values) for values in answer["columns"].values()} == {answer["length"]}
    assert set(answer["columns"]["event_type"]) == {"purchase", "coupon_redemption", "campaign_received"}


def test_events_are_newest_first(client: Client) -> None:
    times = client.get(PATH).json()["columns"]["event_time"]
    assert len(set(times)) > 1
    assert times == sorted(times, reverse=True)


def test_asked_columns_come_in_the_asked_order_and_once(client: Client) -> None:
    answer = client.get(f"{PATH}?columns=sales_value, product_id,sales_value").json()
    assert list(answer["columns"]) == ["sales_value", "product_id"]


def test_limit_keeps_the_newest(client: Client) -> None:
    everything = client.get(PATH).json()["columns"]
    answer = client.get(f"{PATH}?limit=3").json()
    assert answer["length"] == 3
    assert answer["columns"] == {name: values[:3] for name, values in everything.items()}


def test_a_limit_beyond_the_sequence_is_the_sequence(client: Client) -> None:
    assert client.get(f"{PATH}?limit=100000").json() == client.get(PATH).json()


def test_an_unknown_user_has_no_events(client: Client) -> None:
    response = client.get("/v1/sequences/household_history/users/nobody?columns=event_time,sales_value")
    assert response.status_code == 200
    answer = response.json()
    assert answer["length"] == 0
    assert answer["columns"] == {"event_time": [], "sales_value": []}
    assert answer["meta"]["newest_event_time"] is None
    assert answer["meta"]["epoch"]["purchase"] == 1


def test_meta_says_how_fresh_and_complete_the_answer_is(client: Client, published: Path) -> None:
    answer = client.get(PATH).json()
    meta = answer["meta"]
    [release] = [file.stem for file in (published / "releases").iterdir()]
    missing = [f"{name}: 39 of 42 days not built, newest built 2017-11-15" for name in meta["epoch"]]
    assert meta == {
        "epoch": {"purchase": 1, "coupon_redemption": 1, "campaign_received": 1},
        "release": release,
        "sealed_through": f"{FIRST + dt.timedelta(days=DAYS)}T00:00:00Z",
        "newest_event_time": answer["columns"]["event_time"][0],
        "completeness": DAYS / 42,
        "degraded": [*missing, "purchase: nothing streamed yet"],
        "stream_lag_ms": None,
    }


def test_times_are_utc_with_a_z_and_microseconds_only_where_there_are_some(client: Client) -> None:
    for time in client.get(PATH).json()["columns"]["event_time"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    whole = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    column = pl.Series([whole, whole.replace(microsecond=250)]).dt.cast_time_unit("us")
    assert msgspec.json.encode(column.to_list()) == b'["2024-05-01T12:00:00Z","2024-05-01T12:00:00.000250Z"]'


def test_vectors_are_lists_of_their_dimension(client: Client) -> None:
    path = f"/v1/sequences/purchase_vectors/users/{HOUSEHOLD}?columns=event_type,product_vector"
    columns = client.get(path).json()["columns"]
    lengths = {len(vector) for vector in columns["product_vector"] if vector is not None}
    assert lengths == {8}
    assert {kind for kind, v in zip(columns["event_type"], columns["product_vector"], strict=True) if v is None} >= {
        "discount"
    }


def test_a_column_with_personal_data_is_not_served(home: Path, start: Start) -> None:
    found = discover("sequence_defs.definitions.demo").definitions
    with_age = [
        definition.model_copy(update={"columns": (*definition.columns, "age"), "pii": "granted"})
        if definition.name == "household_history"
        else definition
        for definition in found
    ]
    runtime = runtime_for(home, with_age)
    assert "age" in runtime.release.sequence_columns("household_history")
    client = start(home)
    assert "age" not in client.get(PATH).json()["columns"]
    assert client.get(f"{PATH}?columns=age").status_code == 400
    assert '"age"' not in client.get("/v1/sequences").text
    assert '"age"' not in client.get("/v1/sequences/household_history/schema").text


def test_the_schema_names_what_answers_have(client: Client) -> None:
    schema = client.get("/v1/sequences/purchase_vectors/schema").json()
    columns = client.get(f"/v1/sequences/purchase_vectors/users/{HOUSEHOLD}").json()["columns"]
    described = schema["json_schema"]["properties"]["columns"]["properties"]
    assert list(described) == [*columns, "similarity"]
    assert list(columns) == [field["name"] for field in schema["arrow_schema"]["fields"]]
    number = {"type": ["number", "null"]}
    assert described["product_vector"]["items"] == {
        "type": ["array", "null"],
        "items": number,
        "minItems": 8,
        "maxItems": 8,
    }
    assert described["amount"]["items"] == {**number, "description": "in USD"}
    assert described["event_time"]["items"]["type"] == "string"


def test_columns_that_an_event_type_lacks_are_nullable(client: Client) -> None:
    schema = client.get("/v1/sequences/household_history/schema").json()
    nullable = {field["name"]: field["nullable"] for field in schema["arrow_schema"]["fields"]}
    assert nullable["product_id"]  # never null in a purchase, but campaigns have none
    assert not nullable["event_time"]


def test_the_arrow_schema_is_the_same_in_both_forms(client: Client) -> None:
    arrow = client.get("/v1/sequences/purchase_vectors/schema").json()["arrow_schema"]
    frame = pl.read_ipc_stream(io.BytesIO(base64.b64decode(arrow["ipc"])))
    assert frame.columns == [field["name"] for field in arrow["fields"]]
    types = {field["name"]: field["type"] for field in arrow["fields"]}
    assert frame.schema["product_vector"] == pl.Array(pl.Float32, 8)
    assert types["product_vector"] == "fixed_size_list<item: float>[8]"
    assert frame.schema["event_time"] == pl.Datetime("us", "UTC")
    assert types["event_time"] == "timestamp[us, tz=UTC]"
    assert types["department"] == "large_string"


def test_the_schema_version_is_the_schema_hash_of_the_release(client: Client, published: Path) -> None:
    [file] = (published / "releases").iterdir()
    hashes = msgspec.json.decode(file.read_bytes())["hashes"]
    version = client.get("/v1/sequences/household_history/schema").json()["version"]
    assert version == hashes["sequences/household_history"]["schema"]


def test_the_catalogue_describes_every_sequence(client: Client) -> None:
    catalogue = client.get("/v1/sequences").json()
    entries = {entry["name"]: entry for entry in catalogue["sequences"]}
    assert list(entries) == ["household_history", "purchase_vectors"]
    entry = entries["household_history"]
    assert entry["tenant"] == "grocery"
    assert entry["owner"] == "team:grocery"
    assert entry["description"] == "Everything a household did, newest first."
    assert entry["event_types"] == ["purchase", "coupon_redemption", "campaign_received"]
    assert (entry["length"], entry["window_days"]) == (500, 365)
    columns = {column["name"]: column for column in entry["columns"]}
    assert columns["sales_value"]["dtype"] == "float64"
    assert columns["sales_value"]["unit"] == "USD"
    assert entry["freshness"] == {
        "sealed_through": f"{FIRST + dt.timedelta(days=DAYS)}T00:00:00Z",
        "completeness": DAYS / 42,
        "epoch": {"purchase": 1, "coupon_redemption": 1, "campaign_received": 1},
        "definitions": {},
    }


def test_an_error_inside_tells_the_caller_nothing_of_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=secret")

    monkeypatch.setattr(answering, "answer", broken)
    response = client.get(PATH, headers={"X-Request-Id": "abc-1"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"] == "abc-1"

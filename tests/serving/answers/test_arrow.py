"""Answers as Arrow IPC streams, and what the metadata of their schema says."""

import io
import json
from typing import Any

import polars as pl
import pytest
from arro3.core import Table
from arro3.io import read_ipc_stream
from litestar import Litestar
from litestar.testing import TestClient

from serving.answers.arrow import plain_stream, with_metadata

Client = TestClient[Litestar]
ACCEPT = {"Accept": "application/vnd.apache.arrow.stream"}
SEQUENCES = "/v1/sequences"


def _read(body: bytes) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The events, and the metadata; what stands there in JSON is parsed."""
    table: Table = read_ipc_stream(io.BytesIO(body)).read_all()
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    texts = {"seqplat.sequence", "seqplat.user_id"}
    return pl.read_ipc_stream(io.BytesIO(body)), {
        key: value if key in texts else json.loads(value) for key, value in said.items()
    }


@pytest.mark.parametrize("sequence", ["household_history", "purchase_vectors"])
@pytest.mark.parametrize("user", ["1146", "nobody"])
def test_both_forms_say_the_same(client: Client, sequence: str, user: str) -> None:
    path = f"{SEQUENCES}/{sequence}/users/{user}"
    answer = client.get(path).json()
    events, said = _read(client.get(path, headers=ACCEPT).content)
    assert said == {"seqplat.sequence": sequence, "seqplat.user_id": user, "seqplat.meta": answer["meta"]}
    assert events.columns == list(answer["columns"])
    assert events.height == answer["length"]
    for name in {"event_id", "event_type", "department", "amount"} & set(events.columns):
        assert events[name].to_list() == answer["columns"][name]
    if "product_vector" in events.columns:
        shown = pl.Series("product_vector", answer["columns"]["product_vector"], events.schema["product_vector"])
        assert events["product_vector"].equals(shown)


def test_the_types_are_those_of_the_schema(client: Client) -> None:
    path = f"{SEQUENCES}/purchase_vectors"
    promised = client.get(f"{path}/schema").json()["arrow_schema"]
    for user in ("1146", "nobody"):
        table = read_ipc_stream(io.BytesIO(client.get(f"{path}/users/{user}", headers=ACCEPT).content)).read_all()
        assert table.schema.names == [field["name"] for field in promised["fields"]]
        # Not a view in sight: libraries of before 2024 read none.
        assert "View" not in str(table.schema)


def test_a_batch_is_one_stream_with_the_users_end_to_end(client: Client) -> None:
    asked = {"users": ["1146", "nobody", "1146"], "columns": ["event_time", "event_type"]}
    path = f"{SEQUENCES}/household_history/batch"
    answer = client.post(path, json=asked).json()
    events, said = _read(client.post(path, json=asked, headers=ACCEPT).content)
    each = answer["users"][0]["length"]
    assert said == {
        "seqplat.sequence": "household_history",
        "seqplat.users": asked["users"],
        "seqplat.lengths": [each, 0, each],
        "seqplat.partial": [False, False, False],
        "seqplat.meta": answer["meta"],
    }
    assert events.columns == ["user_id", "event_time", "event_type"]
    assert events["user_id"].to_list() == ["1146"] * (2 * each)
    assert events[:each].equals(events[each:])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_metadata_of_any_length_leaves_the_events_as_they_are(count: int) -> None:
    events = pl.DataFrame({"a": [1, 2], "b": ["x", None], "v": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))})
    metadata = {f"key{number}": ("é" * number).encode() for number in range(count)}
    body = with_metadata(plain_stream(events), metadata)
    assert pl.read_ipc_stream(io.BytesIO(body)).equals(events)
    found = read_ipc_stream(io.BytesIO(body)).schema.metadata
    assert found == {key.encode(): value for key, value in metadata.items()}


def test_events_in_several_chunks_are_all_there() -> None:
    events = pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2, 3]})], rechunk=False)
    body = with_metadata(plain_stream(events), {"k": b"v"})
    assert pl.read_ipc_stream(io.BytesIO(body)).equals(events)
    assert read_ipc_stream(io.BytesIO(body)).read_all().num_rows == 3

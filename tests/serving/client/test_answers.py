"""The client against the real API, as a process of its own."""

import asyncio
import datetime as dt
from collections.abc import Iterator

import httpx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client import AsyncClient, BadRequest, Batch, Client, Meta, NotFound, Similar, Unauthorized

SEQUENCE = "household_history"
USERS = ["1146", "nobody", "1995", "718"]


@pytest.fixture
def client(api: tuple[str, str]) -> Iterator[Client]:
    with Client(*api, deadline_s=30) as opened:
        yield opened


def test_a_sequence_as_a_frame(client: Client) -> None:
    events = client.sequence(SEQUENCE, "1146", columns=["event_time", "event_type", "sales_value"], limit=5)
    assert events.frame.columns == ["event_time", "event_type", "sales_value"]
    assert len(events) == 5
    assert events.frame["event_time"].is_sorted(descending=True)
    assert events.frame.schema["event_time"] == pl.Datetime("us", "UTC")
    assert events.meta.newest_event_time == events.frame["event_time"][0]


def test_arrow_says_what_json_says(client: Client, api: tuple[str, str]) -> None:
    url, key = api
    found = httpx.get(f"{url}/v1/sequences/{SEQUENCE}/users/1146", headers={"Authorization": f"Bearer {key}"}).json()
    events = client.sequence(SEQUENCE, "1146")
    assert events.frame.columns == list(found["columns"])
    assert events.frame["event_id"].to_list() == found["columns"]["event_id"]
    assert events.meta.release == found["meta"]["release"]
    assert events.meta.epoch == {name: epoch for name, epoch in found["meta"]["epoch"].items() if epoch}
    assert list(events.meta.degraded) == found["meta"]["degraded"]


def test_an_unknown_user_has_no_events(client: Client) -> None:
    events = client.sequence(SEQUENCE, "nobody")
    assert len(events) == 0
    assert "event_time" in events.frame.columns
    assert events.meta.newest_event_time is None


@pytest.mark.parametrize("user", [".", "..", "a/../b", "?", "ü"])
def test_a_user_of_any_text_is_asked_for(client: Client, user: str) -> None:
    assert len(client.sequence(SEQUENCE, user)) == 0
    assert client.batch(SEQUENCE, [user]).lengths.tolist() == [0]


def test_users_without_events_are_padding_of_the_same_types(client: Client) -> None:
    fill = {"product_id": -1, "campaign_id": -1}
    columns = ["event_time", "event_type", "sales_value", *fill]
    some, none = (client.batch(SEQUENCE, users, columns=columns) for users in (USERS, ["nobody", "no one"]))
    (arrays, _), (empty, mask) = some.padded(3, fill=fill), none.padded(3, fill=fill)
    assert {name: array.dtype for name, array in empty.items()} == {name: a.dtype for name, a in arrays.items()}
    assert {array.shape for array in empty.values()} == {(2, 3)}
    assert not mask.any()


def test_a_batch_is_each_user_s_sequence(client: Client) -> None:
    batch = client.batch(SEQUENCE, [*USERS, USERS[0]], limit=7)
    assert list(batch.users) == USERS
    for events in batch:
        assert events.frame.equals(client.sequence(SEQUENCE, events.user, limit=7).frame)


def test_selections_reach_the_server(client: Client) -> None:
    all_of = client.sequence(SEQUENCE, "1146").frame
    middle: dt.datetime = all_of["event_time"][all_of.height // 2]
    newer = client.sequence(SEQUENCE, "1146", since=middle, event_types=["purchase"], where="sales_value > 1").frame
    wanted = all_of.filter(
        (pl.col("event_time") >= middle) & (pl.col("event_type") == "purchase") & (pl.col("sales_value") > 1)
    )
    assert newer.equals(wanted)
    assert client.sequence(SEQUENCE, "1146", since=middle.replace(tzinfo=None)).frame.height >= wanted.height


def test_similarity(client: Client) -> None:
    frame = client.sequence("purchase_vectors", "1146").frame
    vectors = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Array)]
    column = vectors[0]
    sought = frame[column].drop_nulls()[0]
    found = client.sequence("purchase_vectors", "1146", top_k=Similar(column, sought.to_list(), 3, "l2")).frame
    assert found.height == min(3, frame[column].drop_nulls().len())  # nothing is similar to null
    assert found["similarity"].is_sorted(descending=True)


def test_arrays(client: Client) -> None:
    arrays = client.sequence("purchase_vectors", "1146").to_numpy(fill=-1)
    assert any(array.ndim == 2 for array in arrays.values())
    assert len({len(array) for array in arrays.values()}) == 1


def test_padded_arrays_hold_each_user_s_newest(client: Client) -> None:
    batch = client.batch(SEQUENCE, USERS, columns=["event_time", "sales_value"])
    arrays, mask = batch.padded(4, ["sales_value"])
    assert arrays["sales_value"].shape == mask.shape == (len(USERS), 4)
    for row, events in enumerate(batch):
        newest = events.frame["sales_value"].to_numpy()[:4]
        assert np.array_equal(arrays["sales_value"][row][: len(newest)], newest, equal_nan=True)
        assert mask[row].sum() == len(newest)


def test_both_clients_give_the_same(api: tuple[str, str], client: Client) -> None:
    async def both() -> tuple[pl.DataFrame, pl.DataFrame]:
        async with AsyncClient(*api, deadline_s=30) as other:
            one, many = await asyncio.gather(other.sequence(SEQUENCE, "1146"), other.batch(SEQUENCE, USERS))
            assert (await other.catalogue())["sequences"]
            return one.frame, many.frame

    one, many = asyncio.run(both())
    assert one.equals(client.sequence(SEQUENCE, "1146").frame)
    assert many.equals(client.batch(SEQUENCE, USERS).frame)


def test_catalogue_schema_and_refusals(api: tuple[str, str], client: Client) -> None:
    assert SEQUENCE in {sequence["name"] for sequence in client.catalogue()["sequences"]}
    assert client.schema(SEQUENCE)["sequence"] == SEQUENCE
    with pytest.raises(NotFound, match="household_history"):
        client.sequence("household_histroy", "1146")
    with Client(api[0], "sp_wrong_key") as stranger, pytest.raises(Unauthorized):
        stranger.sequence(SEQUENCE, "1146")


META = Meta("r", {}, None, None, 1.0, (), None, None)


@given(lengths=st.lists(st.integers(0, 6), max_size=6), length=st.integers(1, 5))
def test_padding_is_what_a_loop_gives(lengths: list[int], length: int) -> None:
    rows = sum(lengths)
    frame = pl.DataFrame(
        {
            "user_id": [str(user) for user, count in enumerate(lengths) for _ in range(count)],
            "n": list(range(1, rows + 1)),
            "v": pl.Series([[i, -i] for i in range(rows)], dtype=pl.Array(pl.Int8, 2)),
        },
        schema_overrides={"user_id": pl.String, "n": pl.Int64},
    )
    batch = Batch(tuple(map(str, range(len(lengths)))), np.array(lengths, np.int64), frame, META)
    arrays, mask = batch.padded(length)
    for row, events in enumerate(batch):
        numbers = events.frame["n"].to_list()[:length]
        assert arrays["n"][row].tolist() == numbers + [0] * (length - len(numbers))
        assert mask[row].tolist() == [True] * len(numbers) + [False] * (length - len(numbers))
        assert arrays["v"][row][: len(numbers)].tolist() == events.frame["v"].to_list()[:length]


def test_an_explanation_of_one_event_type_on_one_day(client: Client) -> None:
    keys = ["event_time", "event_type", "event_id"]
    newest = client.sequence(SEQUENCE, "1146", columns=keys).frame.row(0, named=True)
    found = client.explain(
        SEQUENCE, "1146", newest["event_id"], event_type=newest["event_type"], day=newest["event_time"].date()
    )
    assert (found["verdict"]["code"], found["event"]["event_type"]) == ("in_answer", newest["event_type"])
    with pytest.raises(BadRequest, match="event_type"):
        client.explain(SEQUENCE, "1146", newest["event_id"], event_type="nothing")

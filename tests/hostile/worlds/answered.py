"""Every stored thing can be answered: by the API as JSON and as Arrow, and by ``seqplat get``."""

import datetime as dt
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import quote

import polars as pl
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.batch.publish.events import block_schema
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.online_store import Advance, NowWrite, OnlineStore, encode_bucket
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.runtime import Runtime
from serving.cli.ask.get import get
from serving.http.app import create_app
from serving.settings import Settings
from tests.hostile.material import clocks
from tests.hostile.material.instants import ODD_INSTANTS
from tests.hostile.material.meaning import Odd, allows
from tests.hostile.material.records import COLUMN_OF, COLUMNS
from tests.hostile.material.spelling import column
from tests.hostile.worlds.wide import TENANT, Row, in_utc
from tests.serving.keys import new_headers

ARROW: Final = "application/vnd.apache.arrow.stream"


def store_of(home: Path) -> OnlineStore:
    """The store of a home where the API looks for it. It must be closed before the API opens it."""
    return LmdbStore(home / "online", first_map_bytes=1 << 22, sync=False)


@contextmanager
def api(home: Path) -> Iterator[TestClient[Litestar]]:
    sent = new_headers(home, TENANT)
    with TestClient(
        create_app(Settings(Home(str(home), {}), access_log="off")), raise_server_exceptions=False
    ) as client:
        client.headers.update(sent)
        yield client


def judge(home: Path, by_user: Mapping[str, Sequence[Row]]) -> None:
    """Ask for every user in every way; the answers are those rows.

    Raises:
        AssertionError: something is not answered, or not as it is stored.
    """
    with api(home) as client:
        for user, rows in by_user.items():
            path = f"/v1/sequences/every/users/{quote(user, safe='')}"
            asked = {"columns": ",".join(["event_id", "event_time", *COLUMNS])}
            said = client.get(path, params=asked)
            assert said.status_code == 200, ("JSON: " + str(said.status_code), user, said.text[:300])
            columns: dict[str, list[Any]] = said.json()["columns"]
            assert sorted(columns["event_id"]) == sorted(row["id"] for row in rows), ("JSON: events", user)
            found = client.get(path, params=asked, headers={"Accept": ARROW})
            assert found.status_code == 200, ("Arrow: " + str(found.status_code), user, found.text[:300])
            _same_rows(in_utc(pl.read_ipc_stream(io.BytesIO(found.content))), rows)
        every = client.post("/v1/sequences/every/batch", json={"users": list(by_user), "limit": 100})
        assert not by_user or every.status_code == 200, ("batch: " + str(every.status_code), every.text[:300])
    printed(home, by_user)


def printed(home: Path, users: Mapping[str, object]) -> None:
    """``seqplat get`` of every user, which ends well."""
    with patch.dict(os.environ, {"SEQPLAT_HOME": str(home)}):
        for user in users:
            if "\0" in user or user.startswith("-"):
                continue  # no terminal can say them
            result = CliRunner().invoke(get, ["every", user])
            assert result.exit_code == 0, (
                f"get: {type(result.exception).__name__}",
                user,
                repr(result.exception)[:300],
            )


def _same_rows(found: Sequence[Row], rows: Sequence[Row]) -> None:
    expected = {row["id"]: row for row in rows}
    for row in found:
        said = expected[row["event_id"]]
        for name in COLUMNS:
            assert allows((said[name],), row[name]), (f"Arrow: column {name} is {row[name]!r:.80}", said)


# ---- What older releases stored -----------------------------------------------------------------------------------


def stored_before(runtime: Runtime, store: OnlineStore, odd: Sequence[tuple[str, Odd]]) -> None:
    """Events of ``ann`` as the now view of an older release may hold them: one odd cell each, in the named column."""
    plan = EventPlan.of(runtime.loaded, "wide_event")
    places = range(len(odd))
    at = [clocks.NOW - dt.timedelta(hours=n) for n in places]
    given: dict[str, list[Any]] = {
        "tenant": [TENANT] * len(odd),
        "event_type": ["wide_event"] * len(odd),
        "user_id": ["ann"] * len(odd),
        "event_id": [f"e{n}" for n in places],
        "id": [f"e{n}" for n in places],
        "event_time": at,
        "ingest_time": at,
        "available_time": at,
        "rev": [0] * len(odd),
        "op": ["upsert"] * len(odd),
        "source_partition": ["wide:0"] * len(odd),
        "offset": list(places),
        "release": ["r"] * len(odd),
        "shard": [0] * len(odd),
    }
    frame = pl.DataFrame([_column(name, dtype, given, odd) for name, dtype in plan.schema.items()])
    blocks = encode_bucket(frame, block_schema(plan))
    store.register_schema(block_schema(plan))
    reach = {clocks.DAYS[-1].isoformat(): {"wide:0": len(odd)}}
    store.advance([NowWrite("wide_event", blocks, reach)], {"wide:0": Advance(0, len(odd), 1, 0, clocks.NOW_MS)})


def _column(name: str, dtype: pl.DataType, given: Mapping[str, list[Any]], odd: Sequence[tuple[str, Odd]]) -> pl.Series:
    if name in given:
        return pl.Series(name, given[name], dtype=dtype)
    values = [value if of == name else None for of, value in odd]
    if isinstance(dtype, pl.List) and any(values):
        items = column(name, values, dtype.inner)  # type: ignore[arg-type]
        return pl.select(
            pl.when(items.is_not_null()).then(items.reshape((-1, 1)).arr.to_list()).alias(name)
        ).to_series()
    return column(name, values, dtype) if any(values) else pl.Series(name, values, dtype=dtype)


def odd_cells() -> list[tuple[str, Odd]]:
    """Every instant beyond the calendar in every column of its kind."""
    days = [Odd("D", odd.count) for odd in ODD_INSTANTS if odd.unit == "D"]
    times = [odd for odd in ODD_INSTANTS if odd.unit == "us"]
    return [
        *((COLUMN_OF["date"], day) for day in days),
        *((COLUMN_OF["timestamp"], time) for time in times),
        *((COLUMN_OF["list[timestamp]"], time) for time in times),
    ]


def judge_old(home: Path, odd: Sequence[tuple[str, Odd]]) -> None:
    """An answer with the cell null and its column named in ``degraded``, not an error."""
    with api(home) as client:
        path = "/v1/sequences/every/users/ann"
        said = client.get(path)
        assert said.status_code == 200, ("old store, JSON: " + str(said.status_code), said.text[:300])
        body = said.json()
        assert body["length"] == len(odd), ("old store, events", body["length"])
        for place, (name, _) in enumerate(odd):
            cell = body["columns"][name][place]
            assert cell is None or cell == [None], ("old store, cell", name, cell)
        named = " ".join(body["meta"]["degraded"])
        assert all(name in named for name, _ in odd), ("old store, degraded", named)
        found = client.get(path, headers={"Accept": ARROW})
        assert found.status_code == 200, ("old store, Arrow: " + str(found.status_code), found.text[:300])
        in_utc(pl.read_ipc_stream(io.BytesIO(found.content)))
    printed(home, {"ann": None})

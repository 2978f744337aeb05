"""The real routes with far more to answer than they can: fast refusals, steady answers, and all is well afterwards."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from serving.access.keys.ring import Grant
from tests.conftest import DEMO_DATA
from tests.serving.keys import new_headers
from tests.serving.servers import Reply, Server, eventually, for_seconds, load, running, share

USERS = "/v1/sequences/household_history/users"
BATCH = "/v1/sequences/household_history/batch"
SECONDS = 1.5
# As many as find room at once; a caller more is refused.
UNDER_WAY, QUEUE = 2, 4
CALLERS = 5 * (UNDER_WAY + QUEUE)


@pytest.fixture
def everybody() -> bytes:
    """The body of a batch that takes tens of milliseconds."""
    rows = pl.read_parquet(DEMO_DATA / "transactions.parquet", columns=["household_id"])
    users = rows["household_id"].unique().sort().cast(pl.String).to_list()[:500]
    return json.dumps({"users": users}).encode()


def idle(server: Server) -> bool:
    scraped = server.get("/metrics").body
    lanes = [b"short", b"long", b"explain"]
    now = [b"seqplat_requests_under_way", b"seqplat_requests_queued"]
    return all(b'%b{lane="%b"} 0.0' % (name, lane) in scraped for name in now for lane in lanes)


def ok(replies: list[Reply]) -> list[float]:
    return [reply.seconds for reply in replies if reply.status == 200]


@pytest.mark.parametrize("route", ["user", "batch"])
def test_a_flooded_route_refuses_fast_and_answers_as_many_as_ever(home: Path, everybody: bytes, route: str) -> None:
    path, body = (BATCH, everybody) if route == "batch" else (f"{USERS}/1146", None)
    limits = {"api_under_way": UNDER_WAY, "api_queue": QUEUE, "api_queue_ms": 2000, "api_cache_mb": 0}
    with running(home, **limits) as server, ThreadPoolExecutor(3) as callers:
        load(server, path, callers=1, body=body, going_on=for_seconds(0.5))
        calm = load(server, path, callers=2, body=body, going_on=for_seconds(SECONDS))
        assert {reply.status for reply in calm} == {200}

        until = for_seconds(SECONDS)
        probes = [
            callers.submit(load, server, probe, callers=1, going_on=until, pause_s=0.05)
            for probe in ("/healthz", "/readyz")
        ]
        flood = load(server, path, callers=CALLERS, body=body, going_on=until)
        assert {reply.status for probe in probes for reply in probe.result()} == {200}

        refused = [reply for reply in flood if reply.status == 503]
        assert {reply.error for reply in flood} == {""}
        assert len(ok(flood)) + len(refused) == len(flood)
        assert len(refused) > CALLERS
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        # Told while those that were let in still wait.
        assert share([reply.seconds for reply in refused], 0.5) < share(ok(flood), 0.5)
        assert len(ok(flood)) > 0.4 * len(calm)

        eventually(lambda: idle(server), server)
        after = load(server, path, callers=2, body=body, going_on=for_seconds(0.5))
        assert {reply.status for reply in after} == {200}


def test_while_batches_flood_the_server_nobody_is_refused_one_users_events(home: Path, everybody: bytes) -> None:
    with (
        running(home, api_queue=QUEUE, api_queue_ms=20_000, api_cache_mb=0) as server,
        ThreadPoolExecutor(1) as callers,
    ):
        until = for_seconds(SECONDS)
        flooding = callers.submit(load, server, BATCH, callers=12, body=everybody, going_on=until)
        short = load(server, f"{USERS}/1146", callers=2, going_on=until, pause_s=0.01)
        flood = flooding.result()
    assert {reply.status for reply in flood} == {200, 503}
    assert {reply.status for reply in short} == {200}
    assert share(ok(short), 0.5) < share(ok(flood), 0.5) / 2


def test_beside_one_tenants_large_batches_none_of_anothers_is_refused(home: Path, everybody: bytes) -> None:
    """However many connections the first has, and though each of its batches takes longer than others may wait."""
    other = new_headers(home, "other", grants={"household_history": Grant("grocery")})
    some = json.dumps({"users": ["1146", "1995"], "limit": 5}).encode()
    patient = {**other, "X-Deadline-Ms": "20000"}
    with running(home, api_queue_ms=1) as server, ThreadPoolExecutor(2) as callers:
        until = for_seconds(SECONDS)
        flood = callers.submit(load, server, BATCH, callers=8, body=everybody, going_on=until)
        calm = load(server, BATCH, callers=2, body=some, going_on=until, headers=patient)
        assert ok(flood.result())
    assert {reply.status for reply in calm} == {200}

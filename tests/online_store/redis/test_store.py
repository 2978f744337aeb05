"""What only a store on a server can do or suffer: round trips, outages, full memory, clusters that move their slots."""

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import redis

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    NowWrite,
    ReadAhead,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.codec import BlockParts
from seqplat_resources.online_store.errors import EpochGoneError, StoreAwayError, StoreUnusableError
from seqplat_resources.online_store.redis import RedisSettings, RedisStore
from tests import redis_server
from tests.online_store.interrupts import interrupted
from tests.online_stores import history, now_payloads, redis_url
from tests.ports import free_port

VIEW, DAY, P = "item_view", "2024-03-01", "views:0"
TYPES = ("item_view", "buy", "search")
SCHEMA = BlockSchema.of({"n": "int64", "text": "string", "noise": "binary"})
USERS = [f"user-{n:03}" for n in range(100)]
NEEDS_REDIS = pytest.mark.skipif(bool(redis_server.why_not("redis")), reason=str(redis_server.why_not("redis")))


@pytest.fixture(params=["redis", "redis cluster"])
def settings(request: pytest.FixtureRequest) -> RedisSettings:
    return RedisSettings.parse(redis_url(request.param))


@pytest.fixture
def store(settings: RedisSettings) -> Iterator[RedisStore]:
    store = opened(settings)
    yield store
    store.close()


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """For tests that do something to a server that others must not feel."""
    with ExitStack() as stack:
        yield stack


def opened(settings: RedisSettings) -> RedisStore:
    store = RedisStore(settings)
    store.register_schema(SCHEMA)
    return store


def encoded(users: list[str], rows: int = 1, noise: int = 10) -> list[tuple[str, bytes]]:
    count = len(users) * rows
    random = np.random.default_rng(7)
    events = pl.DataFrame(
        {
            "user_id": [user for user in users for _ in range(rows)],
            "n": range(count),
            "text": [f"text {n % 7}" for n in range(count)],
            "noise": [random.bytes(noise) for _ in range(count)],
        }
    )
    return list(encode_bucket(events, SCHEMA))


def publish(store: RedisStore, blocks: list[tuple[str, bytes]], *days: str, event_type: str = VIEW) -> None:
    writes = [BucketWrite(day, blocks, BucketVersion(1, len(blocks), len(blocks))) for day in days or (DAY,)]
    store.publish_many(event_type, writes, release="r", expected_epoch=ANY_EPOCH)


def stream(store: RedisStore, blocks: list[tuple[str, bytes]], start: int = 0) -> None:
    store.advance([NowWrite(VIEW, blocks, {DAY: {P: start + 1}})], {P: Advance(start, start + 1, 1, 0, 0)})


def payload(store: RedisStore, user: str) -> Any:
    [found] = history(store, user, VIEW)
    return found.payload


def test_two_round_trips_whatever_is_asked_for(store: RedisStore) -> None:
    """And a third where an epoch is new to this process, or nothing was said in advance."""
    days = [f"2024-03-{day:02}" for day in range(1, 21)]
    for event_type in TYPES:
        publish(store, encoded(USERS), *days, event_type=event_type)
    stream(store, encoded(USERS))

    def read(ahead: ReadAhead | None) -> int:
        with interrupted(store, -1, lambda: None) as count, store.snapshot(ahead=ahead) as view:
            now = [now_payloads(view, event_type, user) for user in USERS for event_type in TYPES if ahead]
            reads = [view.blocks(event_type, user) for user in USERS for event_type in TYPES]
            assert sum(len(list(found)) for found in reads) == len(TYPES) * len(USERS) * len(days)
            assert sum(map(len, now)) == (len(USERS) if ahead else 0)
            assert view.stream_positions(), view.epoch(VIEW)
        return count[0]

    ahead = ReadAhead(TYPES, USERS)
    assert read(ahead) == 3
    assert read(ahead) == 2
    assert read(None) == 3


def test_rows_wanted_bound_what_is_fetched_and_reading_on_fetches_more(store: RedisStore) -> None:
    days = [f"2024-03-{day:02}" for day in range(1, 21)]
    publish(store, encoded(["ann"], rows=10), *days)
    with (
        interrupted(store, -1, lambda: None) as count,
        store.snapshot(ahead=ReadAhead([VIEW], ["ann"], rows=25)) as view,
    ):
        view.epoch(VIEW)
        before, found = count[0], view.blocks(VIEW, "ann")
        assert [next(found).day for _ in range(3)] == ["2024-03-20", "2024-03-19", "2024-03-18"]
        assert count[0] == before + 1
        assert [block.day for block in found] == sorted(days, reverse=True)[3:]
    assert count[0] < before + 9


def test_only_columns_that_are_asked_for_are_fetched(store: RedisStore) -> None:
    [(_, block)] = blocks = encoded(["ann"], rows=1000, noise=100)
    publish(store, blocks)
    with store.snapshot() as view:
        [found] = view.blocks(VIEW, "ann", columns=["n"])
    assert isinstance(found.payload, BlockParts)
    assert sum(map(len, found.payload.sections.values())) < len(block) / 50
    assert decode_blocks([found.payload], store.schema, {"n": "int64"})["n"].to_list() == list(range(1000))
    [whole] = history(store, "ann", VIEW)
    assert decode_blocks([whole.payload], store.schema).equals(decode_blocks([block], store.schema))


def test_a_user_who_shrinks_leaves_no_sections_behind(store: RedisStore) -> None:
    for rows in (1000, 1, 1000, 1):
        publish(store, encoded(["ann"], rows=rows, noise=100))
    store.prune(VIEW, keep_epochs=1)
    assert payload(store, "ann") == encoded(["ann"], noise=100)[0][1]
    key = store._catalog.names.data(VIEW, b"ann")
    [name] = store._link.one("HKEYS", key)  # of the last version, whole
    assert name.startswith(b"738946.")
    assert b"/" not in name


def test_a_server_that_forgot_the_scripts_is_told_them(store: RedisStore) -> None:
    publish(store, encoded(USERS))
    for pool in store._link._servers.pools():
        redis.Redis(connection_pool=pool).script_flush()
    publish(store, encoded(USERS, rows=2))
    assert payload(store, "user-007") == dict(encoded(USERS, rows=2))["user-007"]


def test_reading_goes_on_over_connections_that_were_cut(store: RedisStore) -> None:
    publish(store, encoded(["ann"]))
    for pool in store._link._servers.pools():
        for connection in pool._available_connections:
            connection._sock.shutdown(2)
    assert payload(store, "ann") == encoded(["ann"])[0][1]


def test_publishing_through_a_reader_is_refused(settings: RedisSettings) -> None:
    reader = RedisStore(settings, readonly=True)
    with pytest.raises(
        StoreUnusableError, match=r"open for reading only, at redis://.*; open it without readonly=True"
    ):
        publish(reader, encoded(["ann"]))
    reader.close()


def test_one_epoch_is_too_few_to_keep(settings: RedisSettings) -> None:
    with pytest.raises(ValueError, match="keep_epochs=1 breaks requests in flight, at redis://"):
        RedisStore(settings, keep_epochs=1)


def test_a_store_of_another_layout_is_not_touched(store: RedisStore, settings: RedisSettings) -> None:
    store._link.one("HSET", store._catalog.names.pin, "v", "99")
    with pytest.raises(StoreUnusableError, match="the store has layout 99, and this code knows 3, at redis://"):
        RedisStore(settings)


def test_an_epoch_that_took_the_place_of_a_lost_one_is_not_taken_for_it(
    store: RedisStore, settings: RedisSettings
) -> None:
    """After a failover that lost the last publication, another one gets its number."""
    publish(store, encoded(["ann"]))
    assert payload(store, "ann")
    for name in (store._catalog.names.pin, store._catalog.names.epochs(VIEW), store._catalog.names.leases(VIEW)):
        store._link.one("UNLINK", name)
    other = opened(settings)
    publish(other, encoded(["bob"]), "2024-03-05")
    assert history(store, "bob", VIEW)[0].day == "2024-03-05"
    other.close()


def test_a_snapshot_that_outlives_its_epoch_says_so(store: RedisStore) -> None:
    publish(store, encoded(["ann"]))
    with store.snapshot() as view:
        for rows in range(2, 8):
            publish(store, encoded(["ann"], rows=rows))
        with pytest.raises(EpochGoneError):
            list(view.blocks(VIEW, "ann"))


def test_a_reader_of_a_user_who_is_rolled_up_meanwhile_gets_each_row_once(store: RedisStore) -> None:
    """Also where it has some of the days already."""
    from seqplat_resources.online_store.spans import Roll, RolledBlock, RollSpan

    days = [f"2024-03-{day:02}" for day in range(1, 21)]
    blocks = encoded(["ann"])
    publish(store, blocks, *days)

    def roll() -> None:
        for span in dict.fromkeys(map(RollSpan.of, days)):
            [[found]] = list(other.rollable(VIEW, span))
            mine = {day: version for source in found.sources for day, version in source.days.items()}
            [(_, joined)] = encoded(["ann"], rows=len(mine))
            assert other.roll_many(VIEW, span, [Roll("ann", (RolledBlock(mine, joined),))]) == 1

    other = opened(store._settings)
    with store.snapshot(ahead=ReadAhead([VIEW], ["ann"], rows=3)) as view:
        found = view.blocks(VIEW, "ann")
        first = [next(found).day for _ in range(3)]
        roll()
        rest = list(found)
    other.close()
    assert first == sorted(days, reverse=True)[:3]
    assert all(block.day < first[-1] for block in rest)
    assert len(rest) < 17
    given = [day for day in days if any(b.first_day <= day <= b.day and day not in b.superseded for b in rest)]
    assert given == days[:17]


def _read_pickled(store: RedisStore, user: str, sent: Connection) -> None:
    sent.send(payload(store, user))


def test_store_travels_to_a_spawned_worker(store: RedisStore) -> None:
    publish(store, encoded(USERS))
    context = multiprocessing.get_context("spawn")
    received, sent = context.Pipe(duplex=False)
    worker = context.Process(target=_read_pickled, args=(store, "user-001", sent))
    worker.start()
    assert received.recv() == dict(encoded(USERS))["user-001"]
    worker.join()
    pickle.loads(pickle.dumps(store)).close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_does_not_disturb_its_parent(store: RedisStore) -> None:
    publish(store, encoded(USERS))
    child = os.fork()
    if child == 0:
        found = store.kept_epochs(VIEW) == (1,)
        os._exit(0 if found else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.kept_epochs(VIEW) == (1,)


@NEEDS_REDIS
def test_a_server_that_comes_back_has_everything(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis", "--appendonly", "yes", "--appendfsync", "always"))
    store = opened(RedisSettings.parse(server.url))
    publish(store, encoded(USERS))
    stream(store, encoded(USERS))
    server.stop()
    for use in (
        lambda: payload(store, "user-001"),
        lambda: stream(store, encoded(USERS), 1),
        lambda: publish(store, []),
    ):
        with pytest.raises(
            StoreAwayError, match=r"the server cannot be reached \(.*, at redis://127.0.0.1.*; start it"
        ):
            use()
    server.start()
    assert payload(store, "user-001") == dict(encoded(USERS))["user-001"]
    stream(store, encoded(USERS), 1)
    publish(store, encoded(USERS, rows=2))
    assert store.now_stats(VIEW).blocks == 200
    store.close()


@NEEDS_REDIS
def test_a_server_that_does_not_answer_costs_no_more_than_the_time_allowed(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis"))
    store = opened(RedisSettings.parse(f"{server.url}?timeout_ms=300"))
    publish(store, encoded(["ann"]))
    payload(store, "ann")
    server.pause(signal.SIGSTOP)
    try:
        for allowed in (0.3, 0.05):
            begun, deadline = time.monotonic(), Deadline.after(0.05) if allowed < 0.3 else None
            with (
                pytest.raises(StoreAwayError, match=r"no answer in time, at redis://.*timeout_ms="),
                store.snapshot(ahead=ReadAhead([VIEW], ["ann"], deadline=deadline)),
            ):
                pass
            assert allowed * 0.9 < time.monotonic() - begun < 20  # it never answers; a busy machine takes its time
    finally:
        server.pause(signal.SIGCONT)
    assert payload(store, "ann")
    store.close()


@NEEDS_REDIS
def test_a_server_without_room_refuses_and_shows_nothing_half_written(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis"))
    store, client = opened(RedisSettings.parse(server.url)), servers.enter_context(server.client())
    before, large = dict(encoded(USERS)), encoded(USERS, rows=50, noise=1000)
    publish(store, encoded(USERS))
    stream(store, encoded(USERS))
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", used + (64 << 10))
    for use in (lambda: publish(store, large), lambda: stream(store, large, 1)):
        with pytest.raises(StoreAwayError, match=r"the server's memory is full \(.*; raise maxmemory"):
            use()
    assert {user: payload(store, user) for user in USERS} == before
    assert store.stream_positions()[P].next_offset == 1
    client.config_set("maxmemory", 0)
    publish(store, large)
    stream(store, encoded(USERS), 1)
    with store.snapshot() as view:
        assert {len(now_payloads(view, VIEW, user)) for user in USERS} == {2}
    assert store.now_stats(VIEW).blocks == 200
    store.close()


@NEEDS_REDIS
def test_a_server_that_would_forget_is_refused(servers: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    server = servers.enter_context(redis_server.running("redis", "--maxmemory-policy", "allkeys-lru"))
    settings = RedisSettings.parse(server.url)
    with caplog.at_level(logging.WARNING):
        RedisStore(settings).close()
    assert "would drop keys (allkeys-lru) if it had a maxmemory; set maxmemory-policy noeviction" in caplog.text
    with server.client() as client:
        client.config_set("maxmemory", 100 << 20)
    with pytest.raises(StoreUnusableError, match=r"drops keys when its memory is full \(allkeys-lru\), at redis://"):
        RedisStore(settings)


@NEEDS_REDIS
def test_a_server_that_wants_a_password_gets_it_and_nobody_else_does(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis", "--requirepass", redis_server.PASSWORD))
    with pytest.raises(StoreUnusableError, match=r"the server refuses this user \(.*set SEQPLAT_ONLINE_PASSWORD"):
        RedisStore(RedisSettings.parse(server.url))
    wrong = RedisSettings.parse(server.url, {"SEQPLAT_ONLINE_PASSWORD": "hush"})
    with pytest.raises(StoreUnusableError, match="the server refuses this user") as found:
        RedisStore(wrong)
    assert "hush" not in str(found.value)
    store = opened(RedisSettings.parse(server.url, {"SEQPLAT_ONLINE_PASSWORD": redis_server.PASSWORD}))
    publish(store, encoded(["ann"]))
    server.stop()
    with pytest.raises(StoreAwayError) as found_later:
        payload(store, "ann")
    assert redis_server.PASSWORD not in str(found_later.value)
    store.close()


@NEEDS_REDIS
def test_a_user_needs_no_more_rights_than_documented(servers: ExitStack) -> None:
    server = servers.enter_context(redis_server.running("redis"))
    rights = ("+@read", "+@write", "+@scripting", "+info", "+ping", "+select")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "seq", "on", f">{redis_server.PASSWORD}", "~shop:*", *rights)
    url = f"{server.url.replace('//', '//seq@')}?prefix="
    environment = {"SEQPLAT_ONLINE_PASSWORD": redis_server.PASSWORD}
    store = opened(RedisSettings.parse(f"{url}shop:", environment))
    publish(store, encoded(USERS))
    stream(store, encoded(USERS))
    store.evict(VIEW)
    store.prune(VIEW, keep_epochs=1)
    assert store.stats().event_types[0].rows == 100
    store.close()
    with pytest.raises(StoreUnusableError, match=r"the server refuses this user \(.*permission"):
        RedisStore(RedisSettings.parse(f"{url}other:", environment))


@NEEDS_REDIS
@pytest.mark.skipif(not shutil.which("openssl"), reason="no `openssl` to make a certificate with")
def test_tls_is_spoken_and_the_certificate_is_looked_at(servers: ExitStack, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    options += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    servers.enter_context(redis_server.running("redis", *options))
    store = opened(RedisSettings.parse(f"rediss://127.0.0.1:{port}/0?ca={certificate}"))
    publish(store, encoded(["ann"]))
    assert payload(store, "ann")
    store.close()
    with pytest.raises(StoreAwayError, match=r"cannot be reached \(.*certificate verify failed"):
        RedisStore(RedisSettings.parse(f"rediss://127.0.0.1:{port}/0"))


@NEEDS_REDIS
def test_a_database_of_a_cluster_is_refused() -> None:
    url = redis_url("redis cluster").replace("/0?", "/3?")
    with pytest.raises(StoreUnusableError, match=r"database 3|DB index|server answers"):
        RedisStore(RedisSettings.parse(url))


@NEEDS_REDIS
def test_slots_may_move_while_they_are_used(servers: ExitStack) -> None:
    """Half way (ASK) and after it (MOVED)."""
    nodes = servers.enter_context(redis_server.cluster("redis"))
    store = opened(RedisSettings.parse(nodes[0].url))
    blocks = dict(encoded(USERS))
    publish(store, list(blocks.items()))
    clients = [servers.enter_context(node.client()) for node in nodes]
    ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
    keys = [store._catalog.names.data(VIEW, b"user-001"), store._catalog.names.pin]
    slots = [clients[0].execute_command("CLUSTER", "KEYSLOT", key) for key in keys]
    for slot in slots:
        owner = next(
            n for n, client in enumerate(clients) if client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
        )
        other = (owner + 1) % len(nodes)
        clients[other].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
        clients[owner].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[other])
        moving = clients[owner].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        clients[owner].execute_command("MIGRATE", "127.0.0.1", nodes[other].port, "", 0, 5000, "KEYS", *moving)
        assert payload(store, "user-001") == blocks["user-001"]
        for client in clients:
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[other])
        assert payload(store, "user-001") == blocks["user-001"]
    publish(store, encoded(USERS, rows=2))
    assert payload(store, "user-001") == dict(encoded(USERS, rows=2))["user-001"]
    nodes[1].stop()
    with pytest.raises(StoreAwayError, match=r"cannot be reached|a part of the cluster is away"):
        history(store, "user-001", VIEW) and [history(store, user, VIEW) for user in USERS]
    store.close()


@NEEDS_REDIS
def test_a_flushed_server_is_filled_again_by_those_who_wrote_it(servers: ExitStack) -> None:
    """What a process knows to be there may not be: others could not read blocks of a schema that only it knows."""
    server = servers.enter_context(redis_server.running("redis"))
    settings = RedisSettings.parse(server.url)
    store, admin = opened(settings), servers.enter_context(server.client())
    publish(store, encoded(USERS))
    stream(store, encoded(USERS))
    for write in (publish, stream):
        admin.flushall()
        write(store, encoded(["ann"]))
        reader = RedisStore(settings, readonly=True)
        with reader.snapshot() as view:
            block = encoded(["ann"])[0][1]
            assert [*now_payloads(view, VIEW, "ann"), *(found.payload for found in view.blocks(VIEW, "ann"))] == [block]
            assert [*now_payloads(view, VIEW, USERS[0]), *view.blocks(VIEW, USERS[0])] == []
            assert decode_blocks([block], reader.schema, {"n": "int64"}, where="ann").height == 1
        reader.close()
    store.close()

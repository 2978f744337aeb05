"""What a real server answered, as a training set: over LMDB and Redis, whole answers and 304s, one user and many."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.clock import SystemClock
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.stream.loop import StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.training.answered.skew import skew
from seqplat_resources.training.build import BuiltSet, build
from seqplat_resources.training.question import Mode, TrainingQuestion
from tests.building import runtime_for
from tests.online_stores import redis_url
from tests.serving.keys import new_headers
from tests.serving.servers import Server, ask, running
from tests.training.replay import DEFINITIONS, FAST, TOPIC, TYPES

USERS = ("ann", "bob", "nobody")
Events = list[tuple[str, str, int]]


class Installation:
    """A home with a stream from a file log, whose clock is the machine's."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.clock = folder, SystemClock()
        environment = {} if kind == "lmdb" else {"SEQPLAT_ONLINE": redis_url(kind)}
        self.settings = {"online": environment["SEQPLAT_ONLINE"]} if environment else {}
        self.runtime: Runtime = runtime_for(Home(str(folder / "home"), environment), DEFINITIONS, folder)
        with closing(FileLogWriter(str(folder / "log"))) as writer:
            writer.create_topic(TOPIC, 2)
        self.now, self.headers = self.clock.now(), new_headers(self.runtime.home, "shop")
        self.sets = 0

    def say(self, *clicks: Mapping[str, Any]) -> None:
        """Messages, streamed at once."""
        with closing(FileLogWriter(str(self.folder / "log"))) as writer:
            for click in clicks:
                said = {"shop": "view", "amount": 1, "revision": 0, "operation": None, "at": self.now} | dict(click)
                fields = said | {"at": said["at"].isoformat(), "received": self.clock.now().isoformat()}
                writer.append(TOPIC, [(None, json.dumps(fields).encode())], partition=0)
            writer.flush()
        with closing(open_online_store(self.runtime.home)) as store:
            log, ownership = FileLogSource(str(self.folder / "log")), Ownership(self.runtime.home, "clicks", self.clock)
            loop = StreamLoop(self.runtime, "clicks", log, store, NoLookup(), ownership, FAST, self.clock)
            for _ in range(3):
                loop.once()
            loop.close()
            loop.abandon()
            log.close()

    def batch(self) -> None:
        days = [(self.now - dt.timedelta(days=back)).date() for back in (3, 2, 1, 0)]
        with closing(open_online_store(self.runtime.home)) as store:
            for name in TYPES:
                list(events.build(self.runtime, name, days))
                list(publish(self.runtime, store, name, days))

    def training_set(self, mode: Mode, labels: pl.DataFrame, query: Query = Query(), **more: Any) -> BuiltSet:
        self.sets += 1
        out = self.folder / f"set {self.sets}"
        return build(self.runtime, TrainingQuestion("recent", mode=mode, query=query), labels, out, **more)


def rows_of(made: BuiltSet, key: str = "request_id") -> dict[tuple[str, str], Events]:
    """By ``key`` and user the events of the row."""
    return {
        (row[key], row["user"]): list(zip(row["event_type"], row["event_id"], row["value"], strict=True))
        for row in pl.read_parquet(made.out / "*.parquet").iter_rows(named=True)
    }


def recorded_times(home: Installation) -> pl.DataFrame:
    """Labels at the times of recorded answers to the whole sequence."""
    rows = tables.answered(home.runtime.home, "recent", home.clock).scan().filter(pl.col("query") == "{}")
    return rows.select("user", pl.col("at").alias("time"), pl.col("request").alias("request_id")).collect()


def listed(columns: Mapping[str, Sequence[Any]]) -> Events:
    return list(zip(columns["event_type"], columns["event_id"], columns["value"], strict=True))


def ask_all(server: Server, headers: Mapping[str, str], name: str, given: dict[tuple[str, str], Events]) -> None:
    """Ask for each user alone, again with the tag, and for all at once; note what was answered to which request."""
    with closing(server.connection()) as connection:
        for user in USERS:
            path = f"/v1/sequences/recent/users/{user}"
            whole = ask(connection, path, {**headers, "x-request-id": f"{name}-whole"})
            again = {**headers, "x-request-id": f"{name}-304", "if-none-match": whole.headers["etag"]}
            assert (whole.status, ask(connection, path, again).status) == (200, 304), whole.body
            found = listed(json.loads(whole.body)["columns"])
            given[f"{name}-whole", user] = given[f"{name}-304", user] = found
            short = ask(connection, f"{path}?limit=1", {**headers, "x-request-id": f"{name}-short"})
            given[f"{name}-short", user] = listed(json.loads(short.body)["columns"])
        sent = {**headers, "x-request-id": f"{name}-batch", "content-type": "application/json"}
        body = json.dumps({"users": [*USERS, USERS[0]]}).encode()
        many = ask(connection, "/v1/sequences/recent/batch", sent, body)
        for each in json.loads(many.body)["users"]:
            given[f"{name}-batch", each["user_id"]] = listed(each["columns"])


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_a_label_has_what_its_request_was_answered_with(kind: str, tmp_path: Path) -> None:
    home, given = Installation(tmp_path, kind), dict[tuple[str, str], Events]()
    hour = dt.timedelta(hours=1)
    home.say(
        {"member": "ann", "click": 1, "at": home.now - 30 * hour},
        {"member": "ann", "click": 2, "at": home.now - 2 * hour, "shop": "order"},
        {"member": "bob", "click": 1, "at": home.now - hour},
    )
    with running(tmp_path / "home", **home.settings) as server:
        ask_all(server, home.headers, "first", given)
        home.say(
            {"member": "ann", "click": 2, "at": home.now - 2 * hour, "shop": "order", "amount": 7, "revision": 1},
            {"member": "bob", "click": 1, "at": home.now - hour, "revision": 1, "operation": "retract"},
            {"member": "bob", "click": 5, "at": home.now - hour},
        )
        ask_all(server, home.headers, "corrected", given)
        home.batch()
        ask_all(server, home.headers, "built", given)
        assert server.terminate() == 0
    said = pl.DataFrame([{"request_id": request, "user": user} for request, user in given])
    labels = said.with_columns(time=pl.lit(home.clock.now()))
    clean = skew(home.runtime, "recent", home.now, home.clock.now())
    assert (clean.answers, clean.equal, clean.differences) == (len(given), len(given), {})
    known = home.training_set("as_known", recorded_times(home))
    assert rows_of(known) == {key: found for key, found in given.items() if not key[0].endswith("short")}
    made = home.training_set("as_served", labels)
    assert rows_of(made) == given
    assert given["first-whole", "ann"] != given["corrected-whole", "ann"] == given["built-whole", "ann"]
    facts = made.manifest.facts
    assert (facts["gone"], facts["dropped"], facts["labels"]["kept"]) == (0, 0, len(given))
    newest = home.training_set("as_served", labels, query=Query(limit=1))
    assert rows_of(newest) == {key: found[:1] for key, found in given.items()}

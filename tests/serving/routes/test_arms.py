"""Users on their way from an old pipeline: whose events they get, inside one sequence, one by one and in batches."""

import datetime as dt
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.clock import SystemClock
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.shadow.exposures.pseudonyms import key_of, pseudonym
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder
from seqplat_resources.shadow.routing import is_ours
from sequence_defs.schema import Column, Compared, EventType, Experiment, Legacy, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from serving.cli.main import root
from serving.follow.release import Follower
from serving.http.app import create_app
from tests.building import days, runtime_for
from tests.online_stores import redis_url
from tests.serving.conftest import settings_for
from tests.serving.keys import new_headers
from tests.sources.log.logs import until

DAYS = days(dt.date(2024, 5, 1), 2)
USERS = [f"user {number}" for number in range(60)]
PASS = Grounds("PASS", "d")

shop = Tenant(name="grocery", tenant="grocery")
_OWNED: dict[str, Any] = {"tenant": "grocery", "owner": "team:grocery"}
visits = Source(
    name="visits",
    location="visits.parquet",
    columns=(
        Column(name="member", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="visit", dtype="int64", nullable=False),
        Column(name="page", dtype="string"),
        Column(name="seconds", dtype="int64"),
    ),
    event_time=Time(sql="at"),
    user_id="member",
    start=DAYS[0],
    end=DAYS[-1] + dt.timedelta(days=1),
    **_OWNED,
)
# Other names, times in local time, a type that is narrower, and no page.
old_visits = Source(
    name="old_visits",
    location="old_visits.csv",
    format="csv",
    columns=(
        Column(name="who", dtype="string", nullable=False),
        Column(name="local_time", dtype="string", nullable=False, field="when"),
        Column(name="nr", dtype="int64", nullable=False),
        Column(name="dwell", dtype="int32"),
    ),
    event_time=Time(sql="STRPTIME(local_time, '%Y-%m-%d %H:%M:%S')", timezone="Europe/Berlin"),
    user_id="who",
    start=DAYS[0],
    end=DAYS[-1] + dt.timedelta(days=1),
    **_OWNED,
)
visit = EventType(
    name="visit",
    source="visits",
    columns=(
        Column(name="visit", dtype="int64", nullable=False),
        Column(name="page", dtype="string"),
        Column(name="seconds", dtype="int64"),
    ),
    id_field="visit",
    retention_days=1000,
    lifecycle="shadow",
    legacy=Legacy(source="old_visits", event_id="nr", serve=True, columns={"seconds": Compared(field="dwell")}),
    experiment=Experiment(),
    **_OWNED,
)
# Never moved: the same rows as another type, so that orders of both must interleave.
plain = visit.model_copy(update={"name": "glance", "legacy": None, "experiment": None, "lifecycle": "live"})
history = SequenceDefinition(
    name="history", event_types=("visit", "glance"), columns=("page", "seconds"), length=100, **_OWNED
)


def _rows() -> list[dict[str, Any]]:
    midnight = dt.datetime(2024, 5, 1, 6)
    return [
        {
            "member": user,
            "at": (midnight + dt.timedelta(hours=7 * n, minutes=place)).replace(tzinfo=dt.UTC),
            "visit": 100 * place + n,
            "page": f"page {n}",
            "seconds": 10 * n + place,
        }
        for place, user in enumerate(USERS)
        for n in range(5)
    ]


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Ours has every visit; the old pipeline misses each user's second and rounds what is left to tens."""
    environment = {} if request.param == "lmdb" else {"SEQPLAT_ONLINE": redis_url(request.param)}
    folder = tmp_path_factory.mktemp("arms")
    pl.DataFrame(_rows()).write_parquet(folder / "visits.parquet")
    old = pl.DataFrame(_rows()).filter(pl.col("visit") % 100 != 1)
    old.select(
        who="member",
        when=pl.col("at").dt.convert_time_zone("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S"),
        nr="visit",
        dwell=pl.col("seconds") // 10 * 10,
    ).write_csv(folder / "old_visits.csv")
    home = Home(str(folder / "home"), environment)
    runtime = runtime_for(home, [shop, visits, old_visits, visit, plain, history], folder)
    for source in ("visits", "old_visits"):
        list(raw.ingest(runtime, source, DAYS))
    store = open_online_store(runtime.home)
    for name in runtime.release.event_types:
        list(events.build(runtime, name, DAYS))
        list(publish(runtime, store, name, DAYS))
    store.close()
    return home


@pytest.fixture
def ladder(built: Home) -> Ladder:
    return Ladder(built, visit)


@pytest.fixture(scope="module")
def client(built: Home) -> Iterator[TestClient[Litestar]]:
    sent = new_headers(Path(built.root))
    settings = replace(settings_for(Path(built.root)), home=built)
    with TestClient(create_app(settings), raise_server_exceptions=False) as running:
        running.headers.update(sent)
        yield running


def _expected(user: str, ours: bool) -> list[tuple[str, str, str | None, int]]:
    """What a user has, newest first: kind, id, page, seconds."""
    mine = sorted((row for row in _rows() if row["member"] == user), key=lambda row: row["at"], reverse=True)
    found = []
    for row in mine:
        both = [("glance", str(row["visit"]), row["page"], row["seconds"])]
        if ours:
            both.append(("visit", str(row["visit"]), row["page"], row["seconds"]))
        elif row["visit"] % 100 != 1:
            both.append(("visit", str(row["visit"]), None, row["seconds"] // 10 * 10))
        found += both
    return found


def _found(answer: dict[str, Any]) -> list[tuple[str, str, str | None, int]]:
    columns = answer["columns"]
    times = columns["event_time"]
    assert times == sorted(times, reverse=True)
    rows = list(zip(columns["event_type"], columns["event_id"], columns["page"], columns["seconds"], strict=True))
    assert len({row[:2] for row in rows}) == len(rows)
    # Of equal times the event type decides which comes first; here that is not what is looked at.
    together = sorted(range(len(rows)), key=lambda n: (-_number(times, n), rows[n][0]))
    return [rows[n] for n in together]


def _number(times: Sequence[str], n: int) -> float:
    return dt.datetime.fromisoformat(times[n]).timestamp()


def _exposed(client: TestClient[Litestar], home: Home, move: int) -> dict[str, str]:
    """The arm of each user who was noted since a move, each once however often they asked; none by name."""
    follower: Follower = client.app.state["follower"]
    follower.exposures.behind.write()
    rows = tables.exposures(home, "visit", SystemClock()).scan().filter(pl.col("move") == move).collect()
    assert not set(rows["user"]) & set(USERS)
    names = pl.DataFrame({"name": USERS}).with_columns(pseudonym("name", key_of(home)).alias("user"))
    known = rows.join(names, on="user")
    assert known.height == rows.height == rows["user"].n_unique()
    assert set(known["sequence"]) <= {"history"}
    return dict(known.select("name", "arm").iter_rows())


def test_each_user_gets_the_events_of_their_arm_at_every_step(
    client: TestClient[Litestar], ladder: Ladder, built: Home
) -> None:
    for step, share in (("shadow", 0), ("ab_1", 100), ("ab_10", 1_000), ("ab_50", 5_000), ("live", 10_000)):
        if step != "shadow":
            ladder.advance(by="ann", grounds=PASS)
        ours = {user: is_ours("visit", user, share=share) for user in USERS}
        some = next(iter(USERS))
        path = "/v1/sequences/history"

        def on_the_step(wanted: str = step) -> bool:
            return client.get("/v1/status").json()["cutover"]["visit"]["step"] == wanted

        until(on_the_step, f"the API sees step {step}")
        tags = set()
        for user in USERS:
            response = client.get(f"{path}/users/{user}")
            answer = response.json()
            assert answer["meta"]["arms"] == {"visit": "ours" if ours[user] else "legacy"}
            assert _found(answer) == _expected(user, ours[user]), (step, user)
            tags.add(response.headers["etag"])
            known = client.get(f"{path}/users/{user}", headers={"if-none-match": response.headers["etag"]})
            assert known.status_code == 304
        asked = [*USERS[::-1], some]
        batch = client.post(f"{path}/batch", json={"users": asked}).json()
        assert [each["user_id"] for each in batch["users"]] == asked
        for each in batch["users"]:
            assert each["arms"] == {"visit": "ours" if ours[each["user_id"]] else "legacy"}
            assert _found(each) == _expected(each["user_id"], ours[each["user_id"]]), step
        assert batch["meta"]["completeness"] == 1.0
        exposed = {user: "ours" if ours[user] else "legacy" for user in USERS} if 0 < share < 10_000 else {}
        assert _exposed(client, built, ladder.standing().number) == exposed
    ladder.roll_back(by="ann", reason="alarm", to="shadow")


def test_a_sequence_without_arms_says_nothing_of_them(client: TestClient[Litestar]) -> None:
    answer = client.get(f"/v1/sequences/history/users/{USERS[0]}", params={"event_types": "glance"}).json()
    assert set(answer["columns"]["event_type"]) == {"glance"}


def test_who_is_not_moved_is_told_of_legacys_events(
    client: TestClient[Litestar], ladder: Ladder, built: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the command line, and of the second visit, which legacy lacks."""
    assert ladder.standing().step.share == 0
    until(lambda: client.get("/v1/status").json()["cutover"]["visit"]["step"] == "shadow", "the API sees the step")
    # A process opens a store once, and this one has it open.
    monkeypatch.setenv("SEQPLAT_HOME", str(shutil.copytree(built.root, tmp_path / "home")))
    monkeypatch.setenv("SEQPLAT_SOURCES", str(Path(built.root).parent))
    monkeypatch.delenv("SEQPLAT_ONLINE", raising=False)
    for name, value in built.environment.items():
        monkeypatch.setenv(name, value)
    user, path = USERS[3], f"/v1/sequences/history/users/{USERS[3]}"
    shown = client.get(path).json()["columns"]
    for event_id in ("300", "301"):
        there = [k for k, i in zip(shown["event_type"], shown["event_id"], strict=True) if i == event_id]
        asked = {"event_id": event_id, "event_type": "visit"}
        found = client.get(f"{path}/explain", params=asked).json()
        by_command = CliRunner().invoke(root, ["explain", "history", user, event_id, "--type", "visit", "--json"])
        assert by_command.exit_code == 0, by_command.exception
        assert json.loads(by_command.output)["verdict"] == found["verdict"]
        assert found["verdict"]["code"] == ("in_answer" if "visit" in there else "in_legacy")
        assert "legacy's events of visit" in found["verdict"]["text"]
    got = CliRunner().invoke(root, ["get", "history", user, "--columns", "event_type,event_id"]).output
    assert "9 newest event(s)" in got
    assert "events of visit: legacy" in got

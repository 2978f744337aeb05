"""The release and the store move under a running API."""

import datetime as dt
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.enrichment.table import online_name
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.online_store import BucketVersion
from seqplat_resources.online_store.errors import StoreAwayError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.stream.trouble import Trouble, Troubles
from sequence_defs.compiler.discover import discover
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from tests.building import runtime_for
from tests.online_stores import publish_one
from tests.serving.conftest import Start, settings_for

PATIENCE_S = 120


@pytest.fixture
def follower(home: Path) -> Iterator[Follower]:
    follower = Follower(settings_for(home))
    follower.refresh()
    yield follower
    follower.close()


def test_a_moved_channel_is_followed(follower: Follower, home: Path) -> None:
    before = follower.serving
    newer = _publish(home, length=7)
    assert follower.serving is before
    follower.refresh()
    assert follower.serving.loaded.id == newer
    assert follower.serving.plan("household_history").definition.length == 7


def test_a_channel_that_stays_keeps_the_loaded_release(follower: Follower) -> None:
    before = follower.serving
    follower.refresh()
    assert follower.serving is before


def test_a_damaged_release_leaves_the_last_good_one(follower: Follower, home: Path) -> None:
    good = follower.serving
    newer = _publish(home, length=7)
    (home / "releases" / f"{newer}.json").write_bytes(b"{}")
    follower.refresh()
    assert follower.serving is good
    assert follower.failure
    assert "does not hash to its name" in follower.failure.message
    first = follower.failure
    follower.refresh()
    assert follower.failure is first  # since when, not how often


def test_an_unreadable_release_format_leaves_the_last_good_one(follower: Follower, home: Path) -> None:
    good = follower.serving
    (home / "channels" / "dev" / "000000000002.json").write_text("not json")
    follower.refresh()
    assert follower.serving is good
    assert follower.failure
    assert "000000000002.json is damaged" in follower.failure.message


def test_a_roll_back_clears_the_failure(follower: Follower, home: Path) -> None:
    good = follower.serving.loaded.id
    newer = _publish(home, length=7)
    (home / "releases" / f"{newer}.json").unlink()
    follower.refresh()
    assert follower.failure
    ReleaseStore(Home(str(home), {})).roll_back("dev", by="tests")
    follower.refresh()
    assert follower.failure is None
    assert follower.serving.loaded.id == good
    assert follower.serving.move.note == "roll back to move 1"


def test_without_a_release_it_says_what_to_do(tmp_path: Path) -> None:
    follower = Follower(settings_for(tmp_path))
    follower.refresh()
    with pytest.raises(NotReady) as caught:
        _ = follower.serving
    assert caught.value.fix == "publish a release to channel 'dev' with `seqplat publish`"
    assert caught.value.what == "no release is loaded yet"
    assert "channel 'dev' is not in" in caught.value.why


def test_the_api_serves_a_new_release_without_a_restart(home: Path, start: Start) -> None:
    client = start(home)
    newer = _publish(home, length=2)
    _eventually(lambda: client.get("/v1/status").json()["release"]["id"] == newer)
    answer = client.get("/v1/sequences/household_history/users/1146").json()
    assert answer["length"] == 2
    assert answer["meta"]["release"] == newer
    assert client.get("/v1/status").json()["release"]["moved_by"] == "tests"


def test_status_and_metrics_say_which_source_is_not_read(home: Path, start: Start) -> None:
    """A source of another release, and a note that cannot be read, disturb nothing."""
    client, troubles = start(home), Troubles(Home(str(home), {}))
    assert client.get("/v1/status").json()["stream_errors"] == {}
    began = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    first = Trouble.of("transactions", Final("topic 'transactions' is not there"), at=began, wait_s=1.0)
    troubles.put(Trouble.of("transactions", Final("still not there"), at=began, wait_s=4.0).after(first))
    troubles.put(Trouble.of("elsewhere", Final("not ours"), at=began, wait_s=4.0))
    _eventually(lambda: client.get("/v1/status").json()["stream_errors"].get("transactions", {}).get("attempts") == 2)
    told = client.get("/v1/status").json()["stream_errors"]
    assert told.keys() == {"transactions"}
    told = told["transactions"]
    assert told["message"] == "still not there"
    assert dt.datetime.fromisoformat(told["since"]) == began
    assert dt.datetime.fromisoformat(told["again_at"]) == began + dt.timedelta(seconds=4)
    line = re.search(r'seqplat_stream_failing_seconds\{source="transactions"\} (.*)', client.get("/metrics").text)
    assert line
    assert float(line[1]) > 299
    (home / "streams/trouble/transactions").write_bytes(b"{")
    _eventually(lambda: "cannot be read" in client.get("/v1/status").json()["stream_errors"]["transactions"]["message"])
    troubles.clear("transactions")
    _eventually(lambda: client.get("/v1/status").json()["stream_errors"] == {})


def test_the_api_serves_on_and_reports_when_a_release_is_bad(home: Path, start: Start) -> None:
    client = start(home)
    good = client.get("/v1/status").json()["release"]["id"]
    newer = _publish_damaged(home, length=2)
    _eventually(lambda: client.get("/v1/status").json()["release_error"] is not None)
    status = client.get("/v1/status").json()
    assert newer[:12] in status["release_error"]["message"]
    assert status["release"]["id"] == good
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/sequences/household_history/users/1146").json()["meta"]["release"] == good


def test_the_api_becomes_ready_when_there_is_something_to_serve(tmp_path: Path, published: Path, start: Start) -> None:
    client = start(tmp_path)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert _problem(client.get("/readyz"))["fix"] == "publish a release to channel 'dev' with `seqplat publish`"
    nothing = client.get("/v1/status").json()
    assert (nothing["ready"], nothing["release"], nothing["event_types"]) == (False, None, {})

    for part in ("releases", "channels"):
        shutil.copytree(published / part, tmp_path / part, dirs_exist_ok=True)
    _eventually(lambda: client.get("/v1/status").json()["release"] is not None)
    problem = _problem(client.get("/readyz"))
    assert problem["detail"] == "the online store is not open yet"
    assert f"no online store at {tmp_path / 'online'}" in client.get("/v1/status").json()["store_error"]["message"]
    assert problem["fix"] == "build and publish at least one day, for example with `seqplat materialize`"
    assert client.get("/v1/sequences/household_history/schema").status_code == 200
    assert _problem(client.get("/v1/sequences/household_history/users/1146"))["title"] == "Not ready"

    shutil.copytree(published / "online", tmp_path / "online")
    _eventually(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/v1/sequences/household_history/users/1146").json()["length"] > 0


class _Away:
    """A store whose server is gone."""

    def epoch(self, *_: object, **__: object) -> None:
        raise StoreAwayError("Connection refused", where="redis://cache:6379/0, prefix shop:", fix="start the server")

    snapshot = stats = epoch

    def close(self) -> None:
        pass


def test_a_store_that_is_away_empties_no_load_balancer(
    home: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    client = start(home)
    assert client.get("/v1/status").json()["store_error"] is None
    follower: Follower = client.app.state["follower"]
    store, follower._store = follower._store, _Away()  # type: ignore[assignment]
    _eventually(lambda: client.get("/v1/status").json()["store_error"] is not None)
    status = client.get("/v1/status").json()
    assert "redis://cache:6379/0" in status["store_error"]["message"]
    assert (status["ready"], status["event_types"]) == (True, {})
    assert client.get("/readyz").status_code == 200
    answer = client.get("/v1/sequences/household_history/users/1146")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "what this is answered from is away at the moment"
    assert answer.json()["fix"] == "send the request again in 5 s"
    assert "cache:6379" not in answer.text
    assert "cache:6379" in caplog.text

    follower._store = store
    _eventually(lambda: client.get("/v1/status").json()["store_error"] is None)
    assert client.get("/v1/sequences/household_history/users/1146").status_code == 200


def test_status_counts_what_is_published(home: Path, start: Start) -> None:
    types = start(home).get("/v1/status").json()["event_types"]
    assert set(types) == {"purchase", "discount", "coupon_redemption", "campaign_received"}
    assert types["purchase"]["days"] == 3
    assert types["purchase"]["epoch"] == 1
    assert types["purchase"]["rows"] > 1000


def test_status_tells_event_types_from_tables_that_streams_look_up_in(home: Path, start: Start) -> None:
    store = open_online_store(Home(str(home), {}))
    bucket = BucketVersion(delta_version=1, rows=0, users=0)
    publish_one(store, online_name("baskets"), "0001-01-01", [], bucket=bucket, release="r", expected_epoch=None)
    store.close()
    status = start(home).get("/v1/status").json()
    assert set(status["event_types"]) == {"purchase", "discount", "coupon_redemption", "campaign_received"}
    assert status["enrichments"] == {"baskets": {"epoch": 1, "release": "r", "days": 1, "rows": 0}}


def _publish(home: Path, *, length: int) -> str:
    """A release whose household_history has another length; returns its id."""
    found = discover("sequence_defs.definitions.demo").definitions
    changed = [d.model_copy(update={"length": length}) if d.name == "household_history" else d for d in found]
    return runtime_for(home, changed).loaded.id


def _publish_damaged(home: Path, *, length: int) -> str:
    """The same, damaged before the channel points at it, so that nobody who follows has read it whole."""
    aside = home / "aside"
    for part in ("releases", "channels"):
        shutil.copytree(home / part, aside / part)
    newer = _publish(aside, length=length)
    (home / "releases" / f"{newer}.json").write_bytes(b"{}")
    moved = max((aside / "channels" / "dev").iterdir())
    moved.rename(home / "channels" / "dev" / moved.name)
    return newer


def _problem(response: Any) -> dict[str, Any]:
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "5"
    problem: dict[str, Any] = response.json()
    return problem


def _eventually(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)

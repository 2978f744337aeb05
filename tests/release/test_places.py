"""Where the data of a channel is: the first one's at the root, every later one's apart, on every storage, for ever."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import pytest
from click.testing import CliRunner

from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.online_store.redis import RedisStore
from seqplat_resources.records.log import RecordConflict, RecordLog
from seqplat_resources.release.places import ChannelNameInvalid
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ChannelCorrupt, ReleaseStore
from serving.access.keys.store import KeyStore
from serving.access.usage import default_file
from serving.cli.dagster_home import DagsterHomeOfOther, ensure_dagster_home
from serving.cli.main import root
from tests.online_stores import redis_url
from tests.release.test_store import release


@pytest.fixture
def store(home: Home) -> ReleaseStore:
    return ReleaseStore(home)


def published(store: ReleaseStore, channel: str, text: str = "first") -> str:
    """Where its data is then."""
    store.move(channel, store.put(release(text)), by="tests")
    return store.home_of(channel).place


def from_before(store: ReleaseStore, channel: str, *texts: str) -> None:
    """Moves as they were written before they said where the data is."""
    log = RecordLog(store.home.objects, f"channels/{channel}")
    for number, text in enumerate(texts):
        entry = {"release": store.put(release(text)), "moved_at": "2026-01-01T00:00:00+00:00"}
        log.append(json.dumps({**entry, "moved_by": "them", "note": ""}).encode(), after=number)


def test_the_first_channel_is_at_the_root_and_every_other_one_apart(store: ReleaseStore) -> None:
    assert [published(store, name) for name in ("prod", "dev", "a.b-c_9")] == ["", "at/dev", "at/a.b-c_9"]
    assert store.home_of("dev").root == f"{store.home.root}/at/dev"
    assert store.channels() == ["a.b-c_9", "dev", "prod"]
    # Whatever part of it one begins at, what all share is found, and a part of a part is a part of the whole.
    dev = store.home_of("dev")
    assert ReleaseStore(dev).history("prod") == store.history("prod")
    assert (dev.part("at/prod").root, dev.part("").root) == (f"{store.home.root}/at/prod", store.home.root)
    assert KeyStore(dev).number() == KeyStore(store.home).number()
    assert default_file(dev) == default_file(store.home)


def test_a_place_is_kept_by_every_move_and_when_its_first_ones_are_gone(store: ReleaseStore) -> None:
    for text in ("first", "second"):
        published(store, "prod", text), published(store, "dev", text)
    store.roll_back("dev", by="tests")
    for number in (1, 2):
        store.home.objects.delete(f"channels/dev/{number:012d}.json")
    store.home.objects.delete("channels/prod/000000000001.json")
    assert (published(store, "dev"), published(store, "prod")) == ("at/dev", "")
    assert {move.place for move in store.history("dev")} == {"at/dev"}


def test_channels_from_before_stay_at_the_root_and_new_ones_do_not(store: ReleaseStore) -> None:
    from_before(store, "prod", "first", "second")
    from_before(store, "team/dev ünsre", "first")
    assert store.home_of("prod").root == store.home_of("team/dev ünsre").root == store.home.root
    assert (store.sharing("prod"), store.channels()) == (["team/dev ünsre"], ["prod", "team/dev ünsre"])
    assert (published(store, "new"), published(store, "prod"), published(store, "prod", "second")) == ("at/new", "", "")
    assert store.current("prod").place == ""
    assert (store.sharing("new"), store.sharing("nobody")) == ([], [])
    assert Runtime(store.home_of("new"), store.load("new"), "").neighbours()[0].home.root == store.home.root


def test_of_many_that_are_published_first_at_once_one_has_the_root(store: ReleaseStore) -> None:
    names, together = [f"c{n}" for n in range(8)] * 2, Barrier(16)
    stored = store.put(release())

    def publish(name: str) -> None:
        together.wait()
        with suppress(RecordConflict):  # the other one of the same name
            store.move(name, stored, by="tests")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(publish, names))
    places = [store.home_of(name).place for name in sorted({*names})]
    assert places.count("") == 1
    assert len({*places}) == 8


@pytest.mark.parametrize("told", [{"channel": "prod"}, {"channel": 7}, []])
def test_whoever_was_broken_off_before_its_first_move_has_its_place_still(store: ReleaseStore, told: object) -> None:
    """And a note that is damaged gives the root to nobody."""
    RecordLog(store.home.objects, "owner").append(json.dumps(told).encode(), after=0)
    assert published(store, "dev") == "at/dev"
    assert published(store, "prod") == ("" if told == {"channel": "prod"} else "at/prod")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../prod",
        "prod/..",
        "a//b",
        "/prod",
        "prod/",
        "a/b",
        "a b",
        "{m}",
        "a\n",
        "x" * 64,
        "\0",
        "-x",
        "ü",
    ],
)
def test_a_name_that_would_lead_elsewhere_is_refused(store: ReleaseStore, name: str) -> None:
    stored, _ = store.put(release()), published(store, "prod")
    with pytest.raises(ChannelNameInvalid, match="is no name of a channel; use up to 63 letters"):
        store.move(name, stored, by="tests")
    assert store.channels() == ["prod"]


@pytest.mark.parametrize("place", ["at/../../elsewhere", "at/", "dev", "/", "lake", 5, "at/a/b", "https://x"])
def test_a_place_that_is_none_is_damage(store: ReleaseStore, place: object) -> None:
    published(store, "prod")
    entry = json.loads(RecordLog(store.home.objects, "channels/prod").read(1).data)
    RecordLog(store.home.objects, "channels/prod").append(json.dumps(entry | {"place": place}).encode(), after=1)
    with pytest.raises(ChannelCorrupt, match="is no place"):
        store.home_of("prod")


def test_a_channel_apart_has_its_own_part_of_a_store_that_is_named(tmp_path: Path) -> None:
    store = ReleaseStore(Home(str(tmp_path / "home"), {"SEQPLAT_ONLINE": str(tmp_path / "online")}))
    published(store, "prod"), published(store, "dev")
    for channel in ("prod", "dev"):
        open_online_store(store.home_of(channel)).close()
    assert (tmp_path / "online/data.mdb").exists()
    assert (tmp_path / "online/at/dev/data.mdb").exists()
    url = redis_url("redis")
    with_redis = ReleaseStore(Home(store.home.root, {"SEQPLAT_ONLINE": url}))
    online = open_online_store(with_redis.home_of("dev"))
    assert isinstance(online, RedisStore)
    assert online._catalog.names.prefix == f"{url.partition('prefix=')[2]}at/dev/"
    online.close()


def test_a_folder_of_dagster_belongs_to_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To Dagster, assets of one name are one asset, whichever code location has them."""
    store = ReleaseStore(Home(str(tmp_path / "home"), {}))
    published(store, "prod"), published(store, "dev")
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert ensure_dagster_home(store.home_of("dev")) == tmp_path / "home/at/dev/dagster"
    for _ in range(2):
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "both"))
        ensure_dagster_home(store.home_of("prod"))
    with pytest.raises(DagsterHomeOfOther, match="give each channel a DAGSTER_HOME of its own"):
        ensure_dagster_home(store.home_of("dev"))


def test_people_are_told_that_a_channel_begins_empty_or_shares_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    store = ReleaseStore(Home(str(tmp_path / "home"), {}))

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(root, arguments)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    assert "begins empty" not in said("publish")
    assert "shares" not in said("check")
    text = said("publish", "--channel", "prod")
    assert f"its data is apart from that of other channels, in {tmp_path}/home/at/prod, and begins empty" in text
    assert "to fill it, with SEQPLAT_CHANNEL=prod: `seqplat materialize FIRST_DAY LAST_DAY` builds every day" in text
    assert "begins empty" not in said("publish", "--channel", "prod")
    from_before(store, "old", "first")
    text = said("check")
    assert "warning: channel 'dev' shares lake, online store and streams with 'old'" in text
    assert "publish to a new name, such as `seqplat publish --channel dev-2`" in text
    os.unlink(tmp_path / "home/channels/old/000000000001.json")
    assert "shares" not in said("check")

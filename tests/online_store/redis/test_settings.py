"""What SEQPLAT_ONLINE may say of a server, and that nobody gets to see its password."""

import pickle
import socket
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.online_store.errors import StoreAwayError, StoreUnusableError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.online_store.redis import RedisSettings
from tests.ports import free_port


def test_everything_can_be_said_in_the_url() -> None:
    url = "rediss://seq:p%40ss@one,two:7000,[::1]:7001/2?prefix=shop:&timeout_ms=250&ca=/etc/ca.pem"
    assert RedisSettings.parse(url) == RedisSettings(
        (("one", 6379), ("two", 7000), ("::1", 7001)),
        db=2,
        tls=True,
        username="seq",
        password="p@ss",
        prefix="shop:",
        timeout_ms=250,
        ca="/etc/ca.pem",
    )
    assert RedisSettings.parse("redis://localhost") == RedisSettings((("localhost", 6379),))


def test_password_of_the_environment_comes_first() -> None:
    environment = {"SEQPLAT_ONLINE_PASSWORD": "new"}
    assert RedisSettings.parse("redis://:old@localhost", environment).password == "new"
    assert RedisSettings.parse("redis://localhost", environment).password == "new"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("redis://u:hush@localhost:0x/0", "the URL cannot be read"),
        ("redis://u:hush@localhost/zero", "the URL cannot be read"),
        ("redis://u:hush@/0", "the URL cannot be read"),
        ("redis://u:hush@localhost/0?timeout_ms=soon", "the URL cannot be read"),
        ("redis://u:hush@localhost/0?prefix", "the URL cannot be read"),
        ("redis://u:hush@localhost/0?prefx=x", "unknown option 'prefx'"),
        ("redis://u:hush@localhost/0?prefix={x}", r"prefix '\{x\}' is empty or has braces"),
        ("redis://u:hush@localhost/-1", "not a positive number"),
        ("redis://u:hush@localhost/0?timeout_ms=0", "not a positive number"),
    ],
)
def test_urls_that_cannot_be_are_refused_without_their_password(url: str, what: str) -> None:
    with pytest.raises(StoreUnusableError, match=rf"{what}.*, at SEQPLAT_ONLINE; write redis://\[user") as found:
        RedisSettings.parse(url)
    assert "hush" not in str(found.value)
    assert found.value.__suppress_context__ or found.value.__context__ is None


@pytest.mark.parametrize(("scheme", "written"), [("valkey", "redis"), ("valkeys", "rediss")])
def test_valkey_is_written_as_redis(scheme: str, written: str) -> None:
    with pytest.raises(
        StoreUnusableError, match=rf"also of Valkey, at SEQPLAT_ONLINE; begin with {written}://$"
    ) as found:
        RedisSettings.parse(f"{scheme}://u:hush@localhost")
    assert "hush" not in str(found.value)


def test_tls_to_a_port_without_says_what_it_may_be(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        where = f"rediss://127.0.0.1:{silent.getsockname()[1]}/0?timeout_ms=100"
        with pytest.raises(
            StoreAwayError, match=r"no answer in time.*; see that the port speaks TLS, or write redis://"
        ):
            open_online_store(Home(str(tmp_path), {"SEQPLAT_ONLINE": where}))


def test_password_is_in_no_text() -> None:
    settings = RedisSettings.parse("redis://u:hush@localhost/0")
    assert "hush" not in f"{settings!r} {settings} {settings.where}"
    assert settings.where == "redis://localhost:6379/0?prefix=seqplat:"
    assert pickle.loads(pickle.dumps(settings)).password == "hush"


def test_nobody_there_is_said_with_the_place_and_without_the_password(tmp_path: Path) -> None:
    port = free_port()
    home = Home(str(tmp_path), {"SEQPLAT_ONLINE": f"redis://u:hush@127.0.0.1:{port}/0?prefix=x:"})
    with pytest.raises(
        StoreAwayError,
        match=rf"the server cannot be reached \(.*refused.*\), at redis://127.0.0.1:{port}/0\?prefix=x:; start it, or",
    ) as found:
        open_online_store(home)
    assert "hush" not in str(found.value)


def test_a_folder_is_still_a_folder(tmp_path: Path) -> None:
    store = open_online_store(Home("s3://bucket", {"SEQPLAT_ONLINE": str(tmp_path / "online")}))
    assert isinstance(store, LmdbStore)
    store.close()

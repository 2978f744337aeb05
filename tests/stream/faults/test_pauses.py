"""A process that sleeps past its leases (a signal, a suspended machine): it drops what it lost, and goes on."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log.file.folder import FileLogSource
from seqplat_resources.stream import ownership
from tests.building import ManualClock
from tests.sources.log.logs import until
from tests.stream.test_service import archived, clicked, made, running, seen
from tests.stream.world import Shop

TTL = dt.timedelta(seconds=1)
SLEEPER = """
import datetime as dt, os, signal
from contextlib import closing
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream import ownership
from seqplat_resources.stream.loop import Pace
from seqplat_resources.stream.service import StreamService
ownership.TTL, ownership.RENEW_EVERY = dt.timedelta(seconds=1), dt.timedelta(seconds=0.1)
home = Runtime.from_environment().home
with closing(open_online_store(home)) as store:
    pace = Pace(rows=50, poll_s=0.02, keep_s=0.05, heartbeat_s=60)
    service = StreamService(Runtime.from_environment, store, os.environ, pace=pace)
    signal.signal(signal.SIGTERM, lambda *_: service.stop.set())
    service.run()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(ownership, "TTL", TTL)
    monkeypatch.setattr(ownership, "RENEW_EVERY", TTL / 10)
    made = Shop(tmp_path, LmdbStore(tmp_path / "home" / "online", sync=False))
    with closing(made.store):
        yield made


@contextmanager
def sleeper(shop: Shop) -> Iterator["subprocess.Popen[str]"]:
    """A stream in a process of its own; whatever becomes of it, it is ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQPLAT_")}
    environment = kept | {"SEQPLAT_HOME": shop.runtime.home.root, "SEQPLAT_LOG_DIR": str(shop.folder / "log")}
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_that_was_stopped_past_its_leases_goes_on(shop: Shop) -> None:
    shop.say(clicked(range(10)))
    with sleeper(shop) as process:
        until(lambda: seen(shop, 10)() and archived(shop) == 10, "its first messages")
        process.send_signal(signal.SIGSTOP)
        with running(made(shop)) as errors:
            shop.say(clicked(range(10, 20)))
            until(seen(shop, 20), "another to take over")
            process.send_signal(signal.SIGCONT)
            shop.say(clicked(range(20, 30)))
            until(seen(shop, 30), "the messages after it woke up")
        assert errors == []
        shop.say(clicked(range(30, 40)))  # for nobody but it
        until(seen(shop, 40), "it to go on alone")
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    assert sorted(row["value"] for row in shop.answer("ann")) == [1] * 40
    assert archived(shop) == 40


def test_a_stream_that_slept_in_the_middle_of_a_batch_is_restarted_and_doubles_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes up with messages in hand that its heir has shown meanwhile."""
    shop.say(clicked(range(10)))
    poll, slept = FileLogSource.poll, list[bool]()

    def sleepy(log: FileLogSource, **how: float) -> object:
        polled = poll(log, **how)  # type: ignore[arg-type]
        if polled and not slept:
            slept.append(True)
            shop.clock = ManualClock(dt.datetime.now(dt.UTC) + 2 * TTL)
            heir = shop.loop()
            with closing(heir.log):
                while sum(shop.streamed().values()) < 10:
                    heir.once()
                heir.close()
        return polled

    monkeypatch.setattr(FileLogSource, "poll", sleepy)
    with running(made(shop)) as errors:
        until(lambda: bool(slept), "a batch in hand")
        shop.say(clicked(range(10, 20)))
        until(lambda: seen(shop, 20)() and archived(shop) == 20, "it to go on")
    assert errors == []
    assert len(shop.answer("ann")) == 20

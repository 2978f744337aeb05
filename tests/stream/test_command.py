"""`seqplat stream` as a process: told to end, it keeps what it read and gives its partitions back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.home import Home
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log import Partition
from seqplat_resources.stream.ownership import Ownership
from tests.building import utc
from tests.sources.log.logs import until
from tests.stream.world import TOPIC, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "home" / "online"))
    with closing(made.store):
        yield made


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(shop: Shop, how: signal.Signals) -> None:
    row = {"member": "ann", "at": utc(2024, 5, 1, 12), "received": utc(2024, 5, 4), "amount": 1}
    shop.say([row | {"click": n, "partition": n % 2} for n in range(50)])
    home = shop.runtime.home.root
    environment = {**os.environ, "SEQPLAT_HOME": home, "SEQPLAT_LOG": "file"}
    environment["SEQPLAT_LOG_DIR"] = str(shop.folder / "log")
    command = [sys.executable, "-m", "serving.cli", "stream"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            until(lambda: process.poll() is not None or sum(shop.streamed().values()) == 50, "the messages")
            process.send_signal(how)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "everything read is kept" in said
    kept = tables.archive(shop.runtime, shop.plan.source).scan().select("_partition", "_offset").collect()
    assert sorted(kept.rows()) == [(f"{TOPIC}:{n}", offset) for n in (0, 1) for offset in range(25)]
    # No lease is left that another would have to wait for.
    next_one = Ownership(Home(home, {}), "clicks")
    next_one.renew([Partition(TOPIC, 0), Partition(TOPIC, 1)])
    assert len(next_one.tokens) == 2

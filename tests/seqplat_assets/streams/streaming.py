"""A shop whose clicks are streamed, as a deployment has it: everything it needs is said by its environment."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.answer import answer
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.stream.loop import StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.schema import Definition
from tests.building import runtime_for
from tests.stream.world import DEFINITIONS, QUICK, TOPIC

DAY = dt.date(2024, 5, 1)


def streamed(
    folder: Path,
    definitions: Iterable[Definition] = DEFINITIONS,
    *,
    clock: Clock = SystemClock(),
    **environment: str,
) -> Runtime:
    """An installation with a topic of two partitions in the file log of its home."""
    home = Home(str(folder / "home"), {"SEQPLAT_HOME": str(folder / "home"), **environment})
    runtime = runtime_for(home, definitions, folder, clock=clock)
    with closing(FileLogWriter(home.uri("log"))) as writer:
        writer.create_topic(TOPIC, 2)
    return runtime


def clicked(member: str, click: int, at: dt.datetime, **more: Any) -> dict[str, Any]:
    return {"member": member, "click": click, "at": at, "received": at, "amount": click, **more}


def say(runtime: Runtime, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append clicks to the log, alternating between partitions by click."""
    with closing(FileLogWriter(runtime.home.uri("log"))) as writer:
        for row in rows:
            writer.append(TOPIC, [(None, json.dumps(row, default=str).encode())], partition=row["click"] % 2)
        writer.flush()


def read_all(runtime: Runtime, source: str = TOPIC) -> None:
    """Make all that was said visible and keep it, as a stream that ends when there is no more."""
    with closing(open_online_store(runtime.home)) as store, closing(FileLogSource(runtime.home.uri("log"))) as log:
        ownership = Ownership(runtime.home, source, runtime.clock)
        loop = StreamLoop(runtime, source, log, store, NoLookup(), ownership, QUICK, runtime.clock)
        while loop.once():
            pass
        loop.close()


def visible(runtime: Runtime, member: str) -> list[str]:
    """The clicks a reader sees now, newest first."""
    plan = SequencePlan.of(runtime.loaded, "recent")
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        return answer(plan, store, member).events["event_id"].to_list()

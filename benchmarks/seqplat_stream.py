"""Our contestants of the stream benchmarks: `prepare` a home, `run` its stream to the end, `export` what it holds.

`run` is the loop of `seqplat stream`, from a home that has a release, a published enrichment and nothing of the topic,
until every message is visible online and kept in the lake. `export` is never measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from benchmarks import messages, product
from benchmarks.messages import KEPT, VISIBLE
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.enrichments import publish as publish_enrichment
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.enrichment import StreamLookup
from seqplat_resources.online_store import decode_blocks
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.stream.loop import StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.service import StreamService

DEFINITIONS = Path(__file__).parent / "definitions" / "event_stream.py"
SOURCE, EVENT_TYPE, ENRICHMENT = "events", "action", "item"
LOGS = {"seqplat-confluent": "confluent", "seqplat-kafka-python": "kafka"}
CLIENTS = {"confluent": "confluent-kafka", "kafka": "kafka-python"}


def prepare(home: Path, sources: Path, topic: str, day: dt.date = messages.DAY) -> None:
    """Publish the release, build the enrichment's bucket of ``day`` and publish its values for look-ups."""
    runtime = product.published(home, DEFINITIONS, sources, topic=topic)
    list(product.build(runtime, "enrichments", ENRICHMENT, [day]))
    with closing(open_online_store(runtime.home)) as store:
        list(publish_enrichment(runtime, store, ENRICHMENT, [day]))


def run(home: Path, sources: Path, bootstrap: str, log_kind: str, count: int) -> dict[str, object]:
    """Stream ``count`` messages; and what it took."""
    environment = {**os.environ, "SEQPLAT_KAFKA_BOOTSTRAP": bootstrap, "SEQPLAT_LOG": log_kind}
    runtime = product.runtime(home, sources)
    with (
        closing(open_online_store(runtime.home)) as store,
        closing(open_log_source(environment, runtime.home, group=f"seqplat-{SOURCE}")) as log,
        closing(StreamLookup(runtime, store, environment)) as lookup,
    ):
        loop = StreamLoop(
            runtime, SOURCE, log, store, lookup, Ownership(runtime.home, SOURCE, runtime.clock), StreamService.pace
        )
        started = time.perf_counter()
        seen = 0
        while seen < count:
            seen += loop.once()
        visible_s = time.perf_counter() - started
        loop.close()
        work_s = time.perf_counter() - started
    found = product.versions() | {CLIENTS[log_kind]: version(CLIENTS[log_kind])}
    said = {"work_s": round(work_s, 3), "visible_s": round(visible_s, 3), "versions": found}
    return said | {"batches": loop.tally.batches}


def export(home: Path, sources: Path, out: Path) -> None:
    """Event and category of what is kept in the lake and of what is visible online, as Parquet."""
    runtime = product.runtime(home, sources)
    plan = EventPlan.of(runtime.loaded, EVENT_TYPE)
    pairs = {"event_id": "string", "category": "string"}
    out.mkdir(parents=True)
    tables.served(runtime, plan).scan().select(list(pairs)).collect().write_parquet(out / KEPT)
    with closing(open_online_store(runtime.home)) as store, store.snapshot() as view:
        blocks = [block.payload for user in range(messages.USERS) for block in view.now_blocks(EVENT_TYPE, str(user))]
        decode_blocks(blocks, store.schema, pairs, where="now").write_parquet(out / VISIBLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("prepare", "fresh", "run", "export"):
        command = commands.add_parser(name)
        command.add_argument("--home", type=Path, required=True)
        if name == "fresh":
            command.add_argument("--of", type=Path, required=True)
            continue
        command.add_argument("--sources", type=Path, required=True)
        if name == "prepare":
            command.add_argument("--topic", required=True)
        elif name == "run":
            command.add_argument("--bootstrap", required=True)
            command.add_argument("--log", choices=CLIENTS, required=True)
            command.add_argument("--messages", type=int, required=True)
        else:
            command.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.home, options.sources, options.topic)
    elif options.command == "fresh":
        shutil.rmtree(options.home, ignore_errors=True)
        shutil.copytree(options.of, options.home)
    elif options.command == "run":
        print(json.dumps(run(options.home, options.sources, options.bootstrap, options.log, options.messages)))
    else:
        export(options.home, options.sources, options.out)


if __name__ == "__main__":
    main()

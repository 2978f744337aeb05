"""Our own side of a comparison, as three commands a contestant is made of: publish, build, export.

`publish` and `export` are never measured. `build` starts as a deployment does, from a home with a release in it, and
calls the batch functions that the Dagster assets call.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import polars as pl

from seqplat_resources.batch.builds import enrichments, events, raw, sequences
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish import events as publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Definition, Snapshot, Source, Versioned, parse_dtype

DEFINITIONS = Path(__file__).parent / "definitions"
DEMO_DEFINITIONS = "sequence_defs.definitions.demo"
DEMO_DATA = Path(__file__).parent.parent / "sequence_defs" / "definitions" / "demo" / "data"

_ITEMS = {"int8": pl.Int8, "float16": pl.Float16, "float32": pl.Float32}


def published(
    home: Path, definitions: str | Path, sources_root: Path, *, shards: int | None = None, topic: str | None = None
) -> Runtime:
    """Publish `definitions` to `home` and load them back; `shards` and `topic` replace what sources of events say.

    Raises:
        ValueError: a definition does not load.
    """
    found = discover(str(definitions))
    if found.errors:
        raise ValueError(f"{definitions} does not load: {found.errors[0].where}: {found.errors[0].message}")
    changes = {name: value for name, value in (("shards", shards), ("topic", topic)) if value is not None}
    declared = [_changed(each, changes) for each in found.definitions]
    store = ReleaseStore(Home(str(home.absolute()), {}))
    store.move(DEFAULT_CHANNEL, store.put(lower(Project(tuple(declared), digests()))), by="benchmarks")
    return runtime(home, sources_root)


def runtime(home: Path, sources_root: Path) -> Runtime:
    """The runtime of a home that has a release."""
    return Runtime.from_environment({"SEQPLAT_HOME": str(home.absolute()), "SEQPLAT_SOURCES": str(sources_root)})


def build(runtime: Runtime, layer: str, name: str, days: Sequence[date]) -> Iterator[BucketResult]:
    """Build one object of one layer: `raw`, `enrichments`, `events`, `sequences` or `online`."""
    builds: dict[str, Callable[[Runtime, str, Sequence[date]], Iterator[BucketResult]]] = {
        "raw": raw.ingest,
        "enrichments": enrichments.build,
        "events": events.build,
        "sequences": sequences.build,
        "online": _publish,
    }
    return builds[layer](runtime, name, days)


def everything(runtime: Runtime) -> list[tuple[str, str]]:
    """Layer and name of all a release builds, in an order that works."""
    release = runtime.release
    fed = sorted({event_type.source for event_type in release.event_types.values()})
    keyed = [name for name, found in release.enrichments.items() if isinstance(found, Versioned | Snapshot)]
    return [
        *(("raw", name) for name in fed),
        *(("enrichments", name) for name in keyed),
        *(("events", name) for name in release.event_types),
        *(("sequences", name) for name in release.sequences),
        *(("online", name) for name in release.event_types),
    ]


def days(first: date, end: date) -> list[date]:
    """Days from `first` up to and excluding `end`."""
    return [first + timedelta(days=n) for n in range((end - first).days)]


def events_table(runtime: Runtime, event_type: str) -> LakeTable:
    return tables.events(runtime, EventPlan.of(runtime.loaded, event_type))


def export(table: LakeTable, out: Path, columns: Mapping[str, str]) -> None:
    """Write a table's current files as plain Parquet below `out`, one file each, rows in the order they have.

    Shapes:
        `columns` maps output names to table columns; vectors become lists of float32, instants naive UTC. The folder
        of a file is `day=<its day>`, as other writers of partitioned Parquet have it.
    """
    declared = {column.name: column.dtype for column in table.columns}
    picks = [plain(source, declared[source]).alias(name) for name, source in columns.items()]
    for number, file in enumerate(sorted(table.delta().file_uris())):
        target = out / next(part for part in file.split("/") if part.startswith(f"{DAY}="))
        target.mkdir(parents=True, exist_ok=True)
        rows = pl.read_parquet(file, columns=list(dict.fromkeys(columns.values())), hive_partitioning=False)
        rows.select(picks).write_parquet(target / f"part-{number:05d}.parquet", compression="lz4")


def plain(name: str, dtype: str) -> pl.Expr:
    """A stored column as others write it: vectors as lists of float32, instants as naive UTC."""
    parsed, value = parse_dtype(dtype), pl.col(name)
    if parsed.kind == "vector":
        items = value.bin.reinterpret(dtype=pl.Array(_ITEMS[parsed.item], parsed.dim), endianness="little")
        return items.cast(pl.Array(pl.Float32, parsed.dim)).arr.to_list()
    return value.dt.replace_time_zone(None) if dtype == "timestamp" else value


def versions() -> dict[str, str]:
    """Ours and those of the libraries that do most of the work."""
    return {name: version(name) for name in ("seqplat", "polars", "deltalake")}


def _publish(runtime: Runtime, name: str, days: Sequence[date]) -> Iterator[BucketResult]:
    store = open_online_store(runtime.home)
    try:
        yield from publish.publish(runtime, store, name, days)
    finally:
        store.close()


def _changed(definition: Definition, changes: Mapping[str, object]) -> Definition:
    if isinstance(definition, Source) and definition.event_time is not None:
        return definition.model_copy(update=dict(changes))
    return definition


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("publish", "build", "export"):
        command = commands.add_parser(name)
        command.add_argument("--home", type=Path, required=True)
        command.add_argument("--sources", type=Path, required=True)
        if name == "publish":
            command.add_argument("--definitions", required=True)
            command.add_argument("--shards", type=int)
            command.add_argument("--topic")
        elif name == "build":
            command.add_argument("--first", type=date.fromisoformat, required=True)
            command.add_argument("--end", type=date.fromisoformat, required=True)
            command.add_argument("objects", nargs="+", metavar="LAYER/NAME")
        else:
            command.add_argument("event_type")
            command.add_argument("out", type=Path)
            command.add_argument("columns", nargs="+", metavar="NAME=COLUMN")
    options = parser.parse_args()
    if options.command == "publish":
        published(options.home, options.definitions, options.sources, shards=options.shards, topic=options.topic)
    elif options.command == "export":
        table = events_table(runtime(options.home, options.sources), options.event_type)
        export(table, options.out, dict(each.split("=") for each in options.columns))
    else:
        _build(options)


def _build(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    loaded, chosen = runtime(options.home, options.sources), days(options.first, options.end)
    steps = {}
    for each in options.objects:
        layer, name = each.split("/")
        began = time.perf_counter()
        for _ in build(loaded, layer, name, chosen):
            pass
        steps[each] = round(time.perf_counter() - began, 3)
    work_s = round(time.perf_counter() - started, 3)
    print(json.dumps({"work_s": work_s, "versions": versions(), "steps_s": steps}))


if __name__ == "__main__":
    main()

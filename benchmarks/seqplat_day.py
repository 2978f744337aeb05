"""Our contestants of the day build: the generated day through the batch functions that the assets call.

`seqplat` has what a day build starts from, the ingested raw bucket and the day's enrichment buckets. `seqplat-files`
starts from the files the peers start from, so that nobody can say ingesting hides work. `seqplat-float16` is `seqplat`
with vectors stored as half floats, the product's usual choice.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from benchmarks.contest import Command, Contestant, Preparation
from benchmarks.workload import DAY, OUTPUT_COLUMNS, DayInput

# Each shard is one pass of the engine and one file; this many rows take about 1 GB.
ROWS_PER_SHARD = 1_250_000

RENAMED = {"event_ts": "event_time", "ingest_ts": "ingest_time"}

RAW = "raw/clicks"
ITEM = "enrichments/item"


def contestants(day: DayInput, rows: int, scratch: Path) -> list[Contestant]:
    """The three of them, for a day of `rows` raw rows; homes and exports lie below `scratch`."""
    shards = max(1, round(rows / ROWS_PER_SHARD))
    ingested, empty = scratch / "home-ingested", scratch / "home-empty"
    prepared = Preparation(
        ingested,
        (
            _publish(ingested, day, shards),
            _build(ingested, day, RAW, ITEM, "enrichments/item_embedding", "enrichments/item_embedding_half"),
        ),
    )
    bare = Preparation(empty, (_publish(empty, day, shards),))
    from_files = (RAW, ITEM, "enrichments/item_embedding", "events/click")
    return [
        _contestant("seqplat", "click", day, ("events/click",), prepared, scratch),
        _contestant("seqplat-files", "click", day, from_files, bare, scratch),
        _contestant("seqplat-float16", "click_half", day, ("events/click_half",), prepared, scratch),
    ]


def _contestant(
    name: str, event_type: str, day: DayInput, objects: tuple[str, ...], prepared: Preparation, scratch: Path
) -> Contestant:
    lake, compared = prepared.folder / "lake", scratch / "compared" / name
    output = lake / "events" / event_type
    starts_from_files = RAW in objects
    columns = [f"{column}={RENAMED.get(column, column)}" for column in OUTPUT_COLUMNS]
    return Contestant(
        name=name,
        command=_build(prepared.folder, day, *objects),
        reads=day.files if starts_from_files else (lake / "raw", lake / "enrichments"),
        clears=(lake if starts_from_files else output,),
        output=output,
        compared=compared,
        prepare=prepared,
        export=((*_command("export", prepared.folder, day), event_type, str(compared), *columns),),
    )


def _publish(home: Path, day: DayInput, shards: int) -> Command:
    definitions = Path(__file__).parent / "definitions" / "synthetic_day.py"
    return (*_command("publish", home, day), "--definitions", str(definitions), "--shards", str(shards))


def _build(home: Path, day: DayInput, *objects: str) -> Command:
    first, end = DAY.date(), DAY.date() + timedelta(days=1)
    return (*_command("build", home, day), "--first", str(first), "--end", str(end), *objects)


def _command(name: str, home: Path, day: DayInput) -> Command:
    return (sys.executable, "-m", "benchmarks.product", name, "--home", str(home), "--sources", str(day.root))

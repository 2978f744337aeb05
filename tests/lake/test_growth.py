"""A release that adds columns reads what an earlier one wrote, without building anything again."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events, raw, sequences
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.schema import Column, Definition, Derived, Enrich, Sequence
from tests.building import runtime_for
from tests.properties.clicks import DAY, FIRST_DAYS, SCHEMA, click, clicks, shop

NEXT = FIRST_DAYS[1]
SCORE = Column(name="score", dtype="float64")
GRADED = Derived(name="graded", tenant="shop", columns=(Column(name="grade", dtype="float64", sql="score * 2"),))


def definitions(*, grown: bool) -> tuple[Definition, ...]:
    """Clicks, and with ``grown`` a new source column, event column and enrichment that hangs on them."""
    source, event_type, shown = clicks(location="clicks-{day}.parquet"), click(), ("item",)
    if not grown:
        return shop, source, event_type, recent(shown)
    columns, uses = (*event_type.columns, SCORE), (Enrich(enrichment="graded"),)
    return (
        shop,
        source.model_copy(update={"columns": (*source.columns, SCORE)}),
        event_type.model_copy(update={"columns": columns, "enrichments": uses}),
        GRADED,
        recent((*shown, "score", "grade")),
    )


def recent(columns: tuple[str, ...]) -> Sequence:
    return Sequence(name="recent", tenant="shop", event_types=("click",), columns=columns)


def write_file(folder: Path, day: dt.date, **more: Any) -> None:
    at = dt.datetime.combine(day, dt.time(12), dt.UTC)
    row = dict.fromkeys(SCHEMA) | {"member": "ann", "at": at, "received": at, "click": 1, "item": 7}
    frame = pl.DataFrame([row], schema=SCHEMA, orient="row").drop("_partition", "_offset")
    frame.with_columns(**more).write_parquet(folder / f"clicks-{day}.parquet")


def test_old_days_have_nulls_in_new_columns_wherever_they_are_read(tmp_path: Path) -> None:
    write_file(tmp_path, DAY)
    before = runtime_for(tmp_path / "home", definitions(grown=False), tmp_path)
    list(raw.ingest(before, "clicks", [DAY]))
    list(events.build(before, "click", [DAY]))
    files = stored(before)

    after = runtime_for(tmp_path / "home", definitions(grown=True), tmp_path)
    store = MemoryStore()
    (published,) = publish(after, store, "click", [DAY])
    (segments,) = sequences.build(after, "recent", [DAY])
    assert (published.rows, segments.rows) == (1, 1)
    segment = tables.sequence(after, "recent").scan().collect()
    assert segment.select("item", "score", "grade").rows() == [([7], [None], [None])]

    write_file(tmp_path, NEXT, click=pl.lit(2), score=pl.lit(0.5))
    list(raw.ingest(after, "clicks", [NEXT]))
    list(events.build(after, "click", [NEXT]))
    table = tables.events(after, EventPlan.of(after.loaded, "click")).scan().sort("day").collect()
    assert table.select("score", "grade", "graded__status").rows() == [(None, None, None), (0.5, 1.0, 0)]
    assert files.items() <= stored(after).items()

    list(events.build(after, "click", [DAY]))  # from raw rows that are older than the column
    table = tables.events(after, EventPlan.of(after.loaded, "click")).scan().sort("day").collect()
    assert table.select("score", "graded__status").rows() == [(None, 1), (0.5, 0)]


def test_a_runtime_of_the_older_release_goes_on_working_beside_the_newer(tmp_path: Path) -> None:
    """Deployments overlap: what the newer one added is null in rows that the older one writes."""
    for number, day in enumerate((DAY, NEXT)):
        write_file(tmp_path, day, click=pl.lit(number), score=pl.lit(0.5))
    before = runtime_for(tmp_path / "home", definitions(grown=False), tmp_path)
    after = runtime_for(tmp_path / "home", definitions(grown=True), tmp_path)
    for runtime, day in ((after, DAY), (before, NEXT)):
        list(raw.ingest(runtime, "clicks", [day]))
        list(events.build(runtime, "click", [day]))
    table = tables.events(after, EventPlan.of(after.loaded, "click")).scan().sort("day").collect()
    assert table["score"].to_list() == [0.5, None]
    kept = tables.raw(before, before.release.sources["clicks"]).scan().sort("day").collect()
    assert kept["_extra"].to_list() == [None, '{"score":0.5}']  # not lost where it was not yet declared


def stored(runtime: Runtime) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in Path(runtime.home.root).rglob("*.parquet") if "_delta" not in str(path)
    }

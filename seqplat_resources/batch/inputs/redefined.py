"""Built days that another definition made: what they note of their meaning is not what the release means now, or they
had rows that were refused and would not be.

A day notes what its rows mean in its own files, so nobody has to remember what was published when. Of one that notes
nothing, as earlier versions left it, it is known which columns it has.
"""

import datetime as dt
from collections.abc import Collection
from functools import lru_cache

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.relaxed import relaxed_days
from seqplat_resources.batch.inputs.rows import MEANING, meaning_noted
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import SeqplatError
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.layout import DAY, stored_name
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.evolution.meaning import Meaning, MeaningMoved
from sequence_defs.schema import Snapshot, Versioned

_AS_IT_IS = MeaningMoved(False, (), ())


def redefined(runtime: Runtime, asset: str, days: Collection[dt.date] | None = None) -> dict[dt.date, MeaningMoved]:
    """By built day of ``raw/``, ``enrichments/`` or ``events/`` (all of them, or ``days``) what of it is not as the
    release has it now. Days that only lack a column are among them; those of other assets are not told apart.

    Cost: the footer of one file per day, once per process; of days that note nothing, two.
    """
    table = _table(runtime, asset)
    if table is None or not table.exists():
        return {}
    now, files = runtime.loaded.meaning_of(asset), table.files()
    if days is not None:
        files = files.filter(pl.col(DAY).is_in([day.isoformat() for day in days]))
    built = files.group_by(DAY).agg(pl.col("path").first()).sort(DAY)
    options = tuple(table.home.storage_options.items())
    noted = {day: {MEANING: meaning_noted(f"{table.uri}/{path}", options)} for day, path in built.rows()}
    if isinstance(table, WholeTable):
        noted = table.with_beside(noted)
    found = {dt.date.fromisoformat(day): moved(now, said[MEANING]) for day, said in noted.items() if said[MEANING]}
    if len(found) < len(noted) and not isinstance(table, WholeTable):
        columns = list(Meaning.from_json(now).columns)
        silent = {day: path for day, path in built.rows() if not noted[day][MEANING]}
        found |= {dt.date.fromisoformat(day): _lacking(table, columns, path) for day, path in silent.items()}
    others = {day: of_day for day, of_day in found.items() if of_day is not None}
    if isinstance(table, WholeTable) or asset.startswith("raw/"):
        for day in relaxed_days(runtime.home, runtime.release, asset) & {dt.date.fromisoformat(day) for day in noted}:
            others[day] = others.get(day, _AS_IT_IS)._replace(rows=True)
    return others


def _lacking(table: LakeTable, columns: Collection[str], path: str) -> MeaningMoved | None:
    """Those of the columns that a file was written without."""
    fields = table.fields_of(path)
    missing = sorted(name for name in columns if stored_name(name) not in fields)
    return MeaningMoved(False, (), tuple(missing)) if missing else None


def defined_at(runtime: Runtime) -> dt.datetime:
    """Since when the release of this process is the one of its channel; now, where it is not."""
    try:
        move = ReleaseStore(runtime.home).current(runtime.channel)
    except SeqplatError:
        return runtime.clock.now()
    return move.moved_at if move.release == runtime.loaded.id else runtime.clock.now()


@lru_cache(4096)
def moved(now: str, noted: str) -> MeaningMoved | None:
    """How rows that note one meaning differ from those of ``now``; None where they do not, or note nothing, or where
    they would come out so again: they were built by that very meaning, of messages that an earlier one decoded.
    """
    if not noted or noted == now:
        return None
    meaning, made = Meaning.from_json(now), Meaning.from_json(noted)
    found = meaning.differs_from(made)
    return found if (found.is_stale or found.missing) and made.asked != meaning.digest else None


def in_words(found: MeaningMoved) -> str:
    """What is stale, for who reads a list of days."""
    if found.rows:
        return "another definition made it: its rows would be others today"
    few = ", ".join(found.columns[:5]) + (", ..." if found.columns[5:] else "")
    return f"another definition made it: {few} would say something else today"


def _table(runtime: Runtime, asset: str) -> LakeTable | None:
    layer, name = asset.split("/", 1)
    if layer == "raw":
        return tables.raw(runtime, runtime.release.sources[name])
    if layer == "events":
        return tables.events(runtime, EventPlan.of(runtime.loaded, name))
    definition = runtime.release.enrichments.get(name) if layer == "enrichments" else None
    return tables.enrichment(runtime, definition) if isinstance(definition, Versioned | Snapshot) else None

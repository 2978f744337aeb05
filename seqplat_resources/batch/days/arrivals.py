"""Files of a day that come late, change or grow: a bucket says which it was made from, the source which there are.

What a file without ``{day}`` in its name says of which day is known when it is read: it is one of every day's. So are
files that are joined to the rows.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

import polars as pl

from seqplat_resources.batch.days.existing import outcomes_unknown
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.files import notes_of
from seqplat_resources.lake.layout import DAY, TRAINING
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.files import SourceFile, SourceUnreadable, fingerprint
from seqplat_resources.sources.joins import joined_files
from seqplat_resources.sources.locations import files_by_day, files_of
from sequence_defs.schema import Snapshot, Source, Versioned

# The note in a bucket's files that says, by day, the fingerprint of the files it was made from.
FILES = "files"


def noted(files: Mapping[dt.date, Sequence[SourceFile]]) -> dict[str, str]:
    """What buckets made from these files keep in their own."""
    return {FILES: json.dumps({str(day): fingerprint(found) for day, found in files.items()})}


def made_of(files: Sequence[SourceFile], joined: Sequence[SourceFile]) -> list[SourceFile]:
    """All that a day is made from; without files of its own there are no rows to join.

    NOTE: to be looked for before they are read, so that what changes meanwhile makes the day dirty.
    """
    return [*files, *joined] if files else []


def awaited(table: LakeTable, source: Source, root: str, day: dt.date) -> BucketResult:
    """The report of a day whose files are not there yet."""
    where = source.location.replace("{day}", str(day))
    why = f"no file matches {where!r}" + ("" if "://" in where or where.startswith("/") else f" below {root}")
    return BucketResult(table.name, day, 0, 0, -1, {"absent": 1}, awaited=why)


def inputs_now(runtime: Runtime, asset: str, days: Iterable[dt.date]) -> dict[dt.date, str]:
    """By day the fingerprint of its files as they are; empty where there are none. Of no day for what has no files.
    Of a training set, by day what it waits for.
    """
    wanted, (_, source) = list(days), _files_of(runtime, asset)
    if asset.startswith(f"{TRAINING}/"):
        return outcomes_unknown(runtime, runtime.release.training[asset.removeprefix(f"{TRAINING}/")], wanted)
    if source is None or not source.location or not wanted:
        return {}
    found = _files_by_day(runtime, source, wanted)
    return {day: fingerprint(found.get(day, [])) for day in wanted}


def changed(runtime: Runtime, asset: str) -> dict[dt.date, list[SourceFile]]:
    """The built days of an asset whose files are not those it was built from, with the files there are now.

    A day whose files are gone is none of them: what was built from them stands.
    Cost: one listing of the source; the footer of one file per built day, once per process.
    """
    table, source = _files_of(runtime, asset)
    if table is None or source is None or not source.location or not table.exists():
        return {}
    built = table.files().group_by(DAY).agg(pl.col("path").first()).sort(DAY)
    found = _files_by_day(runtime, source, map(dt.date.fromisoformat, built[DAY]))
    stale = {}
    for text, path in built.iter_rows():
        now = found.get(day := dt.date.fromisoformat(text))
        before = _noted(f"{table.uri}/{path}", tuple(table.home.storage_options.items())).get(text)
        if now and before is not None and before != fingerprint(now):
            stale[day] = now
    return stale


def has_files_of_all_days(runtime: Runtime, asset: str) -> bool:
    """Whether it is made from files that do not say their day, be they joined ones."""
    _, source = _files_of(runtime, asset)
    return source is not None and bool(source.location) and ("{day}" not in source.location or bool(source.joins))


def _files_by_day(runtime: Runtime, source: Source, days: Iterable[dt.date]) -> Mapping[dt.date, list[SourceFile]]:
    """The files there are now, of every day that has any; those that do not say their day are of each of ``days``."""
    root, joined = runtime.sources_root, joined_files(source, runtime.sources_root)
    with suppress(SourceUnreadable):
        if "{day}" in source.location:
            return {day: made_of(files, joined) for day, files in files_by_day(source, root).items()}
        return dict.fromkeys(days, made_of(files_of(source, root), joined))
    return {}


@lru_cache(maxsize=100_000)
def _noted(uri: str, options: tuple[tuple[str, str], ...]) -> dict[str, str]:
    # A file of the lake never changes, and a sensor asks again every minute.
    said: dict[str, str] = json.loads(notes_of(uri, dict(options)).get(FILES, "{}"))
    return said


def _files_of(runtime: Runtime, asset: str) -> tuple[LakeTable | None, Source | None]:
    """The table of an asset and the source whose files it is made from; neither for what is made of other assets."""
    layer, name = asset.split("/", 1)
    if layer == "raw":
        source = runtime.release.sources[name]
        return tables.raw(runtime, source), source
    definition = runtime.release.enrichments.get(name) if layer == "enrichments" else None
    if not isinstance(definition, Versioned | Snapshot):
        return None, None
    return tables.enrichment(runtime, definition), runtime.release.sources[definition.source]

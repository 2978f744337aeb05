"""Import raw files into a source's archive, beside what streams appended: the same identity, the same ledger.

For rows that should have come through the log and did not: an outage, a producer's backlog. They are visible once the
buckets they make dirty are built again.

>>> late = folder / "late.ndjson"
>>> late.write_text('{"number": 9, "member": "ann", "at": "2024-05-01T12:00:00Z", "product": "tea", "amount": 1}') > 0
True
>>> [(result.rows, result.already) for result in import_files(shop, "clicks", [str(late)])]
[(1, False)]
>>> [(result.rows, result.already) for result in import_files(shop, "clicks", [str(late)])]
[(1, True)]
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import parts_by_day
from seqplat_resources.errors import Final
from seqplat_resources.lake.append import append, position
from seqplat_resources.lake.layout import as_stored
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.decode import EVENT_DAY, DecodedRows, decode_file
from seqplat_resources.sources.files import SourceFile, content, find
from seqplat_resources.sources.joins import side_of
from sequence_defs.schema import Source

# Stage of rejects of imported files.
IMPORT_STAGE = "import"

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson"}


class NothingToImportInto(Final):
    """A source without a log: its files are ingested by day."""


@dataclass(frozen=True)
class ImportResult:
    """What became of one file. One that was imported before, whole, adds nothing."""

    partition: str
    rows: int
    rejected: int
    days: int
    already: bool


def import_files(runtime: Runtime, name: str, paths: Sequence[str]) -> Iterator[ImportResult]:
    """Append each file to ``archive/<name>``, in one commit each.

    A file is told from others by its content: imported again, also from elsewhere, it adds nothing; changed, it is
    another file, and what it repeats is the same event again. Its name's ending says its format, where it says one.

    Raises:
        NothingToImportInto, SourceUnreadable, SourceDrift: nothing of the file was appended; those before it were.
    """
    source = runtime.release.sources[name]
    if not source.topic:
        raise NothingToImportInto(
            f"source {name!r} has no topic; put the files where its location {source.location!r} finds them and "
            f"materialize raw/{name}"
        )
    for path in paths:
        ending = Path(path.removesuffix(".gz").removesuffix(".zst")).suffix
        typed = source.model_copy(update={"format": _FORMATS.get(ending, source.format)})
        for file in find(os.path.abspath(path) if "://" not in path else path, "", source=name):
            yield _import(runtime, typed, file)


def _import(runtime: Runtime, source: Source, file: SourceFile) -> ImportResult:
    archive, rejects = tables.archive(runtime, source), tables.rejects(runtime, source.name)
    partition = f"file:{Path(file.path).name}@{hashlib.sha256(content(file)).hexdigest()[:16]}"
    sides = [side_of(join, source, runtime.sources_root) for join in source.joins]
    chunks = [_renamed(chunk, partition) for chunk in decode_file(source, file, sides, clock=runtime.clock)]
    rows, refused = pl.concat([c.rows for c in chunks]), pl.concat([c.rejects for c in chunks])
    end = rows.height + refused.height
    already = position(archive, partition) is not None
    note = {"release": runtime.loaded.id, "file": file.path}
    if position(rejects, partition) is None:
        staged = refused.with_columns(release=pl.lit(runtime.loaded.id))
        append(rejects, parts_by_day(staged, stage=IMPORT_STAGE), {partition: (None, end)}, metadata=note)
    if not already:
        append(archive, parts_by_day(as_stored(rows), EVENT_DAY), {partition: (None, end)}, metadata=note)
    return ImportResult(partition, rows.height, refused.height, rows.select(EVENT_DAY.n_unique()).item(), already)


def _renamed(chunk: DecodedRows, partition: str) -> DecodedRows:
    # A file of a log's source and a partition of the log must never be taken for each other.
    rows = chunk.rows.with_columns(_partition=pl.lit(partition))
    return replace(chunk, rows=rows, rejects=chunk.rejects.with_columns(source_partition=pl.lit(partition)))

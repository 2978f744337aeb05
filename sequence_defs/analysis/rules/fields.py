"""How a source's rows are read: fields and paths of columns, and how text files are written."""

import re
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Blobs, Column, Csv, Keyed, LegacySequence, Sequence
from sequence_defs.schema.paths import PathError, parse_path, quoted

_DAY_PARTITION = re.compile(r"[^={}/]+={day}")
# Of every table of an enrichment.
DAY = "day"


@rule("SP130", "error", "a field is read where rows come in")
def field_misplaced(project: Project) -> Iterator[Finding]:
    """``field`` says where in a source's row a column is; everything after the source knows columns."""
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        for column in definition.columns:
            if column.field is not None:
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(definition)} names the field {column.field!r}, "
                    "which nothing reads",
                    "write it in the source's column; sql='<its name>' takes that over under another name",
                )
    joined = {name: {out for join in s.joins for out in join.columns} for name, s in project.sources.items()}
    for title, name, columns in _read(project):
        for column in columns:
            if column.field is not None and (column.sql is not None or column.name in joined.get(name, ())):
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {title} names the field {column.field!r}, but it is "
                    + ("computed" if column.sql is not None else "read from a joined file"),
                    "drop field=",
                )


@rule("SP131", "error", "a field is a path")
def field_unparsable(project: Project) -> Iterator[Finding]:
    """A path is names with points between, `[n]` for an item and `[name=value]` for the object that says so."""
    for title, _, columns in _read(project):
        for column in columns:
            try:
                parse_path(column.field or "field")
            except PathError as error:
                name = column.field or ""
                yield Finding(
                    column.declared_at,
                    f"field {name!r} of column {column.name!r} of {title} is no path: {error}",
                    f"write a.b, a[0] or a[key=value]; if the field is called so, write field={quoted(name)!r}",
                )


@rule("SP132", "error", "CSV options can be read by")
def csv_options(project: Project) -> Iterator[Finding]:
    """Delimiter and quote are two ASCII characters that end no line, and say something of CSV files only."""
    for title, written, csv in _text_files(project):
        signs = {csv.delimiter, csv.quote}
        if written != "csv":
            yield Finding(
                csv.declared_at,
                f"{title} says how CSV is written, but its files are {written}",
                "write format='csv', or drop csv=",
            )
        elif len(signs) < 2 or not all((sign.isascii() and sign.isprintable()) or sign == "\t" for sign in signs):
            yield Finding(
                csv.declared_at,
                f"delimiter {csv.delimiter!r} and quote {csv.quote!r} of {title} cannot be told apart, or are "
                "no characters that CSV can be written with",
                "use two printable ASCII characters; a tab may be the delimiter",
            )


@rule("SP134", "error", "a Delta location is one table")
def delta_location(project: Project) -> Iterator[Finding]:
    """A table says itself which files it is made of; of its partitions a day reads one, in a column of dates."""
    for source in project.sources.values():
        table, _, last = source.location.rpartition("/")
        place = table if _DAY_PARTITION.fullmatch(last) else source.location
        if source.format == "delta" and (not place or any(sign in place for sign in "*?[{")):
            yield Finding(
                source.declared_at,
                f"location {source.location!r} of {label(source)} is not that of a Delta table",
                "write location='<folder of the table>', or '<folder of the table>/<column>={day}' where each day is "
                "a partition",
            )


@rule("SP133", "error", "`day` is the partition of an enrichment's table")
def day_is_key(project: Project) -> Iterator[Finding]:
    """An enrichment is kept by day, in a column of that name beside its key; other columns may be called so."""
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Keyed) and DAY in enrichment.key:
            yield Finding(
                enrichment.declared_at,
                f"key {DAY!r} of {label(enrichment)} has the name of the column its table is kept by",
                f"read it under another name: Column(name='{enrichment.source}_day', field={DAY!r}, ...)",
            )


def _read(project: Project) -> Iterator[tuple[str, str, tuple[Column, ...]]]:
    """Columns that are read from rows or events of others: how findings call whose they are, and its source."""
    for source in project.sources.values():
        yield label(source), source.name, source.columns
    for sequence, legacy in _legacy(project):
        yield f"legacy of {label(sequence)}", "", legacy.fields


def _text_files(project: Project) -> Iterator[tuple[str, str, Csv]]:
    """What says how its CSV is written, with its format."""
    for source in project.sources.values():
        if source.csv is not None:
            yield label(source), source.format, source.csv
    for sequence, legacy in _legacy(project):
        if isinstance(legacy.at, Blobs) and legacy.at.csv is not None:
            yield f"legacy of {label(sequence)}", legacy.at.format, legacy.at.csv


def _legacy(project: Project) -> Iterator[tuple[Sequence, LegacySequence]]:
    return ((sequence, sequence.legacy) for sequence in project.sequences.values() if sequence.legacy)

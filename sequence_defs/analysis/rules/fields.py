"""How a source's rows are read: fields and paths of columns, and how text files are written."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Keyed
from sequence_defs.schema.paths import PathError, parse_path, quoted

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
    for source in project.sources.values():
        joined = {name for join in source.joins for name in join.columns}
        for column in source.columns:
            if column.field is not None and (column.sql is not None or column.name in joined):
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(source)} names the field {column.field!r}, but it is "
                    + ("computed" if column.sql is not None else "read from a joined file"),
                    "drop field=",
                )


@rule("SP131", "error", "a field is a path")
def field_unparsable(project: Project) -> Iterator[Finding]:
    """A path is names with points between, `[n]` for an item and `[name=value]` for the object that says so."""
    for source in project.sources.values():
        for column in source.columns:
            try:
                parse_path(column.field or "field")
            except PathError as error:
                name = column.field or ""
                yield Finding(
                    column.declared_at,
                    f"field {name!r} of column {column.name!r} of {label(source)} is no path: {error}",
                    f"write a.b, a[0] or a[key=value]; if the field is called so, write field={quoted(name)!r}",
                )


@rule("SP132", "error", "CSV options can be read by")
def csv_options(project: Project) -> Iterator[Finding]:
    """Delimiter and quote are two ASCII characters that end no line, and say something of CSV files only."""
    for source in project.sources.values():
        csv = source.csv
        if csv is None:
            continue
        signs = {csv.delimiter, csv.quote}
        if source.format != "csv":
            yield Finding(
                csv.declared_at,
                f"{label(source)} says how CSV is written, but its files are {source.format}",
                "write format='csv', or drop csv=",
            )
        elif len(signs) < 2 or not all((sign.isascii() and sign.isprintable()) or sign == "\t" for sign in signs):
            yield Finding(
                csv.declared_at,
                f"delimiter {csv.delimiter!r} and quote {csv.quote!r} of {label(source)} cannot be told apart, or are "
                "no characters that CSV can be written with",
                "use two printable ASCII characters; a tab may be the delimiter",
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

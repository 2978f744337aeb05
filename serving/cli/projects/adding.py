"""An event type more from a source that is defined: which of its rows, what identifies them, and what they keep."""

from difflib import get_close_matches

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.home import Home
from seqplat_resources.sampling.attributes import Attribute
from seqplat_resources.sampling.layout import FileLayout, laid_out
from seqplat_resources.sampling.pieces import Sampled, sample_of
from seqplat_resources.sampling.preview import previewed
from seqplat_resources.sampling.profile import Profile
from seqplat_resources.sampling.proposal import event_type_of, sequence_of
from seqplat_resources.sampling.roles import identity_of
from sequence_defs.compiler.sql import SqlError, names
from sequence_defs.schema import Csv, Definition, Source
from serving.cli.output import console, suggest
from serving.cli.projects.asking import Asker
from serving.cli.projects.deciding import SaidByFlags, owner_of
from serving.cli.projects.look import show_preview
from serving.cli.projects.making import Making, require_some, require_sound
from serving.cli.projects.place import NotWritten, Place

# A column of so few values may tell kinds of events apart.
_FEW = 12


def add_event_type(
    place: Place,
    asker: Asker,
    clock: Clock,
    said: SaidByFlags,
    name: str,
    source_name: str,
    where: str | None,
    columns: tuple[str, ...],
    sequence: str | None,
) -> None:
    """The event type ``name`` of rows of a source for which ``where`` is true; all by default.

    Raises:
        NotWritten: there is no such source of events, or no such column, or nothing tells one row from another.
    """
    source = _source(place, source_name)
    sample = sample_of(
        f"topic:{source.topic}" if not source.location else source.location,
        str(place.data),
        Home.from_environment(),
        clock,
    )
    profile = Profile.of(sample, _layout(source, sample), clock.now())
    rows = previewed(profile, source, None, clock).rows
    key = said.key or _key(source, rows)
    if unknown := [each for each in (*key, *columns) if each not in {column.name for column in source.columns}]:
        near = get_close_matches(unknown[0], [column.name for column in source.columns], n=1)
        guess = f"did you mean {near[0]}?" if near else f"it has {', '.join(c.name for c in source.columns)}"
        raise NotWritten(f"source {source.name!r} ({source.declared_at}) has no column {unknown[0]!r}; {guess}")
    owner = owner_of(said, place, asker, f"source {source.name}" + (f" where {where}" if where else ""))
    left_out = {source.user_id, source.event_time.sql if source.event_time else None} - set(key)
    kept = [c for c in source.columns if c.name not in left_out and (not columns or c.name in {*columns, *key})]
    event_type = event_type_of(owner, name, source, key, kept, where)
    require_sound(place, [event_type])
    preview = previewed(profile, source, event_type, clock)
    _tell(source, key, where, rows)
    show_preview(preview, ["user_id", "event_time", *(each.name for each in event_type.columns)], "events")
    require_some(preview)
    definitions: list[tuple[str, Definition]] = [(name, event_type)]
    if sequence is not None:
        definitions.append((sequence, sequence_of(owner, sequence, event_type)))
    making = Making(place, asker, clock, said, profile, name, copy=False)
    making.write(name, definitions, owner.description)
    numbers = preview.events["offset"].sort().head(2).to_list()
    making.write_case(event_type, source, frozenset(c.name for c in source.columns if c.pii), numbers)
    suggest("seqplat test", "seqplat apply   # publishes, and builds what is new")


def _source(place: Place, name: str) -> Source:
    known = place.project.sources
    if name not in known:
        near = get_close_matches(name, known, n=1)
        guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        raise NotWritten(f"--source: {name!r} is not defined; {guess}")
    found = known[name]
    if found.event_time is None or found.user_id is None:
        raise NotWritten(
            f"--source: {name!r} ({found.declared_at}) says no event_time= and user_id=, so its rows are no events; "
            "add both to it, or name another"
        )
    return found


def _layout(source: Source, sample: Sampled) -> FileLayout:
    """As the source says it is written."""
    said = source.csv or Csv()
    return laid_out(
        sample,
        format="ndjson" if sample.topic else source.format,
        delimiter=said.delimiter,
        quote=said.quote,
        encoding=said.encoding,
        has_header=True,
    )


def _key(source: Source, rows: pl.DataFrame) -> tuple[str, ...]:
    """As other event types of the source have it, if they have; else what tells rows apart."""
    attributes = [Attribute(column.name, "", rows[column.name]) for column in source.columns if column.sql is None]
    dtypes = {column.name: column.dtype for column in source.columns}
    try:
        time = next(iter(names(source.event_time.sql))) if source.event_time else ""
    except (SqlError, StopIteration):
        time = ""
    key, _ = identity_of(attributes, dtypes, source.user_id or "", time)
    if not key:
        raise NotWritten(f"no columns of source {source.name!r} tell one event of a user from another; say --key A,B")
    return key


def _tell(source: Source, key: tuple[str, ...], where: str | None, rows: pl.DataFrame) -> None:
    console.print(
        f"source: {source.name}; time {source.event_time.sql if source.event_time else ''}, user {source.user_id}\n"
        f"identity: {', '.join(key)} (--key)\nrows: {where or 'all'} (--where)",
        markup=False,
        soft_wrap=True,
    )
    texts = [each for each in rows.select(pl.col(pl.String())).get_columns() if not each.name.startswith("_")]
    kinds = [each for each in texts if 1 < each.drop_nulls().n_unique() <= _FEW and each.n_unique() * 5 < each.len()]
    if where is None and kinds:
        value = kinds[0].drop_nulls()[0]
        console.print(f"note: {kinds[0].name} may tell kinds of events apart: --where \"{kinds[0].name} = '{value}'\"")

"""``seqplat new``: a definition from a sample of what it is about, as Python to read, review and change."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from seqplat_resources.clock import SystemClock
from seqplat_resources.home import Home
from seqplat_resources.sampling.layout import laid_out
from seqplat_resources.sampling.pieces import sample_of
from seqplat_resources.sampling.profile import Profile
from sequence_defs.schema import parse_dtype
from serving.cli.durations import Day
from serving.cli.projects.adding import add_event_type
from serving.cli.projects.asking import Asker
from serving.cli.projects.deciding import SaidByFlags
from serving.cli.projects.look import show_profile
from serving.cli.projects.making import (
    Making,
    make_enrichment,
    make_event_type,
    make_sequence,
    make_source,
)
from serving.cli.projects.place import Place

_Command = Callable[..., None]
_ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
_names = {"multiple": True, "metavar": "COLUMN"}

_SAMPLED: tuple[Callable[[_Command], _Command], ...] = (
    click.option("--from", "sample", metavar="SAMPLE", help="A file, 'a pattern', topic:NAME, s3://..., or a URL."),
    click.option("--columns", metavar="A,B", help="Only these columns; all by default."),
    click.option(
        "--format", "format_", type=click.Choice(["csv", "ndjson", "parquet", "delta"]), help="Seen otherwise."
    ),
    click.option("--delimiter", metavar="CHAR", help="Of CSV; seen otherwise. A tab is \\t."),
    click.option("--quote", metavar="CHAR", help="Of CSV; seen otherwise."),
    click.option("--encoding", type=click.Choice(_ENCODINGS), help="Of CSV; seen otherwise."),
    click.option(
        "--header/--no-header", default=None, help="Whether the first line of a CSV has names; seen otherwise."
    ),
    click.option("--type", "types", multiple=True, metavar="COLUMN=TYPE", help="Of a column; seen otherwise."),
    click.option("--pii", help="A column with personal data; may be repeated.", **_names),  # type: ignore[arg-type]
    click.option("--no-pii", help="One without, whatever it looks like.", **_names),  # type: ignore[arg-type]
    click.option(
        "--copy/--no-copy", default=None, help="Copy the file to where sources' files are. By default up to 64 MB."
    ),
)
_TIMED: tuple[Callable[[_Command], _Command], ...] = (
    click.option("--time", metavar="COLUMN", help="When it happened."),
    click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="What an integer counts since 1970."),
    click.option("--time-format", metavar="FORM", help="How a text is written, as %d.%m.%Y %H:%M."),
    click.option("--timezone", metavar="ZONE", help="Of times that say none; UTC by default."),
    click.option("--user", metavar="COLUMN", help="Whose it is."),
    click.option("--start", type=Day(), help="First day; that of the sample by default."),
    click.option("--end", type=Day(), help="Day after the last; open where more may come."),
)
_KEYED = (click.option("--key", metavar="A,B", help="What tells one row of a user, or of the table, from another."),)
_COMMON: tuple[Callable[[_Command], _Command], ...] = (
    click.option("--tenant", help="Whose it is; the project's only one by default."),
    click.option("--owner", help="team:NAME or an e-mail address; the tenant's team by default."),
    click.option("--description", help="What it is, for who did not write it."),
    click.option("--retention-days", type=click.IntRange(1, 36500), help="How long it is kept; 730 by default."),
    click.option("--yes", is_flag=True, help="Ask nothing: take what is likely, and say what it was."),
)


def _with(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(function: _Command) -> _Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def new() -> None:
    """Write a definition: a source, event type, enrichment or sequence. Asks only what a sample cannot tell.

    Every question has a flag that answers it; without a terminal, or with --yes, nothing is asked. A definition is
    Python in the project's folder; nothing is written over. Of a large file beginning, middle and end are looked at.
    """


@new.command("event-type")
@click.argument("name", required=False)
@_with(*_SAMPLED, *_TIMED, *_KEYED)
@click.option("--sequence", metavar="NAME", help="Of the sequence that shows it; NAME_history by default.")
@click.option("--no-sequence", is_flag=True, help="Make none.")
@click.option("--source", "of_source", metavar="NAME", help="Of a source that is defined, in place of --from.")
@click.option("--where", metavar="SQL", help="Which rows of that source; all by default.")
@_with(*_COMMON)
def event_type(
    name: str | None,
    sequence: str | None,
    no_sequence: bool,
    of_source: str | None,
    where: str | None,
    **options: Any,
) -> None:
    """From rows that say who did something and when: a source, the event type NAME, and a sequence of it.

    With --source it is one more event type of a source that is there: its rows for which --where is true.
    """
    if of_source is not None:
        if options["sample"] is not None or name is None:
            raise click.UsageError(f"write seqplat new event-type NAME --source {of_source}, without --from")
        place, asker = Place.here(), Asker.of(options["yes"])
        place.require_free(name, ["event_types"], "NAME")
        shown = None if no_sequence else sequence or f"{name}_history"
        columns = _split(options["columns"])
        add_event_type(place, asker, SystemClock(), _said(options), name, of_source, where, columns, shown)
        return
    if where is not None:
        raise click.UsageError("--where is of rows of a source that is defined; name that with --source")
    making = _begun(name, options, "event_types", "sources")
    make_event_type(making, None if no_sequence else sequence or f"{making.name}_history")


@new.command("source")
@click.argument("name", required=False)
@_with(*_SAMPLED, *_TIMED, *_COMMON)
def source(name: str | None, **options: Any) -> None:
    """From any rows: the source NAME, with time and user where rows have them."""
    make_source(_begun(name, options, "sources"))


@new.command("enrichment")
@click.argument("name", required=False)
@_with(*_SAMPLED, *_KEYED)
@click.option("--valid-from", metavar="COLUMN", help="From when a row holds; without one, the table is as of now.")
@_with(*_COMMON)
def enrichment(name: str | None, valid_from: str | None, **options: Any) -> None:
    """From a table with a row a key: a source, and the enrichment NAME to attach to events."""
    making = _begun(name, options, "enrichments")
    make_enrichment(making, valid_from)


@new.command("sequence")
@click.argument("name")
@click.option("--event-types", metavar="A,B", help="Which; all of the tenant by default.")
@click.option("--columns", metavar="A,B", help="Which; by default all that have one type and no personal data.")
@click.option(
    "--length", type=click.IntRange(1, 65536), default=200, show_default=True, help="Newest events of a user."
)
@_with(*_COMMON)
def sequence(name: str, event_types: str | None, columns: str | None, length: int, **options: Any) -> None:
    """From event types that are defined: the sequence NAME."""
    place, asker = Place.here(), Asker.of(options["yes"])
    place.require_free(name, ["sequences"], "NAME")
    make_sequence(place, asker, _said(options), name, _split(event_types), _split(columns), length)


def _begun(name: str | None, options: Mapping[str, Any], *kinds: str) -> Making:
    """Look at the sample, and show it.

    Raises:
        SampleUnusable, NotWritten: nothing can be made of it, or there is no place for it.
    """
    if options["sample"] is None:
        raise click.UsageError("what is it about? Say --from FILE, 'a pattern', topic:NAME or a URL")
    place, asker, clock = Place.here(), Asker.of(options["yes"]), SystemClock()
    sample = sample_of(options["sample"], str(place.data), Home.from_environment(), clock)
    stem = re.sub(r"\W+", "_", sample.stem, flags=re.ASCII).strip("_0123456789").lower()[:60] or "rows"
    found = name or stem
    place.require_free(found, kinds, "NAME")
    written = laid_out(
        sample,
        format=options["format_"],
        delimiter={"\\t": "\t", "tab": "\t"}.get(options["delimiter"], options["delimiter"]),
        quote=options["quote"],
        encoding=options["encoding"],
        has_header=options["header"],
    )
    dtypes = _types(options["types"])
    profile = Profile.of(sample, written, clock.now(), columns=_split(options["columns"]), dtypes=dtypes)
    show_profile(profile)
    return Making(place, asker, clock, _said(options), profile, found, options["copy"])


def _types(given: Iterable[str]) -> dict[str, str]:
    """
    Raises:
        click.BadParameter: one is not written ``COLUMN=TYPE``, or names no type.
    """
    found = {}
    for each in given:
        name, _, dtype = each.rpartition("=")
        try:
            parse_dtype(dtype)
        except ValueError as error:
            raise click.BadParameter(f"{each!r}: {error}", param_hint="--type") from error
        if not name:
            raise click.BadParameter(f"{each!r} names no column; write COLUMN=TYPE", param_hint="--type")
        found[name] = dtype
    return found


def _said(options: Mapping[str, Any]) -> SaidByFlags:
    given = {name: options[name] for name in SaidByFlags.__dataclass_fields__ if options.get(name) is not None}
    return SaidByFlags(**{**given, "key": _split(options.get("key"))})


def _split(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())

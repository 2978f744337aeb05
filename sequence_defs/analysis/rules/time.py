"""Times: instants read from sources, and the days event types have partitions for."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from zoneinfo import available_timezones

import polars as pl

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.expressions import Expression, expressions
from sequence_defs.analysis.widening import nearest_dtype
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import formats, is_timezone
from sequence_defs.schema import EventType, Source, Time

_COUNT_OF_NANOSECONDS = re.compile(r"(?<!%)(?:%%)*%f")
_NAME_OF_ZONE = re.compile(r"(?<!%)(?:%%)*%Z")
_YEAR = re.compile(r"(?<!%)(?:%%)*%[-_0]?(?:[YyCGgDFcsx+]|v)")
# The last day a 32-bit counter reaches, by unit: below seconds it ends within weeks of 1970.
_REACH_32_BITS = {"ms": "1970-01-25", "us": "1970-01-01", "ns": "1970-01-01"}


@rule("SP241", "error", "a time is a timestamp, a date or an epoch")
def not_a_time(project: Project) -> Iterator[Finding]:
    """Text is parsed in the open, because its format is a decision; a float loses microseconds."""
    for found, _ in _times(project):
        dtype = found.dtype()
        if dtype is not None and not (dtype.is_integer() or isinstance(dtype, pl.Date | pl.Datetime)):
            yield Finding(
                found.where,
                f"{found.title} is {nearest_dtype(dtype) or dtype}, not a time: {found.sql!r}",
                f"parse text with STRPTIME({found.sql}, '%Y-%m-%d %H:%M:%S'), or CAST a number AS BIGINT",
            )


@rule("SP242", "error", "time zone is known")
def unknown_timezone(project: Project) -> Iterator[Finding]:
    """Local times are told in an IANA zone; an offset alone does not know when clocks change."""
    for found, time in _times(project):
        zone = found.scope.columns.get(time.timezone_column or "")
        if time.timezone_column is not None and (zone is None or zone.dtype != "string" or time.timezone != "UTC"):
            yield Finding(
                found.where,
                f"{found.title} is told in the time zone of column {time.timezone_column!r}, "
                + ("and in another" if zone and zone.dtype == "string" else "which is no column of text of its source"),
                "name a string column that holds IANA names, and leave timezone= out",
            )
        if not is_timezone(time.timezone):
            close = get_close_matches(time.timezone, available_timezones(), n=1)
            yield Finding(
                found.where,
                f"{found.title} is told in time zone {time.timezone!r}, which does not exist",
                f"did you mean {close[0]!r}?" if close else "write an IANA name such as 'Europe/Berlin'",
            )


@rule("SP243", "error", "an epoch fits its unit")
def epoch_too_short(project: Project) -> Iterator[Finding]:
    """A 32-bit counter of microseconds ends half an hour after 1970 began: the unit is surely another one."""
    for found, time in _times(project):
        dtype = found.dtype()
        if dtype is not None and dtype.is_integer() and _is_short(dtype) and time.epoch_unit != "s":
            yield Finding(
                found.where,
                f"{found.title} counts {time.epoch_unit} in {nearest_dtype(dtype)}, "
                f"which ends on {_REACH_32_BITS[time.epoch_unit]}: {found.sql!r}",
                "write epoch_unit='s', or declare the source column int64",
            )


@rule("SP244", "error", "a stated time zone has an effect")
def timezone_without_effect(project: Project) -> Iterator[Finding]:
    """A zone explains local times only; a timestamp of the source is UTC already, and so is an epoch."""
    for found, time in _times(project):
        dtype = found.dtype()
        is_local = isinstance(dtype, pl.Date) or (isinstance(dtype, pl.Datetime) and dtype.time_zone is None)
        is_time = isinstance(dtype, pl.Datetime) or (dtype is not None and dtype.is_integer())
        if (time.timezone != "UTC" or time.timezone_column) and is_time and not is_local:
            stated = (
                f"the time zone of {time.timezone_column!r}" if time.timezone_column else f"time zone {time.timezone!r}"
            )
            yield Finding(
                found.where,
                f"{found.title} states {stated}, but {found.sql!r} is in UTC already",
                f"drop it, or, if the log holds local time, write sql='CAST({found.sql} AS TIMESTAMP)'",
            )


@rule("SP245", "error", "a text's format says the time")
def untold_time(project: Project) -> Iterator[Finding]:
    """What a format does not say is taken for year 1, or midnight; ``%f`` counts nanoseconds, not as in Python, and the
    name of a zone (``%Z``) is passed over."""
    for found in expressions(project):
        for written, is_all in formats(found.sql) if found.dtype() is not None else ():
            if _COUNT_OF_NANOSECONDS.search(written):
                yield Finding(
                    found.where,
                    f"{found.title} reads the fraction of a second as a count of nanoseconds: {written!r}",
                    "write %.f in place of .%f",
                )
            elif _NAME_OF_ZONE.search(written):
                yield Finding(
                    found.where,
                    f"{found.title} reads texts by {written!r}, and what %Z stands for is passed over, not applied",
                    "write %z for an offset; for names read the zone into a column and name it in timezone_column=",
                )
            elif found.use == "time" and is_all and not _YEAR.search(written):
                yield Finding(
                    found.where,
                    f"{found.title} reads texts by {written!r}, which says no year, so all are of the year 1",
                    "write it as in '%Y-%m-%d %H:%M:%S', with a % before each letter",
                )


@rule("SP251", "error", "partitions have a first day")
def start_missing(project: Project) -> Iterator[Finding]:
    """Stated by the event type or its source: else a day not built yet looks like a day that never was."""
    for event_type in project.event_types.values():
        source = project.sources.get(event_type.source)
        if event_type.start is None and source is not None and source.start is None:
            yield Finding(
                event_type.declared_at,
                f"neither {label(event_type)} nor {label(source)} states a start, so partitions have no first day",
                "write start=dt.date(<year>, <month>, <day>) in the source, or here for a later one",
            )


@rule("SP252", "error", "partitions lie within the data")
def start_after_end(project: Project) -> Iterator[Finding]:
    """An event type that starts at or after its end, or after its source's, has no day at all."""
    bounded: list[Source | EventType] = [*project.sources.values(), *project.event_types.values()]
    for definition in bounded:
        if definition.start and definition.end and definition.start >= definition.end:
            yield Finding(
                definition.declared_at,
                f"{label(definition)} starts on {definition.start} but ends on {definition.end}, exclusive",
                "write an end after the start",
            )
    for event_type in project.event_types.values():
        source = project.sources.get(event_type.source)
        if source and source.end and event_type.start and event_type.start >= source.end:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} starts on {event_type.start}, after the data of {label(source)}, "
                f"which ends on {source.end}, exclusive",
                "write an earlier start, or the source's real end",
            )


@rule("SP253", "warning", "partitions do not start before the data")
def start_before_data(project: Project) -> Iterator[Finding]:
    """Days before the source's first one are built empty, and look like an outage."""
    for event_type in project.event_types.values():
        source = project.sources.get(event_type.source)
        if source and source.start and event_type.start and event_type.start < source.start:
            yield Finding(
                event_type.declared_at,
                f"{label(event_type)} starts on {event_type.start}, but {label(source)} has data from {source.start}",
                f"start it on {source.start}, or the source earlier",
            )


@rule("SP254", "warning", "days that may have no file are of a source with a file per day")
def no_file_without_days(project: Project) -> Iterator[Finding]:
    """Where every day is read from the same files, or from a log as well, no day waits for a file of its own."""
    for source in project.sources.values():
        if source.no_file_on and ("{day}" not in source.location or source.topic):
            why = "has a topic" if source.topic else f"has no {{day}} in its location {source.location!r}"
            yield Finding(
                source.declared_at,
                f"{label(source)} states no_file_on, but {why}, so no day of it waits for a file",
                "leave no_file_on out"
                if source.topic
                else "write {day} where the file's name says the date, or leave it out",
            )


def _times(project: Project) -> Iterator[tuple[Expression, Time]]:
    for found in expressions(project):
        if found.time is not None:
            yield found, found.time


def _is_short(dtype: pl.DataType) -> bool:
    return dtype in (pl.Int8(), pl.Int16(), pl.Int32(), pl.UInt8(), pl.UInt16(), pl.UInt32())

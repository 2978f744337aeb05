"""From what was seen to what is defined: what is clear is taken, what is not is asked."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click
import polars as pl

from seqplat_resources.sampling.moments import Moment, unbelieved
from seqplat_resources.sampling.pieces import SampleUnusable
from seqplat_resources.sampling.profile import Profile, is_clear
from seqplat_resources.sampling.proposal import Owner, Proposal, span
from seqplat_resources.sampling.roles import identity_of
from sequence_defs.compiler.sql import is_timezone
from serving.cli.output import console
from serving.cli.projects.asking import Asker
from serving.cli.projects.place import Place

RETENTION_DAYS = 730


@dataclass(frozen=True)
class SaidByFlags:
    """What flags answer; None or empty: not said."""

    time: str | None = None
    time_unit: str | None = None
    time_format: str | None = None
    timezone: str | None = None
    user: str | None = None
    key: tuple[str, ...] = ()
    pii: tuple[str, ...] = ()
    no_pii: tuple[str, ...] = ()
    tenant: str | None = None
    owner: str | None = None
    description: str | None = None
    retention_days: int | None = None
    start: dt.date | None = None
    end: dt.date | None = None


def owner_of(said: SaidByFlags, place: Place, asker: Asker, what: str) -> Owner:
    """Whose it is."""
    tenants = list(place.project.tenants)
    tenant = said.tenant or place.tenant() or asker.answer("Whose is it (tenant)", "--tenant NAME", None, tenants)
    if tenant not in tenants:
        raise click.UsageError(f"--tenant: {tenant!r} is not defined; there are {', '.join(tenants) or 'none'}")
    description = said.description or f"Rows of {what}."
    return Owner(tenant, said.owner or f"team:{tenant}", description, said.retention_days or RETENTION_DAYS)


def events_proposal(
    said: SaidByFlags, profile: Profile, owner: Owner, name: str, location: str, asker: Asker, now: dt.datetime
) -> Proposal:
    """Time, user, identity and personal data of rows that are events.

    Raises:
        SampleUnusable, click.UsageError: no column can be the time, or the user, or nobody said which.
    """
    moment = moment_of(said, profile, asker, now)
    user = _user(said, profile, asker, moment)
    key, repeated = _key(said, profile, user, moment)
    if repeated:
        console.print(
            f"note: {repeated:,} row(s) of the sample say the same {', '.join(key)} as another: copies of one event"
        )
    _tell_time_of_day(profile, moment)
    zone = _zone(said, moment, asker)
    first, after = span(profile, moment, now)
    if profile.sample.others and profile.sample.first_day is None and said.start is None:
        console.print(
            f"note: one of {profile.sample.others + 1} files was looked at; if others begin before {first}, say --start"
        )
    if zone != "UTC":
        first -= dt.timedelta(days=1)
    kept = max(owner.retention_days, 0 if said.retention_days else (now.date() - first).days + 365)
    return Proposal(
        profile,
        replace(owner, retention_days=kept),
        name,
        location,
        moment,
        user,
        key,
        zone,
        personal_columns(said, profile),
        said.start or first,
        said.end or after,
    )


def moment_of(said: SaidByFlags, profile: Profile, asker: Asker, now: dt.datetime) -> Moment:
    """
    Raises:
        SampleUnusable: no column holds times, or the one that was named does not.
    """
    names = [each.name for each in profile.table.attributes]
    if said.time is not None:
        column = profile.column(said.time, "--time")
        ways = [way for way in profile.readings(column) if _is_way(way, said)]
        if not ways:
            why = unbelieved(profile.attribute(column), profile.dtypes[column], now) or (
                f"its values ({_values(profile, column)}) are no times of the years 1995 to now{_as_said(said)}"
            )
            way_out = ", or take out --time-unit and --time-format" if _as_said(said) else ", or mend the file"
            raise SampleUnusable(f"--time {said.time}: {why}; name another column{way_out}")
        return _read_as(ways, asker)
    times = [way for way in profile.times if any(_is_way(each, said) for each in profile.readings(way.column))]
    if not times:
        reasons = (unbelieved(each, profile.dtypes[each.name], now) for each in profile.table.attributes)
        why = next(filter(None, reasons), f"its columns are {', '.join(names[:12])}")
        way_out = "name it with --time, or define a table: seqplat new enrichment"
        if len(names) == 1 and profile.written.format == "csv":
            way_out = "was it read as one column and has more? Then say what is between them: --delimiter ';'"
        raise SampleUnusable(
            f"{profile.sample.name} has no column that says when something happened; {why}. Events need one: {way_out}"
        )
    column = times[0].column
    if not is_clear([way.score for way in times]):
        choices = [f"{way.column} ({way.describe()})" for way in times[:8]]
        column = asker.answer("Which column says when it happened", "--time COLUMN", choices[0], choices).split(" (")[0]
        if not asker.is_asking:
            _tell("time", column, choices[1:], "--time")
    return _read_as([way for way in profile.readings(column) if _is_way(way, said)], asker)


def _is_way(way: Moment, said: SaidByFlags) -> bool:
    unit = said.time_unit is None or way.reading == f"epoch {said.time_unit}"
    return unit and (said.time_format is None or f"'{said.time_format}'" in way.time.sql)


def _read_as(ways: Sequence[Moment], asker: Asker) -> Moment:
    """Of one column: a text may be read by two forms (day or month first)."""
    choices = [way.describe() for way in ways]
    if len(ways) == 1 or ways[0].reading.startswith("epoch"):
        return ways[0]
    said = asker.answer(f"How is {ways[0].column} written", "--time-format FORM", choices[0], choices)
    if not asker.is_asking:
        _tell(f"time {ways[0].column}", said, choices[1:], "--time-format")
    return ways[choices.index(said)]


def _as_said(said: SaidByFlags) -> str:
    return f" as {said.time_unit or said.time_format}" if said.time_unit or said.time_format else ""


def _values(profile: Profile, name: str) -> str:
    return ", ".join(map(str, profile.attribute(name).values.drop_nulls().head(3))) or "none"


def _user(said: SaidByFlags, profile: Profile, asker: Asker, moment: Moment) -> str:
    names = [each.column for each in profile.users if each.column != moment.column]
    if said.user is not None:
        column = profile.column(said.user, "--user")
        if column not in names:
            raise SampleUnusable(
                f"--user {column} is {profile.dtypes[column]} ({_values(profile, column)}); a user is named by text or "
                "a whole number, and not by the time"
            )
        return column
    likely = [each for each in profile.likely_users if each.column in names]
    if is_clear([each.score for each in likely]):
        return likely[0].column
    if not names:
        raise SampleUnusable(f"{profile.sample.name} has no column that could name a user; events belong to somebody")
    best = likely or [each for each in profile.users if each.column in names]
    choices = [f"{each.column} ({each.why})" for each in best[:12]]
    default = choices[0] if likely else None
    column = asker.answer("Which column names the user", "--user COLUMN", default, choices).split(" (")[0]
    if not asker.is_asking:
        _tell("user", column, choices[1:], "--user")
    return column


def _key(said: SaidByFlags, profile: Profile, user: str, moment: Moment) -> tuple[tuple[str, ...], int]:
    dtypes = {**profile.dtypes, moment.column: moment.dtype}
    attributes = profile.table.attributes
    if said.key:
        return tuple(profile.column(name, "--key") for name in said.key), 0
    key, repeated = identity_of(attributes, dtypes, user, moment.column)
    if not key:
        raise SampleUnusable(
            f"{profile.sample.name}: no columns tell one event of a user from another (floats and columns with nulls "
            "do not); say which with --key A,B"
        )
    return key, repeated


def _tell_time_of_day(profile: Profile, moment: Moment) -> None:
    """Where the date alone is taken and another column says the time of day."""
    if moment.dtype != "date":
        return
    for each in profile.table.attributes:
        texts = each.values.drop_nulls()
        if texts.dtype == pl.String() and texts.len() and texts.str.contains(r"^\d{1,2}:\d{2}(:\d{2})?$").all():
            form = "%H:%M:%S" if str(texts[0]).count(":") == 2 else "%H:%M"
            console.print(
                f"note: {each.name} says the time of day, and {moment.column} alone is the event's time. With both, in "
                f"the source: event_time=Time(sql=\"STRPTIME({moment.column} || ' ' || {each.name}, "
                f'\'%Y-%m-%d {form}\')"), and dtype="string" for {moment.column}',
                markup=False,
                soft_wrap=True,
            )


def _zone(said: SaidByFlags, moment: Moment, asker: Asker) -> str:
    if not moment.is_local:
        if said.timezone not in (None, "UTC"):
            raise click.UsageError(f"--timezone: {moment.column} says its zone itself ({moment.reading})")
        return "UTC"
    zone = said.timezone or asker.answer(f"Time zone of {moment.column}", "--timezone ZONE", "UTC")
    if not is_timezone(zone):
        raise click.UsageError(f"--timezone: {zone!r} is no IANA zone; write one as Europe/Berlin")
    return zone


def personal_columns(said: SaidByFlags, profile: Profile) -> frozenset[str]:
    seen = {name for name, why in profile.personal.items() if why}
    more = {profile.column(name, "--pii") for name in said.pii}
    return frozenset((seen | more) - {profile.column(name, "--no-pii") for name in said.no_pii})


def _tell(what: str, taken: str, others: Sequence[str], option: str) -> None:
    """What was taken where nobody could be asked."""
    if others:
        console.print(
            f"note: {what} is taken to be {taken}; it could be {', or '.join(others[:3])} ({option})",
            markup=False,
            soft_wrap=True,
        )

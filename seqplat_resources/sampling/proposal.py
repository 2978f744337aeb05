"""What is decided about a sample, as definitions: a source, and what is made of it.

>>> from seqplat_resources.clock import SystemClock
>>> from seqplat_resources.sampling.layout import laid_out
>>> from seqplat_resources.sampling.pieces import sample_of
>>> sample = sample_of("orders/2024-05-01.csv", shop.sources_root, shop.home, SystemClock())
>>> profile = Profile.of(sample, laid_out(sample), now=dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
>>> ours = Owner("shop", "team:shop", "sells", retention_days=365)
>>> source = Proposal(profile, ours, "orders", sample.location, moment=profile.times[0], user="member").source()
>>> source.format, source.user_id, source.event_time.sql
('csv', 'member', 'at')
"""

import datetime as dt
import decimal
import json
import re
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import polars as pl

from seqplat_resources.sampling.moments import Moment
from seqplat_resources.sampling.profile import Profile
from sequence_defs.analysis.scope import SYSTEM_COLUMNS
from sequence_defs.compiler.sql import SqlError, names
from sequence_defs.schema import Column, EventType, Sequence, Snapshot, Source, Time, Versioned
from sequence_defs.schema.paths import parse_path, quoted

# A history that ended so long ago goes on no more in the same file.
_OVER = dt.timedelta(days=2)
_LENGTH = 200


@dataclass(frozen=True)
class Owner:
    """Whose definitions they are."""

    tenant: str
    owner: str
    description: str
    retention_days: int


@dataclass(frozen=True)
class Proposal:
    """Decisions. ``moment`` and ``user`` are None for a table without events; ``location`` is as a source says it.

    ``most_rejected`` is the share of a day's rows that a build may refuse; None for what is usual.
    """

    profile: Profile
    owner: Owner
    name: str
    location: str
    moment: Moment | None = None
    user: str | None = None
    key: tuple[str, ...] = ()
    timezone: str = "UTC"
    personal: frozenset[str] = frozenset()
    start: dt.date | None = None
    end: dt.date | None = None
    most_rejected: float | None = None

    @property
    def required(self) -> set[str]:
        """Columns without which a row says nothing."""
        others = (self.user, self.moment.column if self.moment else None)
        return {*self.key, *(name for name in others if name is not None)}

    def source(self) -> Source:
        sample, written = self.profile.sample, self.profile.written
        made = Source(
            name=self.name,
            tenant=self.owner.tenant,
            owner=self.owner.owner,
            description=f"As sampled from {sample.topic or sample.stem}.",
            location=self.location,
            topic=sample.topic,
            format="parquet" if sample.topic else written.format,
            csv=written.options,
            columns=tuple(self._column(name) for name in self.profile.types),
            event_time=self.time(),
            user_id=self._named(self.user) if self.moment and self.user else None,
            start=self.start,
            end=self.end,
            retention_days=self.owner.retention_days if self.moment else None,
        )
        return (
            made if self.most_rejected is None else made.model_copy(update={"max_rejected_share": self.most_rejected})
        )

    def time(self) -> Time | None:
        """When it happened, in the zone that was chosen."""
        moment = self.moment
        if moment is None:
            return None
        name = sql_name(self._named(moment.column))
        sql = re.sub(rf"\b{re.escape(moment.column)}\b", name, moment.time.sql, count=1)
        if not moment.is_local or self.timezone == "UTC":
            return moment.time.model_copy(update={"sql": sql})
        # A timestamp column is in UTC; as a local time it is said to be one.
        local = f"CAST({sql} AS TIMESTAMP)" if moment.dtype == "timestamp" else sql
        return Time(sql=local, timezone=self.timezone)

    def _event_names(self) -> list[str]:
        """The sample's columns that an event has: its user and its time are the platform's."""
        left_out = {self.user, self.moment.column if self.moment else None} - set(self.key)
        return [name for name in self.profile.types if name not in left_out]

    def _named(self, name: str) -> str:
        """What a column is called: an event's not as one of the platform's."""
        is_taken = self.moment is not None and name in SYSTEM_COLUMNS and name in self._event_names()
        return f"{name}_value" if is_taken else name

    def _column(self, name: str) -> Column:
        attribute, moment, named = self.profile.attribute(name), self.moment, self._named(name)
        return Column(
            name=named,
            dtype=moment.dtype if moment and moment.column == name else self.profile.dtypes[name],
            nullable=name not in self.required,
            pii=name in self.personal,
            field=attribute.field or (quoted(name) if named != name else None),
        )

    def event_type(self) -> EventType:
        key = tuple(map(self._named, self.key))
        columns = [self._column(name).model_copy(update={"field": None}) for name in self._event_names()]
        return event_type_of(self.owner, self.name, self.source(), key, columns)

    def sequence(self, name: str, event_type: EventType) -> Sequence:
        """Of this event type alone, without personal data."""
        return sequence_of(self.owner, name, event_type, is_user_personal=self.user in self.personal)

    def enrichment(self, valid_from: Moment | None) -> Snapshot | Versioned:
        """A keyed table: of versions where rows say from when they hold, else as it is today."""
        named = {*self.key, valid_from.column if valid_from else None}
        columns = tuple(
            Column(name=name, dtype=self.profile.dtypes[name], pii=name in self.personal)
            for name in self.profile.types
            if name not in named
        )
        if valid_from is None:
            return Snapshot(
                name=self.name,
                tenant=self.owner.tenant,
                owner=self.owner.owner,
                description=self.owner.description,
                source=f"{self.name}_rows",
                key=self.key,
                columns=columns,
            )
        return Versioned(
            name=self.name,
            tenant=self.owner.tenant,
            owner=self.owner.owner,
            description=self.owner.description,
            source=f"{self.name}_rows",
            key=self.key,
            columns=columns,
            valid_from=valid_from.time.model_copy(update={"sql": valid_from.time.sql}),
            max_age_days=3650,
        )


def event_type_of(
    owner: Owner, name: str, source: Source, key: tuple[str, ...], columns: Many[Column], where: str | None = None
) -> EventType:
    """Of the rows of a source for which ``where`` is true, with some of its columns; one column alone is an id."""
    dtypes = {column.name: column.dtype for column in source.columns}
    is_id = len(key) == 1 and dtypes[key[0]] not in ("timestamp", "date", "bool")
    return EventType(
        name=name,
        tenant=owner.tenant,
        owner=owner.owner,
        description=owner.description,
        source=source.name,
        filter=where,
        id_field=key[0] if is_id else None,
        natural_key=() if is_id else key,
        columns=tuple(column.model_copy(update={"field": None, "sql": None}) for column in columns),
        retention_days=owner.retention_days,
    )


def sequence_of(owner: Owner, name: str, event_type: EventType, *, is_user_personal: bool = False) -> Sequence:
    """Of one event type alone, without personal data."""
    shown = [column.name for column in event_type.columns if not column.pii] or ["event_id"]
    return Sequence(
        name=name,
        tenant=owner.tenant,
        owner=owner.owner,
        description=f"A user's events of type {event_type.name}, newest first.",
        event_types=(event_type.name,),
        columns=tuple(shown),
        length=_LENGTH,
        pii="drop" if is_user_personal else None,
        retention_days=owner.retention_days,
    )


def sql_name(column: str) -> str:
    """A column as SQL says it: in quotes where its name is a word of the language."""
    try:
        if names(column) == [column]:
            return column
    except SqlError:
        pass
    return f'"{column}"'


def span(profile: Profile, moment: Moment, now: dt.datetime) -> tuple[dt.date, dt.date | None]:
    """First day, and the day after the last where the history is over; open where more may come."""
    sample = profile.sample
    is_over = sample.is_whole and not sample.topic and not sample.others and moment.last < now - _OVER
    first = min(moment.first.date(), sample.first_day or dt.date.max)
    return first, moment.last.date() + dt.timedelta(days=1) if is_over else None


def sample_rows(profile: Profile, personal: frozenset[str], numbers: Many[int] = (0, 1)) -> list[dict[str, object]]:
    """Rows of the sample as messages say them, by the names of the file; none where JSON does not say them."""
    numbers = [number for number in numbers if number < profile.table.rows]
    rows: list[dict[str, object]] = [{} for _ in numbers]
    for each in profile.table.attributes:
        path = parse_path(each.field or quoted(each.name))
        if each.name in personal:
            continue
        if not all(isinstance(step, str) for step in path) or each.values.dtype == pl.Binary():
            return []
        for row, value in zip(rows, each.values.gather(numbers).to_list(), strict=True):
            if value is not None:
                inside: dict[str, Any] = row
                for step in map(str, path[:-1]):
                    inside = inside.setdefault(step, {})
                inside[str(path[-1])] = _in_json(value, each.said)
    return rows


def _in_json(value: Any, said: frozenset[str]) -> Any:
    if isinstance(value, str):
        # What is no text in JSON is kept as it stands there.
        return json.loads(value) if said and "string" not in said and value != "NaN" else value
    if isinstance(value, list | tuple):
        return [_in_json(each, said) for each in value]
    if isinstance(value, dict):
        return {name: _in_json(each, said) for name, each in value.items()}
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    return float(value) if isinstance(value, decimal.Decimal) else value

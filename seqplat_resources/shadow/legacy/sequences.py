"""Events that legacy keeps by user, as sequences in our names and types: each is decoded as a row of a source is.

A user with an event that cannot be read is named and not compared: a sequence with a hole is another sequence.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.contract import LegacyRows
from seqplat_resources.shadow.legacy.fitting import PLACE, fitted, their
from seqplat_resources.shadow.legacy.packed import with_bytes
from seqplat_resources.sources.decode import decode
from seqplat_resources.sources.formats.contract import Origin, ParsedRows, sent_of
from seqplat_resources.sources.formats.fields import located
from seqplat_resources.sources.formats.json_lines import parse_records
from sequence_defs.compiler.counterparts import Counterpart, counterparts
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Column, LegacySequence, Source
from sequence_defs.schema import Sequence as Definition

USER = "_user"
_OWNER, _NUMBER = "_owner", "_number"
# What every event of an answer has; nothing of it is a column that is compared.
_KEYS = frozenset({"user_id", "event_time", "event_type", "event_id"})
_LISTS = {"event_id": "event_ids", "event_time": "event_times", "event_type": "event_types"}


class NoLegacySequence(Final):
    """A sequence without ``legacy``, or whose legacy is of another kind."""


@dataclass(frozen=True)
class LegacySequenceReader:
    """Makes sequences of the events of one legacy.

    ``left_out`` counts events that are no part of them, as their type is none of ours, by what legacy calls it.
    """

    legacy: LegacySequence
    source: Source
    user: Column
    met: Mapping[str, Counterpart]
    types: Mapping[str, str]
    runtime: Runtime
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, runtime: Runtime, name: str) -> "LegacySequenceReader":
        """
        Raises:
            NoLegacySequence: it says no legacy.
        """
        release, definition = runtime.release, runtime.release.sequences[name]
        if (legacy := definition.legacy) is None:
            raise NoLegacySequence(f"sequence {name!r} says no legacy, so there is nothing to compare it with")
        source = release.sources[release.event_types[definition.event_types[0]].source]
        user = next(column for column in source.columns if column.name == source.user_id)
        ours = {out: next(iter(of.values())) for out, of in release.sequence_columns(name).items() if out not in _KEYS}
        named = {out: column.model_copy(update={"name": out}) for out, column in ours.items()}
        met = counterparts(legacy, named, {column.name: column for column in legacy.fields})
        types = {legacy.event_types.get(ours, ours): ours for ours in definition.event_types}
        return cls(legacy, _as_source(definition, legacy, user), user, met, types, runtime)

    @property
    def fields(self) -> tuple[Column, ...]:
        """What is read of an event."""
        return self.source.columns[:-1]

    def of_records(self, users: pl.DataFrame, records: Sequence[Sequence[bytes]]) -> LegacyRows:
        """Sequences of users whose events are JSON objects; otherwise as ``of_frame``."""
        lines, fields = [line for each in records for line in each], [f for f in self.fields if f.sql is None]
        parsed = parse_records(range(len(lines)), lines, fields)
        if getattr(self.legacy.at, "encoding", "") == "msgpack":
            parsed = replace(parsed, rows=with_bytes(parsed.rows, fields))
        return self._sequences(users, [len(each) for each in records], parsed)

    def of_frame(self, users: pl.DataFrame, counts: Sequence[int], events: pl.DataFrame) -> LegacyRows:
        """Sequences of users whose events are rows with columns of any types, in the order they are given.

        Shapes:
            In: ``user_id`` in our type, distinct and not null, and ``PLACE``, where the user was read; ``counts`` says
            how many of the events are of each user, one after the other.
            Out: ``user_id``, ``event_ids``, ``event_times``, ``event_types`` (null for what is of no type) and a list
            per compared column, under our name and with items of our type. A user without events has empty lists.
        """
        rows, faults = located(events, self.fields)
        known = {column.name for column in self.fields}
        rows = rows.select(name for name in rows.columns if name in known)
        numbers = pl.int_range(rows.height, dtype=pl.Int64(), eager=True)
        parsed = ParsedRows(rows, numbers, Origin(sent_of(lambda _: b""))).without(faults)
        return self._sequences(users, counts, parsed)

    def _sequences(self, users: pl.DataFrame, counts: Sequence[int], parsed: ParsedRows) -> LegacyRows:
        owners = users.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32()).alias(_OWNER))
        places = _places(counts)
        now = self.runtime.clock.now()
        rows = parsed.rows.with_columns(
            users["user_id"].gather(places[_OWNER].gather(parsed.offsets)).alias(USER),
            _partition=pl.lit(self.source.name),
            _offset=parsed.offsets,
            _received=pl.lit(now).cast(UTC_US),  # when legacy heard of it nobody knows
        )
        decoded = decode(rows, self.source, clock=self.runtime.clock, origin=Origin(parsed.origin.sent))
        broken = pl.DataFrame([(p.offset, p.reason) for p in parsed.broken], schema=_REFUSED, orient="row")
        refused = pl.concat([broken, decoded.rejects.select(list(_REFUSED))]).sort("offset")
        named = refused.select(*places[refused["offset"]], "reason").join(owners, on=_OWNER, maintain_order="left")
        problems = [named.select(problem_of(pl.format("event {}: {}", _NUMBER, "reason")))]
        events = decoded.rows.with_columns(places[decoded.rows["_offset"]])
        whole = events.filter(~pl.col(_OWNER).is_in(named[_OWNER].implode()))
        found = self._ours(whole)
        kept = owners.filter(~pl.col(_OWNER).is_in(named[_OWNER].implode()))
        return LegacyRows(_grouped(kept, found.rows), pl.concat([*problems, found.problems]))

    def _ours(self, events: pl.DataFrame) -> LegacyRows:
        """Events as ours, those of no type of ours apart."""
        legacy, theirs = self.legacy, {each.legacy.name for each in self.met.values()}
        said = pl.col(legacy.event_type) if legacy.event_type else pl.lit(None, pl.String)
        events = events.with_columns(_type=said.replace_strict(self.types, default=None, return_dtype=pl.String()))
        if legacy.event_type:
            others = events.filter(pl.col("_type").is_null())
            self.left_out.update(dict(others[legacy.event_type].value_counts().iter_rows()))
            events = events.filter(pl.col("_type").is_not_null())
        return fitted(
            events.select(
                _OWNER,
                pl.col(USER).alias("user_id"),
                pl.format("event {}", _NUMBER).alias(PLACE),
                pl.col(legacy.event_id).cast(pl.String).alias("event_id"),
                pl.col("_event_time").alias("event_time"),
                pl.col("_type").alias("event_type"),
                *(pl.col(name).alias(their(name)) for name in theirs),
            ),
            self.met.values(),
        )


_REFUSED = {"offset": pl.Int64(), "reason": pl.String()}


def problem_of(reason: pl.Expr) -> list[pl.Expr]:
    """A row of ``PROBLEMS`` for each user, of ``user_id`` in any type and ``PLACE``."""
    return [
        pl.col("user_id").cast(pl.String).alias("user"),
        pl.col(PLACE).alias("place"),
        reason.alias("reason"),
    ]


def _as_source(definition: Definition, legacy: LegacySequence, user: Column) -> Source:
    """What decodes an event: its fields, and whose it is. Without an id, or a type that is asked for, it is none."""
    needed = {legacy.event_id, legacy.event_type}
    fields = [f.model_copy(update={"nullable": False}) if f.name in needed else f for f in legacy.fields]
    owner = user.model_copy(update={"name": USER, "sql": None, "field": None})
    source = Source(name=definition.name, tenant=definition.tenant, columns=tuple(fields), event_time=legacy.event_time)
    return source.model_copy(update={"columns": (*fields, owner), "user_id": USER})


def _places(counts: Sequence[int]) -> pl.DataFrame:
    """Of each event, whose it is and the how manieth of them."""
    sizes = np.asarray(counts, dtype=np.int64)
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return pl.DataFrame({_OWNER: owner, _NUMBER: number}, schema={_OWNER: pl.UInt32(), _NUMBER: pl.Int64()})


def _grouped(owners: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """One row per owner, in their order."""
    events = events.drop("user_id").rename(_LISTS)
    lists = events.group_by(_OWNER, maintain_order=True).agg(pl.all())
    found = owners.select(_OWNER, "user_id").join(lists, on=_OWNER, how="left", maintain_order="left").drop(_OWNER)
    return found.with_columns(
        pl.col(name).fill_null(pl.lit([], dtype=pl.List(dtype)))
        for name, dtype in events.schema.items()
        if name != _OWNER
    )

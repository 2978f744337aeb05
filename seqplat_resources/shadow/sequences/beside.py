"""What is read of events beside their ids: values that are compared, and what expected differences look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.comparison.contract import EVENT_ID, EVENT_TIME, INGEST_TIME, USER, ColumnRule
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.sequences import LegacySequenceReader
from sequence_defs.compiler.counterparts import Counterpart
from sequence_defs.compiler.sql import UTC_US, names, storage_dtype
from sequence_defs.schema import Column, LegacySequence, parse_dtype

# Lists of such values are called so: no column of a table begins with it.
BESIDE = "="
TYPE = "event_type"


@dataclass(frozen=True)
class Beside:
    """Of one sequence with legacy."""

    runtime: Runtime
    name: str
    legacy: LegacySequence

    @cached_property
    def met(self) -> dict[str, Counterpart]:
        """By our name, the columns whose values are compared."""
        return dict(LegacySequenceReader.of(self.runtime, self.name).met)

    @cached_property
    def rules(self) -> dict[str, ColumnRule]:
        """How each compared column is; the event time only where the definition says how."""
        time = self.legacy.columns.get(EVENT_TIME)
        how = {**({EVENT_TIME: time} if time else {}), **{name: met.how for name, met in self.met.items()}}
        return {n: ColumnRule(each.absolute, each.relative, each.cosine, each.as_set) for n, each in how.items()}

    @cached_property
    def vectors(self) -> dict[str, tuple[str, int]]:
        """By name of a column, what its vectors are packed of."""
        parsed = {name: parse_dtype(met.ours.dtype) for name, met in self.met.items()}
        return {name: (found.item, found.dim) for name, found in parsed.items() if found.kind == "vector"}

    @cached_property
    def columns(self) -> dict[str, dict[str, Column]]:
        """Our columns that an answer has, by event type, without what every event has."""
        found = self.runtime.release.sequence_columns(self.name)
        return {out: dict(of) for out, of in found.items() if out not in (USER, EVENT_ID, EVENT_TIME, TYPE)}

    @cached_property
    def types(self) -> dict[str, pl.DataType]:
        """Of all that can be read of an event, by name."""
        found = {out: storage_dtype(next(iter(of.values())).dtype) for out, of in self.columns.items()}
        return {**found, EVENT_TIME: UTC_US, INGEST_TIME: UTC_US, TYPE: pl.String()}

    @cached_property
    def lists(self) -> dict[str, pl.DataType]:
        """By name of their list the types of what is read; nothing where nothing is asked of it."""
        read = {name for each in self.legacy.explained for name in names(each.where)}
        wanted = {*self.rules, *read} & self.types.keys()
        if not wanted and not self.legacy.explained:
            return {}
        return {f"{BESIDE}{n}": d for n, d in self.types.items() if n in wanted or n in (EVENT_TIME, TYPE)}

    def ours(self, event_type: str) -> Iterator[pl.Expr]:
        """The values of one event type's table."""
        for name, dtype in self.lists.items():
            out = name.removeprefix(BESIDE)
            if out == TYPE:
                yield pl.lit(event_type).alias(name)
                continue
            of_all = out in (EVENT_TIME, INGEST_TIME)
            column = out if of_all else getattr(self.columns[out].get(event_type), "name", None)
            yield (pl.col(column) if column else pl.lit(None)).cast(dtype).alias(name)

    def legacys(self) -> Iterator[pl.Expr]:
        """Those of legacy's events, under the names that its reader gives them; what it does not say is null."""
        known = {EVENT_TIME: "event_times", TYPE: "event_types", **{name: name for name in self.met}}
        for name, dtype in self.lists.items():
            column = known.get(name.removeprefix(BESIDE))
            yield (pl.col(column) if column else pl.lit(None)).cast(dtype).alias(name)

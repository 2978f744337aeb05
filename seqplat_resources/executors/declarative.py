"""The default executor: filter and columns are the definition's SQL expressions."""

import polars as pl

from seqplat_resources.engine.registry import executor
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.sql import schema_of
from sequence_defs.schema import EventType, Source


@executor("declarative")
class Declarative:
    """Most event types need nothing else; other executors may inherit and replace one step."""

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        return checked(event_type.filter, schema_of(source.columns)) if event_type.filter else pl.lit(True)

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        schema = schema_of(source.columns)
        computed = [checked(column.sql, schema).alias(column.name) for column in event_type.columns if column.sql]
        return raw.with_columns(computed)

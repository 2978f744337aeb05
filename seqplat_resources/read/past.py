"""What counted at a time and does not any more: rows that builds keep beside a day, as blocks beside the online ones.

Only who asks ``as_of`` reads them, from the lake. A release without a home (tests of definitions) has none.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.home import Home
from seqplat_resources.lake.layout import superseded_table
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import BlockSchema, encode_bucket
from seqplat_resources.online_store.codec import SchemaLookup
from seqplat_resources.rules.known import SUPERSEDED_TIME
from seqplat_resources.rules.order import by_user_newest_first
from seqplat_resources.times import instant
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PastBlocks:
    """Blocks by event type and user; ``unread`` are event types whose rows of the past cannot be read."""

    blocks: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    schemas: Mapping[int, BlockSchema] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def lookup(self, schemas: SchemaLookup) -> SchemaLookup:
        """``schemas``, and those of the blocks."""
        return (lambda number: self.schemas.get(number) or schemas(number)) if self.schemas else schemas


@dataclass(frozen=True)
class PastRows:
    """``superseded/<event_type>`` of a home."""

    home: Home

    def blocks(
        self,
        columns: Mapping[str, Mapping[str, str]],
        users: Sequence[str],
        as_of_us: int,
        stored_as: Mapping[str, str],
    ) -> PastBlocks:
        """What counted at ``as_of_us`` of some users.

        ``columns`` are by event type those to read, with their types: what decides between rows among them.
        ``stored_as`` says which event types have another name.
        Cost: where a table is there, its Delta log, and its files in which some of the users may be.
        """
        blocks, schemas, unread = dict[tuple[str, str], bytes](), dict[int, BlockSchema](), set[str]()
        for event_type, wanted in columns.items():
            try:
                rows = self._rows(stored_as.get(event_type, event_type), wanted, users, as_of_us)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # there is an answer without it, which says so; a panic is no Exception
                _log.warning("superseded/%s cannot be read: %s", event_type, error)
                unread.add(event_type)
                continue
            if rows is not None:
                schema = BlockSchema.of(dict(wanted))
                schemas[schema.schema_id] = schema
                where = f"superseded/{event_type}"
                blocks |= {(event_type, user): block for user, block in encode_bucket(rows, schema, where=where)}
        return PastBlocks(blocks, schemas, frozenset(unread))

    def _rows(self, name: str, wanted: Mapping[str, str], users: Sequence[str], as_of_us: int) -> pl.DataFrame | None:
        table = LakeTable(self.home, superseded_table(name), [Column(name=n, dtype=t) for n, t in wanted.items()])
        if not table.exists():
            return None
        rows, at = table.scan(), pl.lit(instant(as_of_us))
        user = rows.collect_schema()["user_id"]
        theirs = pl.Series(users, dtype=pl.String()).cast(user, strict=False).drop_nulls()
        counted = (pl.col("available_time") <= at) & (at < pl.col(SUPERSEDED_TIME))
        found = rows.filter(pl.col("user_id").is_in(theirs.implode()) & counted).select("user_id", *wanted).collect()
        if not found.height:
            return None
        types = (pl.col(name).cast(storage_dtype(dtype)) for name, dtype in wanted.items())
        return by_user_newest_first(found.with_columns(pl.col("user_id").cast(pl.String), *types))

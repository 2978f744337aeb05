"""How an enrichment lies in the online store: per key one block of values and when they hold. Pure.

The store's "user" is the key's text. Its "day" is always ``ALL_DAYS``: with a bucket per day every key would be written
every day. For the same reason a block says nothing that changes while its key does not: a value that holds since before
the days kept has no start, one that holds on has no end. What the days kept are is in the epoch, once for all keys.

>>> online_name("price")
'enrichments/price'
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import polars as pl
import polars.selectors as cs

from seqplat_resources.online_store import BlockSchema, Epoch
from seqplat_resources.online_store.keys import MAX_USER_BYTES
from seqplat_resources.rules.identity import event_id
from seqplat_resources.times import end_us, midnight
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Keyed, Snapshot

# Earlier than any real day, so that nobody takes it for one.
ALL_DAYS = "0001-01-01"
# Late events come up to 72 hours late, so on the day that is newest they may belong to any of the three before it.
DAYS_KEPT = 4

_END = "~"


def online_name(enrichment: str) -> str:
    """The name an enrichment has in the online store. No event type has it: theirs have no slash."""
    return f"enrichments/{enrichment}"


def block_schema(definition: Keyed) -> BlockSchema:
    """Columns of a key's block. The key itself is known to whoever asks for it."""
    columns = {column.name: column.dtype for column in definition.columns}
    return BlockSchema.of({"valid_from": "timestamp", "valid_to": "timestamp", **columns})


def key_texts(keys: pl.DataFrame) -> pl.Series:
    """Each row of a key as one text the store can hold: 1 to 256 bytes, distinct for distinct keys of one table.

    Null where a part is null.
    """
    if pl.Binary() in keys.dtypes:
        keys = keys.with_columns(cs.binary().bin.encode("hex"))
    texts = keys.select(event_id(keys.columns, keys.schema) + _END).to_series()
    long = texts.str.len_bytes() > MAX_USER_BYTES
    if not long.any():
        return texts
    # A digest does not end like the others, so it is never the text of another key.
    hashed = [hashlib.sha256(text.encode()).hexdigest() for text in texts.filter(long)]
    return texts.scatter(long.arg_true(), hashed)


def covered_days(epoch: Epoch) -> list[dt.date]:
    """The consecutive days whose events a published table answers for, ascending."""
    return sorted(dt.date.fromisoformat(day) for day in epoch.buckets[ALL_DAYS].high_water)


def covered(days: Iterable[dt.date], newest: dt.date) -> list[dt.date]:
    """The days to keep of those there are, ascending: up to ``DAYS_KEPT`` without a gap, up to ``newest``."""
    there = set(days)
    kept = [newest]
    while len(kept) < DAYS_KEPT and kept[0] > dt.date.min and (before := kept[0] - dt.timedelta(days=1)) in there:
        kept.insert(0, before)
    return kept


def intervals(buckets: Mapping[dt.date, pl.DataFrame], definition: Keyed) -> pl.DataFrame:
    """What each key had and when, as the buckets of consecutive days say it.

    Shapes:
        In: per day the versions of its bucket, as the engine would look them up for an event of the day; a null
        ``valid_from`` or ``valid_to`` is open. Out: key columns, ``valid_from``, ``valid_to`` and values; a key's rows
        lie together, ascending, and do not overlap. Equal values without a gap between them are one row.
        ``valid_from`` is null if it held when the first day began; ``valid_to`` is the end the newest day states for
        what is current when it ends, and null without one. A snapshot states none: it holds until the next is there.
    """
    key, values = list(definition.key), [column.name for column in definition.columns]
    first, last = min(buckets), max(buckets)
    pieces = pl.concat(
        _of_day(day, bucket.select(*key, "valid_from", "valid_to", *values), definition)
        for day, bucket in sorted(buckets.items())
    ).sort(*key, "_from")
    continues = (
        _same_key(key, 1)
        & (pl.col("_from") == pl.col("_until").shift(1))
        & pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in values)
    ).fill_null(value=False)
    marked = pieces.with_columns(_continues=continues)
    begins = marked.filter(~pl.col("_continues"))
    ends = marked.filter(~pl.col("_continues").shift(-1, fill_value=False)).select("_until", "_stated")
    return pl.concat([begins.drop("_until", "_stated", "_continues"), ends], how="horizontal").select(
        *key,
        pl.when(pl.col("_from") != _midnight(first)).then("_from").alias("valid_from"),
        pl.when(pl.col("_until") < _end(last)).then("_until").otherwise("_stated").alias("valid_to"),
        *values,
    )


def _of_day(day: dt.date, versions: pl.DataFrame, definition: Keyed) -> pl.DataFrame:
    """The parts of the day at which each version is what an event finds: until it ends, or the next one begins."""
    key = list(definition.key)
    stated = pl.lit(None, UTC_US) if isinstance(definition, Snapshot) else pl.col("valid_to")
    next_begins = pl.when(_same_key(key, -1)).then(pl.col("valid_from").shift(-1))
    return (
        versions.sort(*key, "valid_from")
        .with_columns(
            _from=pl.max_horizontal("valid_from", _midnight(day)),
            _until=pl.min_horizontal("valid_to", next_begins, _end(day)),
            _stated=stated,
        )
        .filter(pl.col("_from") < pl.col("_until"))
        .drop("valid_from", "valid_to")
    )


def _same_key(key: Sequence[str], back: int) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == pl.col(name).shift(back) for name in key)


def _midnight(day: dt.date) -> pl.Expr:
    return pl.lit(midnight(day)).cast(UTC_US)


def _end(day: dt.date) -> pl.Expr:
    return pl.lit(end_us(day), pl.Int64).cast(UTC_US)

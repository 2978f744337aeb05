"""Rolling up: days of a user that no longer change become few larger blocks, so that a long history is few reads.

Which spans are due is decided from one epoch and the store's marks, users are found and changed by the store. What is
decided here is which rows go together: those of one schema, newest day first, about ``BLOCK_ROWS`` to a block.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import BlockSchema, decode_blocks, encode_bucket, row_count, schema_id
from seqplat_resources.online_store.contract import Epoch, OnlineStore
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.online_store.spans import Roll, Rollable, RolledBlock, RollSpan
from seqplat_resources.times import DAY_US, FIRST_DAY, day_number, day_text

# Days that late events, of up to 72 hours, still change: their own blocks are cheaper to replace.
KEEP_DAYS = 3
# New days that make it worth to write a span's blocks again. Each of its rows is then written eight times at most;
# waiting for eight days would halve that and cost every reader two blocks more on average.
LEAST_DAYS = 4
# Also where fewer days came to a span that gets no more of them by itself.
LEAST_DAYS_OF_FULL_SPAN = 3
# A block of so many rows is some 50 to 100 KB, of which a reader of a few columns takes the tenth part.
BLOCK_ROWS = 2048

_TIME = "event_time"
_DAYS = 1 << 22  # more than there are

_log = logging.getLogger(__name__)


def roll_up(store: OnlineStore, event_type: str) -> int:
    """Roll up what is due of an event type; how many users' days of a span were.

    May run beside readers, streams and publishers, and be killed at any point: a user's days change in one step.
    Cost:
        Without a span that is due, two small records are read. Else every user of the event type is looked at once per
        such span, and what is rolled up is decoded and encoded, some megabytes at a time.
    """
    users = 0
    for span, versions in _due_in(store, event_type).items():
        for found in store.rollable(event_type, span):
            users += store.roll_many(event_type, span, list(rolls(store, event_type, found)))
        store.mark_rolled(event_type, versions)
    return users


def _due_in(store: OnlineStore, event_type: str) -> Mapping[RollSpan, Mapping[str, int]]:
    marks = store.rolled_days(event_type)
    head = store.epoch(event_type)
    if head is None or not due([head], marks):
        return {}
    epochs = []
    for number in store.kept_epochs(event_type):
        with store.snapshot(epochs={event_type: number}) as view:
            epochs.append(view.epoch(event_type))
    return due([epoch for epoch in epochs if epoch], marks)


def due(epochs: Sequence[Epoch], marks: Mapping[str, int]) -> dict[RollSpan, dict[str, int]]:
    """Spans worth rolling up, oldest first, with their old days that all kept epochs (newest last) show alike, and the
    bucket versions of these; ``marks`` are the versions that were rolled up before. Pure."""
    shown: dict[str, set[int]] = defaultdict(set)
    for epoch in epochs:
        for day, bucket in epoch.buckets.items():
            shown[day].add(bucket.version)
    last_old = max(map(day_number, epochs[-1].buckets), default=FIRST_DAY) - KEEP_DAYS
    if last_old < FIRST_DAY:
        return {}  # no day is that old
    until = day_text(last_old)
    spans: dict[RollSpan, dict[str, int]] = defaultdict(dict)
    for day, bucket in sorted(epochs[-1].buckets.items()):
        if day <= until and len(shown[day]) == 1:
            spans[RollSpan.of(day)][day] = bucket.version

    def is_due(span: RollSpan, days: Mapping[str, int]) -> bool:
        changed = [day for day, version in days.items() if marks.get(day) != version]
        fresh = [day for day in changed if not marks.get(day)]
        return len(changed) >= LEAST_DAYS or (span.last_day <= until and len(fresh) >= LEAST_DAYS_OF_FULL_SPAN)

    return {span.until(until): days for span, days in spans.items() if is_due(span, days)}


def rolls(store: OnlineStore, event_type: str, found: Sequence[Rollable]) -> Iterator[Roll]:
    """What takes the place of each user's blocks. A user one of whose blocks is damaged stays as he is."""
    left = [one for one in found if _is_dated(store, event_type, one)]
    while True:
        try:
            made = _made(store, event_type, left)
        except _DamagedUser as damaged:
            _warn(event_type, damaged.__cause__)
            left = [one for one in left if one.user != damaged.user]
        else:
            break
    yield from (Roll(one.user, tuple(made[one.user])) for one in left)


class _DamagedUser(Exception):
    def __init__(self, user: str) -> None:
        self.user = user


def _is_dated(store: OnlineStore, event_type: str, one: Rollable) -> bool:
    """Whether all rows tell their day, without which no day could be taken out of a rolled block again."""
    try:
        schemas = [store.schema(schema_id(source.payload)) for source in one.sources]
    except CorruptBlockError as error:
        _warn(event_type, error)
        return False
    return all(schema is not None and _TIME in schema.dtypes for schema in schemas)


def _warn(event_type: str, why: BaseException | None) -> None:
    _log.warning("events of %s are not rolled up: %s", event_type, why)


def _made(store: OnlineStore, event_type: str, found: Sequence[Rollable]) -> Mapping[str, list[RolledBlock]]:
    """By user the blocks of all sources. Sources of one schema are decoded and encoded in one pass."""
    by_schema: dict[int, list[_Source]] = defaultdict(list)
    for number, one in enumerate(found):
        for source in one.sources:
            days = {day_number(day): version for day, version in source.days.items()}
            by_schema[schema_id(source.payload)].append(_Source(number, days, source.payload, source.is_rolled))
    ranks = [_ranks(one) for one in found]
    made: dict[str, list[RolledBlock]] = defaultdict(list)
    for wanted, sources in by_schema.items():
        try:
            rows = decode_blocks([source.payload for source in sources], store.schema, where=f"online/{event_type}")
        except CorruptBlockError as error:
            raise _DamagedUser(found[sources[error.block or 0].user].user) from error
        if (schema := store.schema(wanted)) is not None:  # decoding has refused blocks of an unknown one
            for number, block in _joined(rows, schema, sources, ranks):
                made[found[number].user].append(block)
    return made


class _Source(NamedTuple):
    """A ``RollSource`` with the number of its user and its days as numbers."""

    user: int
    days: Mapping[int, int]
    payload: bytes
    is_rolled: bool


def _ranks(one: Rollable) -> Mapping[int, int]:
    """The user's days, whatever their schema, numbered from the newest."""
    days = sorted({day_number(day) for source in one.sources for day in source.days}, reverse=True)
    return {day: rank for rank, day in enumerate(days)}


def _joined(
    rows: pl.DataFrame, schema: BlockSchema, sources: Sequence[_Source], ranks: Sequence[Mapping[int, int]]
) -> Iterator[tuple[int, RolledBlock]]:
    """Blocks of one schema, each with the number of its user. Rows of a day keep the order that they have."""
    counts = np.array([row_count(source.payload) for source in sources], np.int64)
    source_of = np.repeat(np.arange(counts.size), counts)
    days = rows[_TIME].to_physical().to_numpy() // DAY_US
    for_sure = np.array([-1 if source.is_rolled else next(iter(source.days)) for source in sources], np.int64)[
        source_of
    ]
    days = np.where(for_sure < 0, days, for_sure)
    counting = [k * _DAYS + day for k, source in enumerate(sources) for day in source.days]
    kept = np.flatnonzero(np.isin(source_of * _DAYS + days, counting))
    users = np.array([source.user for source in sources], np.int64)[source_of[kept]]
    order = np.lexsort((-days[kept], users))
    users, days, rows = users[order], days[kept][order], rows[kept[order]]
    starts = np.flatnonzero((np.diff(users, prepend=-1) != 0) | (np.diff(days, prepend=-1) != 0))
    versions = {(source.user, day): version for source in sources for day, version in source.days.items()}
    blocks: list[tuple[int, dict[str, int]]] = []
    sizes: list[int] = []
    last = (-1, -1)
    for start, size in zip(starts.tolist(), np.diff(np.append(starts, users.size)).tolist(), strict=True):
        user, day = int(users[start]), int(days[start])
        place = (user, ranks[user][day])
        # NOTE: days of another schema between two of these: blocks that overlap would come in no order.
        if place != (last[0], last[1] + 1) or sizes[-1] + size > BLOCK_ROWS:
            blocks.append((user, {}))
            sizes.append(0)
        blocks[-1][1][day_text(day)] = versions[user, day]
        sizes[-1], last = sizes[-1] + size, place
    names = pl.Series("_block", [f"{k}" for k in range(len(blocks))], dtype=pl.String)
    named = rows.hstack([names[np.repeat(np.arange(len(blocks)), sizes)]])
    for (_, payload), (user, of_days) in zip(encode_bucket(named, schema, user_column="_block"), blocks, strict=True):
        yield user, RolledBlock(of_days, payload)

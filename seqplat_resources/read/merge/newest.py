"""Users' events as a query wants them, from one snapshot: what batch published, and what streaming has seen since.

>>> from seqplat_resources.release.query import Query
>>> from seqplat_resources.release.sequence_plan import SequencePlan
>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> wanted = RowSelection.of(plan, Query(columns=("product",), limit=2))
>>> with store.snapshot() as view:
...     found = newest_events(PublishedDays.of(plan, view), view, ["ann", "bob"], wanted, today=19846)
...
>>> found.lengths, found.events["product"].to_list()
([2, 1], ['tea', 'bread', 'jam'])
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import NowBlock, StoreSnapshot
from seqplat_resources.online_store.codec.layout import Ints
from seqplat_resources.read.merge.calendar import EVENT_TIME, is_readable, readable
from seqplat_resources.read.merge.history import Bounds, DamageLog, History, Reader, UserBlocks
from seqplat_resources.read.merge.published import PublishedDays
from seqplat_resources.read.merge.reading import KEYS_AS_OF, SUPERSEDED, Reading
from seqplat_resources.read.merge.rows import DamagedBlocks, Decoder, Rows, Unfit
from seqplat_resources.read.merge.selection import RowSelection
from seqplat_resources.read.merge.similarity import most_similar
from seqplat_resources.read.past import PastBlocks, PastRows
from seqplat_resources.read.stored import EarlierRows, streamed_rows, together
from seqplat_resources.release.query import SIMILARITY
from seqplat_resources.rules.identity import REVISION
from seqplat_resources.rules.order import SOURCE_ORDER
from seqplat_resources.rules.window import first_day
from seqplat_resources.times import DAY_US, FIRST_DAY, LAST_DAY, day_text
from sequence_defs.compiler.sql import storage_dtype

# Users whose blocks are decoded at once, and rows that they may have: from here on it saves little per user, and the
# deadline is only looked at, and others let on, between passes.
TOGETHER, ROWS_TOGETHER = 128, 16_384


@dataclass(frozen=True)
class NewestEvents:
    """Events of several users end to end, ``lengths`` of each.

    ``newest_us`` are the times of each user's newest event that counts, None without any. ``damaged`` are the blocks
    left out, by event type; ``unreadable`` counts, by column, cells that are null because no calendar has the time
    that is stored. ``lost`` counts what changed after ``as_of``. ``cut_short`` are users that were not read as far as
    was needed, with the newest day that is unread (None: all of them): because of the deadline, or, of those who are
    ``bounded`` as well, because an answer is put together from so many events at most. ``now`` are the now blocks of
    each user that was read, in the order of ``selection.kinds``. ``decoded`` rows are in memory as long as ``events``,
    which may be a part of them. ``unfit`` says what of which blocks is null for its stored type, and ``earlier`` by
    event type what of streamed rows other definitions made. ``revisions`` names the stored row of each of
    the ``events``, where answers are recorded: its event type as the store calls it, and ``rules.identity.REVISION``.
    """

    events: pl.DataFrame
    lengths: Sequence[int]
    newest_us: Sequence[int | None]
    damaged: Mapping[str, Sequence[str]]
    unreadable: Mapping[str, int]
    lost: Mapping[str, int]
    cut_short: Mapping[str, int | None]
    now: Sequence[Sequence[Sequence[NowBlock]]]
    decoded: int = 0
    unfit: Mapping[Unfit, Collection[str]] = field(default_factory=dict)
    earlier: Mapping[str, tuple[EarlierRows, ...]] = field(default_factory=dict)
    revisions: pl.DataFrame | None = None
    bounded: frozenset[str] = frozenset()

    def now_by_type(self, selection: RowSelection) -> Mapping[str, Sequence[NowBlock]]:
        """Of the first user."""
        return dict(zip(selection.kinds, self.now[0], strict=True)) if self.now else {}


def window_start(published: PublishedDays, today: int, as_of_us: int | None = None) -> int | None:
    """First day of the sequence's window, None without one. A day is that of the event time in UTC, so it is in or out
    whole."""
    days = published.plan.definition.window_days
    return None if days is None else first_day(days, published.newest_day, today, as_of_us)


def newest_events(
    published: PublishedDays,
    view: StoreSnapshot,
    users: Sequence[str],
    selection: RowSelection,
    today: int,
    deadline: Deadline | None = None,
    between: Callable[[], None] = lambda: None,
    past: PastRows | None = None,
) -> NewestEvents:
    """The users' events in order, each user at most ``selection.most``. ``today`` is our clock's day.
    ``between`` is called between two passes, and may wait. ``past`` has what counted as of a time and does not now.

    Raises:
        InvalidKeyError: no store can hold such a user id.
        QueryError: the condition cannot be evaluated on a user's values.
    Cost:
        One pass over the blocks that hold enough rows, of up to ``TOGETHER`` users at once, and only what is asked is
        decoded. Users with corrections or copies: some 20 vector passes more, and identities are decoded.
    """
    first = window_start(published, today, selection.as_of_us)
    since_us = max(selection.since_us, first * DAY_US) if first is not None else selection.since_us
    most = min(TOGETHER, max(1, ROWS_TOGETHER // (selection.candidates or ROWS_TOGETHER // 16)))
    parts = list[NewestEvents]()
    for start in range(0, max(1, len(users)), most):
        if start:
            between()
        parts.append(_together(published, view, users[start : start + most], selection, since_us, deadline, past))
    return _joined(parts) if len(parts) > 1 else parts[0]


def _joined(parts: Sequence[NewestEvents]) -> NewestEvents:
    damaged, lost, cut_short = defaultdict[str, list[str]](list), Counter[str](), dict[str, int | None]()
    unreadable = Counter[str]()
    unfit, earlier = defaultdict[Unfit, set[str]](set), dict[str, tuple[EarlierRows, ...]]()
    for part in parts:
        for event_type, names in part.damaged.items():
            damaged[event_type] += names
        unreadable.update(part.unreadable)
        lost.update(part.lost)
        cut_short.update(part.cut_short)
        for each, of_each in part.unfit.items():
            unfit[each] |= set(of_each)
        earlier = together(earlier, part.earlier)
    return NewestEvents(
        pl.concat([part.events for part in parts]),
        [length for part in parts for length in part.lengths],
        [time for part in parts for time in part.newest_us],
        damaged,
        unreadable,
        lost,
        cut_short,
        [now for part in parts for now in part.now],
        sum(part.decoded for part in parts),
        unfit,
        earlier,
        pl.concat([part.revisions for part in parts if part.revisions is not None])
        if parts[0].revisions is not None
        else None,
        frozenset().union(*(part.bounded for part in parts)),
    )


def _together(
    published: PublishedDays,
    view: StoreSnapshot,
    users: Sequence[str],
    selection: RowSelection,
    since_us: int,
    deadline: Deadline | None,
    past: PastRows | None,
) -> NewestEvents:
    before = _past_blocks(past, published, users, selection)
    bounds = Bounds(_text(since_us), _text(selection.until_us - 1) if selection.is_bounded else None)
    blocks = UserBlocks(view, selection.kinds, selection.stored, bounds, DamageLog())
    while True:
        schemas = before.lookup(view.schema) if before else view.schema
        decoder = Decoder(published.plan, schemas, selection.kinds)
        reading = Reading(blocks, published, selection, decoder, since_us, before)
        readers, unopened = _opened(blocks, users, deadline)
        try:
            rows = reading.newest(readers)
            return _events_of(reading, rows, readers, users, unopened)
        except DamagedBlocks as found:
            blocks.damage.left_out.update(piece.identity for piece in found.pieces)


def _past_blocks(
    past: PastRows | None, published: PublishedDays, users: Sequence[str], selection: RowSelection
) -> PastBlocks | None:
    """None where nobody asks for a past time, or there is nobody to ask."""
    if past is None or selection.as_of_us is None:
        return None
    plan, shown = published.plan, [*selection.fetched, *selection.needed]
    picked = {kind: {c.name: c.dtype for c in plan.picked(kind, shown).values()} for kind in selection.kinds}
    columns = {kind: {**KEYS_AS_OF, SOURCE_ORDER: "string", **of_kind} for kind, of_kind in picked.items()}
    return past.blocks(columns, users, selection.as_of_us, plan.stored_as)


def _opened(blocks: UserBlocks, users: Sequence[str], deadline: Deadline | None) -> tuple[list[Reader], list[str]]:
    """Readers of the users, and the users there was no time for."""
    # All of them before the first is looked into: a store across a network fetches for all at once.
    found = [{kind: blocks.between(kind, user) for kind in range(len(blocks.kinds))} for user in users]
    readers: list[Reader] = []
    for number, user in enumerate(users):
        if deadline and deadline.is_over:
            return readers, list(users[number:])
        now = {kind: seen for kind, name in enumerate(blocks.kinds) if (seen := blocks.view.now_blocks(name, user))}
        readers.append(Reader(number, user, now, History(found[number], number, blocks.damage, deadline)))
    return readers, []


def _events_of(
    reading: Reading, rows: Rows | None, readers: Sequence[Reader], users: Sequence[str], unopened: Sequence[str]
) -> NewestEvents:
    selection = reading.selection
    newest: list[int | None] = [None] * len(users)
    lengths = [0] * len(users)
    unreadable: Mapping[str, int] = {}
    said: pl.DataFrame | None = None
    if rows is not None and rows.size:
        rows, said = reading.collapsed(rows)
    if rows is not None and rows.size:
        firsts = np.flatnonzero(np.append(True, rows.user[1:] != rows.user[:-1]))
        for number, time in zip(rows.user[firsts].tolist(), rows.time[firsts].tolist(), strict=True):
            newest[number] = time if is_readable(time) else None
        rows = _most(rows, firsts, selection)
    if rows is None or not rows.size:
        events = selection.empty(reading.published.plan)
    else:
        lengths = np.bincount(rows.user, minlength=len(users)).tolist()
        events, unreadable = _asked_columns(reading, rows, said)
    damaged = defaultdict(list)
    for _, kind, name in sorted(reading.blocks.damage.left_out):
        damaged[selection.kinds[kind]].append(name)
    for name in sorted(reading.past.unread) if reading.past else ():
        damaged[name].append(SUPERSEDED)
    stopped = {reader.name: reader.unread for reader in readers if reader.history.is_stopped}
    now = [[reader.now.get(kind, ()) for kind in range(len(selection.kinds))] for reader in readers]
    bounded = {users[number]: day for number, day in reading.bounded.items()}
    cut_short = {**bounded, **stopped, **dict.fromkeys(unopened)}
    decoder = reading.decoder
    return NewestEvents(
        events,
        lengths,
        newest,
        damaged,
        unreadable,
        reading.lost(),
        cut_short,
        now,
        decoder.rows,
        {unfit: frozenset(names) for unfit, names in decoder.unfit.items()},
        streamed_rows(reading.published.plan, decoder.made_by),
        _revisions(reading, rows) if selection.is_recorded else None,
        frozenset(bounded) - stopped.keys(),
    )


def _asked_columns(reading: Reading, rows: Rows, said: pl.DataFrame | None) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """What was asked for of the rows, and how many cells of which column no calendar has a time for. ``said`` is what
    rows that stand for several events say of them.
    """
    selection, times = reading.selection, reading.selection.times
    events = reading.decoder.fetch(rows.at, selection.fetched) if selection.fetched or said is None else pl.DataFrame()
    if said is not None and rows.row is not None:
        events = pl.DataFrame([*events, *said[rows.row]]).select(selection.asked)
    # The times of the events are at hand as numbers, and most answers show no others.
    if not (is_readable(int(rows.time.min())) and is_readable(int(rows.time.max()))) and EVENT_TIME in events.columns:
        times = (EVENT_TIME, *times)
    events, unreadable = readable(events, times)
    if rows.scores is not None:
        events = events.with_columns(pl.Series(SIMILARITY, rows.scores))
    return events, unreadable


def _revisions(reading: Reading, rows: Rows | None) -> pl.DataFrame:
    """Of each row the names by which the lake has it."""
    schema = {"event_type": pl.String(), **{name: storage_dtype(dtype) for name, dtype in REVISION.items()}}
    if rows is None or not rows.size:
        return pl.DataFrame(schema=schema)
    stored_as = reading.published.plan.stored_as
    names = pl.Series([stored_as.get(kind, kind) for kind in reading.selection.kinds], dtype=pl.String())
    keys = reading.decoder.fetch_keys(rows.at, REVISION)
    # Column by column: a query over a small frame costs more to plan than to run.
    return pl.DataFrame([names[pl.Series(rows.kind, dtype=pl.UInt32)].alias("event_type"), *keys.get_columns()])


def _most(rows: Rows, firsts: Ints, selection: RowSelection) -> Rows:
    """Of each user the rows that are shown: the most similar ones, most similar first; without a vector all."""
    if rows.scores is None or selection.similar is None:
        return rows
    most = selection.similar.k if selection.most is None else selection.most
    ends = np.append(firsts[1:], rows.size)
    spans = zip(firsts.tolist(), ends.tolist(), strict=True)
    chosen = [first + most_similar(rows.scores[first:end], most) for first, end in spans]
    return rows.take(np.concatenate(chosen))


def _text(time_us: int) -> str | None:
    """The day of a time; None where a calendar has none."""
    day = time_us // DAY_US
    return day_text(day) if FIRST_DAY <= day <= LAST_DAY else None

"""One user's newest events from history and now view: published rows, and streamed rows that no bucket has read.

    1. read whole days, newest first, until they hold enough rows
    2. one row per event by precedence, then retracted ones dropped (``policy``)
    3. total order, window, and last of all the cut to the newest N

Steps 2 may take rows away, and streamed rows may be older than the days read so far, so only rows newer than every
unread day count towards N; where they are too few, more is read.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from seqplat_resources.engine.order import ORDER
from seqplat_resources.merge import policy
from seqplat_resources.merge.history import Blocks, History, has_corrections, outranking_days, revised_blocks
from seqplat_resources.merge.rows import decoded
from seqplat_resources.online_store import Block, Epoch, HistoryBlock, Snapshot
from seqplat_resources.online_store.codec import row_count
from seqplat_resources.sequence_plan import SequencePlan

_TIME = {"event_time": "timestamp"}
# Order between event types; within one, blocks are stored in order. The id decides nothing: events that are equal in
# all keys before it are of one event type, and the sort is stable.
_PLAIN_KEYS = {**_TIME, "source_partition": "string", "offset": "int64"}
_PLAIN_ORDER = [f"_{key}" for key in ORDER if key != "event_id"]
_CORRECTIONS = {"op": "string", "rev": "int64"}


@dataclass(frozen=True)
class Window:
    """What of a sequence is wanted: events from ``since_day`` on, the newest ``most`` of them; None is no bound."""

    since_day: str | None
    most: int | None


def newest_events(
    plan: SequencePlan,
    view: Snapshot,
    epochs: Mapping[str, Epoch | None],
    user: str,
    asked: Sequence[str],
    window: Window,
) -> pl.DataFrame | None:
    """A user's events in order.

    Shapes:
        Out: at most ``window.most`` rows, newest first: the ``asked`` columns, and ``_event_time`` among others
        beside them. None where nothing is stored of the user.
    Raises:
        InvalidKeyError: no store can hold such a user id.
        CorruptBlockError: a stored block is damaged.
    Cost:
        A user without now rows and without corrections: one pass over the blocks that hold enough rows, and only
        what is asked is decoded. Others: some 10 vector passes over small frames more, and identities are decoded.
    """
    now = {event_type: found for event_type in epochs if (found := view.now(event_type, user))}
    history = History(view, user, epochs, window.since_day)
    blocks = history.read(window.most)
    if not now and not blocks:
        return None
    reader = _Reader(plan, view, epochs, user, asked, window, history)
    events = None if now else reader.plain(blocks)
    return reader.merged(blocks, now) if events is None else events


@dataclass(frozen=True)
class _Reader:
    """One request for one user."""

    plan: SequencePlan
    view: Snapshot
    epochs: Mapping[str, Epoch | None]
    user: str
    asked: Sequence[str]
    window: Window
    history: History

    def plain(self, blocks: Blocks) -> pl.DataFrame | None:
        """Published rows as they are; None where some are corrections, so that rows have to be compared."""
        watched = has_corrections(blocks, self.epochs)
        keys = {**(_PLAIN_KEYS if len(blocks) > 1 else _TIME), **(_CORRECTIONS if watched else {})}
        frames = [frame for _, frame in decoded(self.plan, self.view.schema, _payloads(blocks), self.asked, keys)]
        if watched and any((frame["_rev"] > 0).any() or (frame["_op"] == "retract").any() for frame in frames):
            return None
        of_days = {event_type: {block.day for block in found} for event_type, found in blocks.items()}
        if any(self._outranking(event_type, days, set(), streamed=False) for event_type, days in of_days.items()):
            return None
        events = frames[0]
        if len(frames) > 1:
            events = reduce(pl.DataFrame.vstack, frames).sort(_PLAIN_ORDER, descending=True, maintain_order=True)
        return events.head(self.window.most) if self.window.most is not None else events

    def merged(self, blocks: Blocks, now: Mapping[str, Sequence[bytes]]) -> pl.DataFrame:
        """The three steps; ``blocks`` are what was read of the history so far."""
        most, rows = self.window.most, dict[str, pl.DataFrame]()
        looked_at: Mapping[str, set[str]] = {event_type: set() for event_type in self.epochs}
        while True:
            for event_type, frame in self._comparable(blocks, now):
                rows[event_type] = rows[event_type].vstack(frame) if event_type in rows else frame
            now = {}
            events = policy.newest_first(reduce(pl.DataFrame.vstack, map(policy.standing, rows.values())))
            firm = _count_since(events, max(self._first_firm_day(), self.window.since_day or ""))
            if self.history.unread is not None and most is not None and firm < most:
                blocks = self.history.read(most - firm)
                continue
            chosen = events.head(firm if most is None else min(firm, most))
            blocks = self._all_outranking(chosen, looked_at)
            if not blocks:
                return chosen

    def _comparable(self, blocks: Blocks, now: Mapping[str, Sequence[bytes]]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Rows with all that is compared, one frame per event type; streamed rows only if no bucket has read them."""
        published = _payloads(blocks)
        payloads = {name: [*published.get(name, ()), *now.get(name, ())] for name in {**published, **now}}
        for event_type, frame in decoded(self.plan, self.view.schema, payloads, self.asked, policy.KEYS):
            count, epoch = sum(map(row_count, published.get(event_type, ()))), self.epochs[event_type]
            streamed = policy.uncovered(frame.slice(count), epoch.buckets if epoch else {})
            yield event_type, _marked(frame.head(count), from_batch=True).vstack(_marked(streamed, from_batch=False))

    def _all_outranking(self, chosen: pl.DataFrame, looked_at: Mapping[str, set[str]]) -> Blocks:
        """Blocks of unread days that may outrank rows of ``chosen``."""
        found: Blocks = {}
        for event_type, epoch in self.epochs.items():
            if epoch and epoch.revised_days:
                mine = chosen.filter(chosen["_event_type"] == event_type)
                days = mine["_event_time"].dt.date().unique().cast(pl.String).to_list()
                streamed = not mine[policy.FROM_BATCH].all()
                if blocks := self._outranking(event_type, days, looked_at[event_type], streamed=streamed):
                    found[event_type] = blocks
        return found

    def _outranking(
        self, event_type: str, of_days: Iterable[str], looked_at: set[str], *, streamed: bool
    ) -> list[HistoryBlock]:
        """Of one event type; days are looked at once, and noted."""
        epoch = self.epochs[event_type]
        if not epoch or not epoch.revised_days:
            return []
        unread = [day for day in self.history.unread_of(epoch.revised_days) if day not in looked_at]
        days = outranking_days(epoch, unread, of_days=of_days, streamed=streamed)
        looked_at.update(days)
        return revised_blocks(self.view, event_type, self.user, days)

    def _first_firm_day(self) -> str:
        """From this day on nothing is unread."""
        unread = self.history.unread
        return (dt.date.fromisoformat(unread) + dt.timedelta(days=1)).isoformat() if unread else ""


def _payloads(blocks: Blocks) -> dict[str, list[Block]]:
    return {event_type: [block.payload for block in found] for event_type, found in blocks.items()}


def _marked(rows: pl.DataFrame, *, from_batch: bool) -> pl.DataFrame:
    return rows.hstack([pl.Series(policy.FROM_BATCH, [from_batch]).new_from_index(0, rows.height)])


def _count_since(events: pl.DataFrame, day: str) -> int:
    """How many of the ``events`` are of ``day`` or later."""
    if not day:
        return events.height
    start = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), dt.UTC)
    return int((events["_event_time"] >= start).sum())

"""Which rows of one event the online store has, which of them counts, and where the event stands in the answer.

Everything is read from one snapshot, so that rows, precedence and answers agree whatever is published meanwhile.

>>> from seqplat_resources.engine.plan import EventPlan
>>> plans = {"purchase": EventPlan.of(shop.loaded, "purchase")}
>>> view = OnlineView.of(SequencePlan.of(shop.loaded, "basket"), store, "ann", plans, shop.clock)
>>> [(str(row.day), row.lost_by) for row in view.stored["purchase"].of_event("3")]
[('2024-05-02', '')]
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.explain.trace.engine import Position
from seqplat_resources.online_store import Block, Epoch, OnlineStore, StoreSnapshot, StreamPosition, decode_blocks
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.read.answer import answer
from seqplat_resources.read.freshness import epochs_of, window_start
from seqplat_resources.read.merge.published import KEYS, uncovered
from seqplat_resources.release.collapse_plan import CollapsePlan
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.rules.collapse import heads
from seqplat_resources.rules.precedence import decided_by, winners
from seqplat_resources.rules.spans import Ints
from seqplat_resources.times import FIRST_US, LAST_US, instant
from sequence_defs.compiler.project import STATUS_SUFFIX, status_column

# Where a row lies: in history, in the now view, or ``covered``: in the now view, where its bucket has read past it.
HISTORY, NOW, COVERED = "history", "now view", "covered"

_ROW = "_row"


@dataclass(frozen=True)
class StoredRow:
    """One row of the event. ``lost_by`` is the key of the precedence by which another row won; "" for the winner."""

    where: str
    at: Position
    event_time: dt.datetime
    ingest_time: dt.datetime
    available_time: dt.datetime | None
    rev: int
    op: str
    statuses: Mapping[str, int | None]
    lost_by: str = ""

    @property
    def day(self) -> dt.date:
        return self.event_time.date()


@dataclass(frozen=True)
class StoredRows:
    """One event type's share of a user's blocks. ``damaged`` days have a block that cannot be read."""

    epoch: Epoch | None
    rows: pl.DataFrame
    damaged: tuple[str, ...]
    horizon: dt.timedelta

    def of_event(self, event_id: str) -> list[StoredRow]:
        """The event's rows, the one that counts first; covered ones count for nothing."""
        mine = self.rows.filter(pl.col("event_id") == event_id)
        count = mine.filter(pl.col("_where") != COVERED).with_columns(from_batch=pl.col("_where") == HISTORY)
        best = count[winners(count, ["event_id"], self.horizon)]
        pairs = zip(count.iter_rows(named=True), best.iter_rows(named=True), strict=True)
        found = [_row(row, decided_by(row, winner)) for row, winner in pairs]
        found += [_row(row, COVERED) for row in mine.filter(pl.col("_where") == COVERED).iter_rows(named=True)]
        return sorted(found, key=lambda row: (row.where == COVERED, row.lost_by != "", -row.rev))


@dataclass(frozen=True)
class Answers:
    """Keys of the user's events in the total order: all that stand, those inside the window, and those answered.

    Where events of one item are one row, ``_row`` says of those inside the window, and those answered, in which.
    """

    whole: pl.DataFrame
    windowed: pl.DataFrame
    shown: pl.DataFrame
    first_day: str | None

    def place(self, events: pl.DataFrame, event_type: str, event_id: str) -> int | None:
        """The position from 1, that of its row where events are together in rows, or None."""
        here = ((events["event_type"] == event_type) & (events["event_id"] == event_id)).arg_true()
        if not here.len():
            return None
        return int(events[_ROW][int(here[0])]) if _ROW in events.columns else int(here[0]) + 1

    @property
    def total(self) -> int:
        """How many events, or rows, the answer has."""
        return self.shown[_ROW].n_unique() if _ROW in self.shown.columns else self.shown.height


@dataclass(frozen=True)
class OnlineView:
    """What one snapshot of the online store says of one user; ``positions`` are those of all streams."""

    stored: Mapping[str, StoredRows]
    answers: Answers
    positions: Mapping[str, StreamPosition]

    @classmethod
    def of(
        cls, plan: SequencePlan, store: OnlineStore, user: str, plans: Mapping[str, EventPlan], clock: Clock
    ) -> "OnlineView":
        """Read it. ``plans`` are those of the sequence's event types that this installation can resolve.

        Raises:
            InvalidKeyError: no store can hold such a user id.
        """
        with store.snapshot() as view:
            epochs = epochs_of(plan, view)
            stored = {
                name: _stored(view, name, user, epochs[name], plans.get(name), plan.horizons[name]) for name in epochs
            }
            return cls(stored, _answers(plan, store, view, user, epochs, clock), view.stream_positions())


def _answers(
    plan: SequencePlan,
    store: OnlineStore,
    view: StoreSnapshot,
    user: str,
    epochs: Mapping[str, Epoch | None],
    clock: Clock,
) -> Answers:
    keys = plan.restricted(())
    events = replace(keys, collapse=None, columns={**keys.read_columns})
    whole, windowed, shown = (
        answer(each, store, user, clock=clock, view=view).events
        for each in (_changed(events, length=None, window_days=None), _changed(events, length=None), keys)
    )
    if plan.collapse is not None:
        windowed = windowed.with_columns(pl.Series(_ROW, _rows_of(windowed, plan.collapse)))
        shown = windowed.filter(pl.col(_ROW) <= shown.height)
    return Answers(whole, windowed, shown, window_start(plan, epochs, clock))


def _changed(plan: SequencePlan, **update: None) -> SequencePlan:
    return replace(plan, definition=plan.definition.model_copy(update=update))


def _rows_of(events: pl.DataFrame, collapse: CollapsePlan) -> Ints:
    """By event, newest first, the number of its row from 1."""
    nobody, time = np.zeros(events.height, np.int64), events["event_time"].dt.epoch("us").to_numpy()
    head = heads(nobody, collapse.items(events), time, collapse.within_us)
    return np.asarray(np.cumsum(head == np.arange(head.size)), np.int64)[head]


def _stored(
    view: StoreSnapshot,
    event_type: str,
    user: str,
    epoch: Epoch | None,
    plan: EventPlan | None,
    horizon: dt.timedelta,
) -> StoredRows:
    statuses = [status_column(found.name) for _, found in plan.attachments] if plan else []
    columns = {**KEYS, "available_time": "timestamp", **dict.fromkeys(statuses, "int8")}
    damaged: list[str] = []
    frames = []
    for block in view.blocks(event_type, user, columns=list(columns)):
        frame = _decoded(view, block.payload, columns, event_type, damaged, block.day)
        counts = ~pl.col("event_time").dt.date().cast(pl.String).is_in(list(block.superseded))
        frames.append(frame.filter(counts).with_columns(_where=pl.lit(HISTORY)))
    for now in view.now_blocks(event_type, user):
        frame = _decoded(view, now.payload, columns, event_type, damaged, "the now view")
        fresh = uncovered(frame.with_row_index("_row"), epoch)["_row"]
        is_fresh = pl.int_range(pl.len()).is_in(fresh.implode())
        frames.append(frame.with_columns(_where=pl.when(is_fresh).then(pl.lit(NOW)).otherwise(pl.lit(COVERED))))
    empty = decode_blocks([], view.schema, columns).with_columns(_where=pl.lit(""))
    return StoredRows(epoch, pl.concat([empty, *frames]), tuple(damaged), horizon)


def _decoded(
    view: StoreSnapshot, payload: Block, columns: Mapping[str, str], event_type: str, damaged: list[str], day: str
) -> pl.DataFrame:
    # One by one: a damaged block must not hide the others.
    try:
        frame = decode_blocks([payload], view.schema, columns, where=f"online/{event_type}")
        # Older releases stored times that no calendar has: told as its edge, which is where they are in the order.
        return frame.with_columns(pl.col(pl.Datetime("us", "UTC")).clip(instant(FIRST_US), instant(LAST_US)))
    except CorruptBlockError:
        damaged.append(day)
        return decode_blocks([], view.schema, columns)


def _row(row: Mapping[str, Any], lost_by: str) -> StoredRow:
    return StoredRow(
        where=row["_where"],
        at=(row["source_partition"], row["offset"]),
        event_time=row["event_time"],
        ingest_time=row["ingest_time"],
        available_time=row["available_time"],
        rev=row["rev"],
        op=row["op"],
        statuses={name: value for name, value in row.items() if name.endswith(STATUS_SUFFIX)},
        lost_by=lost_by,
    )

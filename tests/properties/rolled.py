"""A store whose blocks of single days look as if they had been rolled up, in any way a store may do that."""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl

from seqplat_resources.online_store import HistoryBlock, OnlineStore, StoreSnapshot, decode_blocks, encode_bucket
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.rules.order import by_user_newest_first

# What rows of a superseded day look like: an answer that shows one has gone wrong.
STALE = 1_000


@dataclass(frozen=True)
class Rolled:
    """``store`` with the days of each of ``spans`` in one block; ``young`` ones were published again since."""

    store: OnlineStore
    spans: Sequence[Sequence[str]]
    young: Collection[str]

    def snapshot(self, **how: Any) -> AbstractContextManager["_View"]:
        return _opened(self, how)


@contextmanager
def _opened(rolled: Rolled, how: dict[str, Any]) -> Iterator["_View"]:
    with rolled.store.snapshot(**how) as view:
        yield _View(view, rolled)


class _View:
    def __init__(self, view: StoreSnapshot, rolled: Rolled) -> None:
        self._view, self._rolled = view, rolled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def blocks(
        self,
        event_type: str,
        user: str,
        *,
        since_day: str | None = None,
        until_day: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[HistoryBlock]:
        found = list(self._rolled_up(self._by_day(list(self._view.blocks(event_type, user, columns=columns)))))
        # A block of several days comes before one of its newest day.
        found.sort(key=lambda block: (block.day, block.first_day != block.day), reverse=True)
        for block in found:
            if (since_day or "") <= block.day and block.first_day <= (until_day or "9999"):
                yield block

    def _by_day(self, blocks: Sequence[HistoryBlock]) -> dict[str, HistoryBlock]:
        """Blocks of single days, also of what the store itself has rolled up."""
        found = {block.day: block for block in blocks if block.first_day == block.day and not block.superseded}
        for block in blocks:
            if block.day not in found or found[block.day] is not block:
                rows = decode_blocks([block.payload], self._view.schema).with_columns(user_id=pl.lit(""))
                for (day,), part in rows.group_by(pl.col("event_time").dt.date().cast(pl.String), maintain_order=True):
                    if day not in block.superseded:
                        found[str(day)] = HistoryBlock(str(day), self._encoded(part, block))
        return found

    def _encoded(self, rows: pl.DataFrame, like: HistoryBlock) -> bytes:
        schema = self._view.schema(schema_id(like.payload))
        assert schema is not None
        [(_, payload)] = encode_bucket(by_user_newest_first(rows), schema)
        return payload

    def _rolled_up(self, by_day: dict[str, HistoryBlock]) -> Iterator[HistoryBlock]:
        inside = {day for span in self._rolled.spans for day in span}
        for span in self._rolled.spans:
            days = [day for day in span if day in by_day]
            if days:
                superseded = frozenset(day for day in days if day in self._rolled.young)
                yield HistoryBlock(
                    max(days), self._joined([by_day[day] for day in days], superseded), min(days), superseded
                )
        for day, block in by_day.items():
            if day not in inside or day in self._rolled.young:
                yield block

    def _joined(self, blocks: Sequence[HistoryBlock], superseded: frozenset[str]) -> bytes:
        payloads = [block.payload for block in blocks]
        rows = decode_blocks(payloads, self._view.schema).with_columns(user_id=pl.lit(""))
        stale = pl.col("event_time").dt.date().is_in([dt.date.fromisoformat(day) for day in superseded])
        changed = rows.with_columns(
            item=pl.when(stale).then(pl.col("item") + STALE).otherwise("item"),
            rev=pl.when(stale).then(9).otherwise("rev").cast(rows.schema["rev"]),
        )
        return self._encoded(changed, blocks[0])

"""How many blocks of a history are read for so many rows."""

from collections.abc import Sequence

import polars as pl

from seqplat_resources.online_store import HistoryBlock
from seqplat_resources.online_store.codec import BlockSchema, encode_bucket
from seqplat_resources.read.merge.history import DamageLog, History

_SCHEMA = BlockSchema((("value", "int64"),))


def block(days: str, rows: int, *, superseded: Sequence[str] = ()) -> HistoryBlock:
    """Of "2024-05-03", or of "2024-05-01/2024-05-03"."""
    first, _, last = days.partition("/")
    events = pl.DataFrame({"user_id": ["ann"] * rows, "value": range(rows)})
    [(_, payload)] = encode_bucket(events, _SCHEMA)
    return HistoryBlock(last or first, payload, first, frozenset(superseded))


def history(*blocks: HistoryBlock) -> History:
    return History({0: iter(blocks)}, 0, DamageLog(), None)


def read(found: History, rows: int) -> list[str]:
    return [piece.name for piece in found.read(rows)]


def test_blocks_are_read_until_they_hold_enough() -> None:
    days = history(block("2024-05-03", 2), block("2024-05-02", 2), block("2024-05-01", 2))
    assert read(days, 3) == ["2024-05-03", "2024-05-02"]
    assert read(days, 1) == ["2024-05-01"]


def test_a_day_published_again_counts_once() -> None:
    """Else those it takes the place of are missing in the end, and everything is gone through a second time."""
    rolled = block("2024-05-01/2024-05-09", 30, superseded=["2024-05-07", "2024-05-02"])
    again, older = [block("2024-05-07", 10), block("2024-05-02", 10)], block("2024-04-30", 5)
    assert read(history(rolled, *again, older), 30)[-1] == "2024-05-02"
    assert read(history(rolled, *again, older), 31)[-1] == "2024-04-30"


def test_days_inside_a_rolled_up_block_are_read_with_it() -> None:
    rolled = block("2024-05-01/2024-05-09", 30, superseded=["2024-05-07"])
    days = history(rolled, block("2024-05-07", 10), block("2024-04-30", 5))
    assert read(days, 10) == ["2024-05-01 to 2024-05-09", "2024-05-07"]

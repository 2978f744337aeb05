"""One shard of a training set: revisions of some users and their labels, to the bytes of one file, or of two.

As lists each label has its events; as pointers it has the places of them, in a file that has each event once.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl

from seqplat_resources.training.collapsed import CollapsibleEvents
from seqplat_resources.training.manifest import FIRST, STOP, WITHOUT, ShardCounts
from seqplat_resources.training.parquet.columns import stored
from seqplat_resources.training.parquet.file import ColumnPages, ListFile, RowGroup, pages_of
from seqplat_resources.training.point_in_time import FOREVER, Ints, Labels, Revisions, Span, Taken, taken
from seqplat_resources.training.revisions import BIT, FROM, ITEM, TIME, UNTIL, USER

# More rows in a group make no reader faster, however short their lists.
_ROW_GROUP_LABELS = 100_000
_THREADS = 2


@dataclass(frozen=True)
class Collapsing:
    """Of a sequence that collapses: how long a row may last, the order of all ``lists`` by their names in the file, and
    by such a name which of the columns of ``rules.collapse`` it is.
    """

    within_us: int
    lists: Sequence[str]
    said: Mapping[str, str]


def write_shard(
    file: BinaryIO,
    rows: pl.DataFrame,
    labels: pl.DataFrame,
    users: pl.Series,
    times: pl.Series,
    span: Span,
    *,
    corrected: bool,
    row_group_bytes: int,
    metadata: Mapping[str, str],
    collapsing: Collapsing | None = None,
) -> ShardCounts:
    """Write labels and their sequences, row group by row group.

    Shapes:
        ``rows`` as ``RevisionReader.read`` gives them. ``labels`` in the order in which they are written; ``users`` and
        ``times`` are theirs, and a label that has null in one of them has an empty sequence. With ``collapsing``, lists
        have a value for each row that events are together.
    Cost:
        Memory of the rows about twice, and of few row groups, of ``row_group_bytes`` each when it is read.
    """
    revisions, asked = _revisions(rows, corrected=corrected), _asked(rows, users, times)
    found = taken(revisions, asked, span)
    events: CollapsibleEvents | None = None
    if collapsing is None:
        found, used = found.of_used()
        rows = rows.filter(pl.Series(used))
    else:
        item, bit = rows.drop_in_place(ITEM), rows.drop_in_place(BIT)
        events = CollapsibleEvents(revisions, _ints(item), bit, collapsing.within_us)
    rows = rows.drop(USER, TIME, FROM, UNTIL)
    lists = [stored(rows.drop_in_place(name)) for name in rows.columns]
    value_bytes = sum(column.size_of(1) for column in lists) + (len(collapsing.said) * 8 if collapsing else 0)
    label_bytes = int(labels.estimated_size()) // max(labels.height, 1)
    out, counts = ListFile(file, metadata), ShardCounts(0, 0, 0)

    def pages(first: int, last: int) -> tuple[list[ColumnPages], ShardCounts]:
        some = labels[first:last]
        if events is None or collapsing is None:
            places, of_each = found.places(first, last)
            return pages_of(RowGroup(some, lists, places, of_each)), ShardCounts.of(of_each)
        together = events.rows_of(Labels(asked.user[first:last], asked.time[first:last]), span)
        said = [stored(together.said[of].rename(name)) for name, of in collapsing.said.items()]
        itself = np.arange(together.places.size)
        written = pages_of(RowGroup(some, lists, together.places, together.counts))
        written += pages_of(RowGroup(pl.DataFrame(), said, itself, together.counts))
        order = [*some.columns, *collapsing.lists]
        written.sort(key=lambda each: order.index(each.path[0]))
        return written, ShardCounts.of(together.counts, together.bounded)

    groups = list(_row_groups(found.count * value_bytes + label_bytes, row_group_bytes))
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = list[tuple[int, Future[tuple[list[ColumnPages], ShardCounts]]]]()
        for first, last in [*groups, *[(0, 0)] * _THREADS]:
            if last > first or not groups:
                waiting.append((last - first, pool.submit(pages, first, last)))
            if waiting and (len(waiting) > _THREADS or last == first):
                size, ready = waiting.pop(0)
                written, of_group = ready.result()
                out.add(size, written)
                counts = counts.and_then(of_group)
    out.close()
    return counts


def write_pointers(
    file: BinaryIO,
    events: BinaryIO,
    rows: pl.DataFrame,
    labels: pl.DataFrame,
    users: pl.Series,
    times: pl.Series,
    span: Span,
    *,
    corrected: bool,
) -> ShardCounts:
    """Write labels with pointers, and the events that they point to. Arguments as of ``write_shard``.

    Shapes:
        ``events``: every event that any of the labels has, once, by user and newest first. A label's are the rows from
        ``_first`` up to ``_stop``, but for those ``_without`` (counted from ``_first``).
    Cost:
        Memory of the rows about twice; no label costs more for having a longer list.
    """
    found, used = taken_of(rows, users, times, span, corrected=corrected).of_used()
    rows.filter(pl.Series(used)).drop(USER, TIME, FROM, UNTIL).write_parquet(events)
    places, counts = found.passed_over()
    offsets = pl.Series(places - np.repeat(found.start, counts), dtype=pl.UInt32)
    number = np.repeat(np.arange(labels.height), counts)
    without = pl.DataFrame({"_label": number, WITHOUT: offsets}).group_by("_label", maintain_order=True).agg(WITHOUT)
    pointers = labels.with_columns(pl.Series(FIRST, found.start), pl.Series(STOP, found.stop)).with_row_index("_label")
    pointers = pointers.with_columns(pl.col("_label").cast(pl.Int64)).join(without, on="_label", how="left")
    nothing = pl.lit([], pl.List(pl.UInt32))
    pointers.sort("_label").drop("_label").with_columns(pl.col(WITHOUT).fill_null(nothing)).write_parquet(file)
    return ShardCounts.of(found.count)


def taken_of(rows: pl.DataFrame, users: pl.Series, times: pl.Series, span: Span, *, corrected: bool) -> Taken:
    """Which of the rows each label has; arguments as of ``write_shard``."""
    return taken(_revisions(rows, corrected=corrected), _asked(rows, users, times), span)


def _asked(rows: pl.DataFrame, users: pl.Series, times: pl.Series) -> Labels:
    numbers = rows[USER].unique().sort()
    has_rows = users.is_in(numbers.implode()).fill_null(False) & times.is_not_null()
    # A label without a user gets a number that no row has.
    places = numbers.search_sorted(users).cast(pl.Int64)
    number = pl.select(pl.when(has_rows).then(places).otherwise(-1)).to_series()
    return Labels(_ints(number), _ints(times.to_physical().fill_null(0)))


def _revisions(rows: pl.DataFrame, *, corrected: bool) -> Revisions:
    user, time = _ints(rows[USER].rle_id()), _ints(rows[TIME].to_physical())
    if corrected:
        return Revisions.always_known(user, time)
    until = _ints(rows[UNTIL].to_physical().fill_null(FOREVER))
    return Revisions(user, time, _ints(rows[FROM].to_physical()), until)


def _ints(values: pl.Series) -> Ints:
    return np.asarray(values.cast(pl.Int64).to_numpy(), np.int64)


def _row_groups(sizes: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Labels in groups of as many bytes, or so many labels, as a row group may have; one at least."""
    ends, first = np.cumsum(sizes), 0
    while first < sizes.size:
        done = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, done + most, side="right"))
        last = min(max(last, first + 1), first + _ROW_GROUP_LABELS)
        yield first, last
        first = last

"""Which rows each label's events are together, where a sequence collapses: by the rule of answers, on arrays.

>>> rows = Revisions.always_known(user=np.zeros(3, np.int64), time=np.array([30, 20, 10]))
>>> events = CollapsibleEvents(rows, item=np.array([0, 1, 0]), bit=pl.Series([2, 2, 4]), within_us=20)
>>> found = events.rows_of(Labels.of(user=[0, 0], time=[40, 25]), Span(length=2))
>>> found.places, found.counts, found.said["actions"].to_list()
(array([0, 1, 1, 2]), array([2, 2]), [6, 2, 2, 4])
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seqplat_resources.rules.collapse import MOST_EVENTS, together
from seqplat_resources.training.point_in_time import Flags, Ints, Labels, Revisions, Span, pieces, taken

# Events that are looked at first of a label, for each row that it may have; it is looked for more among twice as many.
_EVENTS_A_ROW = 4
_PLACE = ":place"


@dataclass(frozen=True)
class CollapsedRows:
    """Rows of some labels, label after label and newest first; ``counts`` of each. ``places`` are those of the newest
    event of each row, and ``said`` is what it says of its events. Of ``bounded`` labels the last rows may lack older
    events, as there are more than are looked at.
    """

    places: Ints
    counts: Ints
    said: pl.DataFrame
    bounded: int


@dataclass(frozen=True)
class CollapsibleEvents:
    """Revisions with the number of each one's ``item`` and the ``bit`` of its action; rows last up to ``within_us``."""

    rows: Revisions
    item: Ints
    bit: pl.Series
    within_us: int

    def rows_of(self, labels: Labels, span: Span) -> CollapsedRows:
        """At most ``span.length`` rows of each label.

        Cost:
            That of ``taken``, and a sort of the events that are looked at: of most labels some for each row.
        """
        number, found, bounded = [np.empty(0, np.int64)], [_nothing()], 0
        todo, look = np.arange(labels.time.size), self._first_look(span)
        while todo.size:
            asked = Labels(labels.user[todo], labels.time[todo])
            seen, unfinished = taken(self.rows, asked, replace(span, length=look)), [np.empty(0, np.int64)]
            for some in pieces(seen.count + 1):
                first, last = int(some[0]), int(some[-1]) + 1
                row_of, places, said, is_done = self._together(*seen.places(first, last), span.length, look)
                if look == MOST_EVENTS:
                    bounded += int((~is_done).sum())
                    is_done[:] = True
                kept = is_done[row_of]
                number.append(todo[some][row_of[kept]])
                found.append(said.with_columns(pl.Series(_PLACE, places)).filter(pl.Series(kept)))
                unfinished.append(todo[some][~is_done])
            todo, look = np.concatenate(unfinished), None if look is None else min(2 * look, MOST_EVENTS)
        of_label = np.concatenate(number)
        said = pl.concat(found)[np.argsort(of_label, kind="stable")]
        counts = np.bincount(of_label, minlength=labels.time.size)
        return CollapsedRows(np.asarray(said.drop_in_place(_PLACE).to_numpy(), np.int64), counts, said, bounded)

    def _first_look(self, span: Span) -> int | None:
        return None if span.length is None else min(_EVENTS_A_ROW * max(span.length, 1), MOST_EVENTS)

    def _together(
        self, places: Ints, counts: Ints, length: int | None, look: int | None
    ) -> tuple[Ints, Ints, pl.DataFrame, Flags]:
        """The rows that the events at ``places`` are, ``counts`` of each label: by row the number of its label, the
        place of its newest event, and what it says; by label whether no event that was not looked at is part of them.
        """
        owner = np.repeat(np.arange(counts.size), counts)
        time, bit = self.rows.time[places], self.bit.gather(places)
        newest, said = together(owner, self.item[places], time, bit, self.within_us, length)
        row_of = owner[newest]
        is_done = np.ones(counts.size, np.bool_)
        if length and look is not None:
            rows = np.bincount(row_of, minlength=counts.size)
            cut = np.flatnonzero(counts >= look)
            # Events that happened after the last one looked at are all there; which is the last row's newest one says.
            oldest, last = time[np.cumsum(counts)[cut] - 1], time[newest[np.cumsum(rows)[cut] - 1]]
            is_done[cut] = (rows[cut] == length) & (last - self.within_us > oldest)
        return row_of, places[newest], said, is_done


def _nothing() -> pl.DataFrame:
    """No rows."""
    nobody = np.empty(0, np.int64)
    said = together(nobody, nobody, nobody, pl.Series([], dtype=pl.Int64), 0, None)[1]
    return said.with_columns(pl.Series(_PLACE, [], pl.Int64))

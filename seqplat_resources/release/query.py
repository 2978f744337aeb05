"""What a request wants of a sequence. Values only; whether a plan can answer them, ``read.merge.selection`` decides.

>>> Query(columns=("product",), limit=3).limit
3
>>> Query(limit=-1)
Traceback (most recent call last):
    ...
seqplat_resources.release.query.QueryError: limit: -1 is below 0; ask for 0 or more events
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from seqplat_resources.errors import Final

Metric = Literal["dot", "cosine", "l2"]
METRICS: tuple[Metric, ...] = get_args(Metric)
# The column that ``top_k`` adds to an answer.
SIMILARITY = "similarity"
# A sort of so many rows still costs less than reading them.
MAX_K = 10_000
# Of ``where``: a list of some hundred ids fits.
MAX_WHERE_CHARS = 4_000
# The root of what float32 holds: products with vectors as large still have room.
MAX_DOT = 1e19


class QueryError(Final):
    """One field of a query cannot be answered; ``field``, ``what`` and ``fix`` are kept for the caller's answer."""

    def __init__(self, field: str, what: str, *, fix: str) -> None:
        self.field, self.what, self.fix = field, what, fix
        super().__init__(f"{field}: {what}; {fix}")


@dataclass(frozen=True)
class TopK:
    """The ``k`` events whose vector in ``column`` is most similar to ``vector``.

    ``dot`` and ``cosine``: larger is more similar. ``l2``: the similarity is the distance with a minus sign, so that
    larger is more similar there as well.

    Raises:
        QueryError: ``k`` is below 1 or above ``MAX_K``, no such metric, or the vector is empty, not finite, or
            too large for its products.
    """

    column: str
    vector: tuple[float, ...]
    k: int
    metric: Metric = "dot"

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise QueryError("top_k", f"k is {self.k}", fix=f"ask for 1 to {MAX_K} events")
        if self.metric not in METRICS:
            raise QueryError("metric", f"there is no metric {self.metric!r}", fix=f"use {' or '.join(METRICS)}")
        if not self.vector:
            raise QueryError("vector", "it has no numbers", fix="give as many as the column's vectors have")
        if not all(map(math.isfinite, self.vector)):
            raise QueryError("vector", "a number of it is not finite", fix="leave out NaN and infinity")
        if self.metric == "cosine" and not any(self.vector):
            raise QueryError(
                "vector", "all numbers are 0, which has no direction", fix="use dot or l2, or another vector"
            )
        if self.metric == "dot" and (largest := max(map(abs, self.vector))) > MAX_DOT:
            what = f"{largest:g} is too large for products in float32"
            raise QueryError("vector", what, fix="scale the vector down, which changes no order")


@dataclass(frozen=True)
class Query:
    """What to answer of a sequence; None asks for everything. Filters come first, the cut to ``limit`` last.

    ``since`` (inclusive) and ``until`` (exclusive) bound the event time. ``as_of`` asks for what would have been
    answered at that time, by available time. ``where`` is an SQL expression over any column of the plan, asked for or
    not: rows where it is true. ``top_k`` orders by similarity, most similar first.

    Raises:
        QueryError: a negative limit, a time without a zone, or bounds that nothing lies between.
    """

    columns: Sequence[str] | None = None
    limit: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    event_types: Sequence[str] | None = None
    as_of: dt.datetime | None = None
    where: str | None = None
    top_k: TopK | None = None

    def __post_init__(self) -> None:
        for field in ("columns", "event_types"):  # whatever sequence they come as, equal queries are equal keys
            if (names := getattr(self, field)) is not None:
                object.__setattr__(self, field, tuple(names))
        if self.limit is not None and self.limit < 0:
            raise QueryError("limit", f"{self.limit} is below 0", fix="ask for 0 or more events")
        for field in ("since", "until", "as_of"):
            time: dt.datetime | None = getattr(self, field)
            if time is not None and time.utcoffset() is None:
                raise QueryError(field, f"{time.isoformat()} has no time zone", fix="add one, as 2024-05-01T12:00:00Z")
        if self.since is not None and self.until is not None and self.until <= self.since:
            what = f"nothing is before {self.until.isoformat()} and not before {self.since.isoformat()}"
            raise QueryError("until", what, fix="give a time after since")

    @property
    def size_bytes(self) -> int:
        """About what it holds of memory beyond the usual few hundred bytes: a caller may say much in it."""
        names = [*(self.columns or ()), *(self.event_types or ())]
        numbers = len(self.top_k.vector) if self.top_k else 0
        return sum(64 + len(name) for name in names) + 32 * numbers + 4 * len(self.where or "")

"""What a training set asks: of which sequence, known in which way, how long before a label's time.

>>> TrainingQuestion("basket", embargo=dt.timedelta(hours=1)).mode
'as_known'
>>> TrainingQuestion("basket", mode="as_served", inclusive=True)
Traceback (most recent call last):
    ...
seqplat_resources.release.query.QueryError: inclusive: an answer is as it was, ...; leave it out, or use as_known
"""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.times import FIRST_US, LAST_US

Mode = Literal["as_known", "as_corrected", "as_served"]
MODES: tuple[Mode, ...] = get_args(Mode)
# How a label has its events: as lists beside it, or as places in a file that has each event once.
Form = Literal["lists", "pointers"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class TrainingQuestion:
    """One question of a training set; ``query`` is what a request of the API could say as well.

    ``as_known`` gives what was known at a label's time, ``as_corrected`` what is known today of what was before it,
    ``as_served`` what a recorded answer had.
    Events are before a label's time less ``embargo``; ``inclusive`` lets those at that very time in.

    Raises:
        QueryError: a mode that cannot be answered, a negative embargo, or a query with a time or an order of its own.
    """

    sequence: str
    mode: Mode = "as_known"
    embargo: dt.timedelta = dt.timedelta()
    inclusive: bool = False
    query: Query = Query()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise QueryError("mode", f"there is no mode {self.mode!r}", fix=f"use {', '.join(MODES)}")
        if self.mode == "as_served" and (self.embargo or self.inclusive):
            what = "an answer is as it was, whatever happened shortly before it"
            raise QueryError("embargo" if self.embargo else "inclusive", what, fix="leave it out, or use as_known")
        if self.embargo < dt.timedelta():
            raise QueryError("embargo", f"{self.embargo} is below 0", fix="give how long before a label's time to stop")
        if self.embargo // dt.timedelta(microseconds=1) > LAST_US - FIRST_US:
            raise QueryError("embargo", f"{self.embargo} is longer than all time", fix="give hours or days")
        if self.query.as_of is not None:
            raise QueryError("as_of", "each label has a time of its own", fix="leave it out")
        if self.query.top_k is not None:
            raise QueryError("top_k", "a training set has sequences in their order", fix="leave it out")

    def said(self) -> dict[str, Any]:
        """As values of JSON, the same ones for the same question."""
        query = {name: value for name, value in asdict(self.query).items() if value is not None}
        query |= {name: time.isoformat() for name, time in query.items() if isinstance(time, dt.datetime)}
        embargo_us = self.embargo // dt.timedelta(microseconds=1)
        known = {"sequence": self.sequence, "mode": self.mode, "embargo_us": embargo_us, "inclusive": self.inclusive}
        return known | {"query": {name: list(v) if isinstance(v, tuple) else v for name, v in query.items()}}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "TrainingQuestion":
        """The question that said this."""
        query = dict(said["query"])
        query |= {name: dt.datetime.fromisoformat(query[name]) for name in ("since", "until") if name in query}
        embargo = dt.timedelta(microseconds=said["embargo_us"])
        return cls(said["sequence"], said["mode"], embargo, said["inclusive"], Query(**query))

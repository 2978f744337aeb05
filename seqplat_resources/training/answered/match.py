"""Which recorded answer each label has: that of its request, or the user's newest shortly before its time.

>>> def at(hour): return dt.datetime(2024, 5, 2, hour, tzinfo=dt.UTC)
>>> said = {"_user": ["ann", "ann"], "request": ["r1", "r2"], "at": [at(9), at(12)], "query": ["{}", "{}"]}
>>> labels = pl.DataFrame({"label_id": [0, 1], "user": ["ann", "ann"], "time": [at(12), at(13)]})
>>> match = AnswerMatch(within=dt.timedelta(hours=4))
>>> matched(labels, pl.LazyFrame(said), LabelColumns(), match, "{}").select("label_id", "request").rows()
[(0, 'r1'), (1, 'r2')]
"""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from seqplat_resources.training.given.labels import LABEL_ID, LabelColumns, LabelsRefused, OnOdd
from seqplat_resources.training.revisions import USER

# What the column of requests is called where nobody says otherwise.
REQUEST = "request_id"
# What tells one recorded answer from all others of the sequence.
ANSWER = (USER, "request", "at")


@dataclass(frozen=True)
class AnswerMatch:
    """How labels find their answers.

    ``request`` is the labels' column of requests' ids; where it is None and there is none called ``request_id``, by
    time: the newest answer ``within`` so long strictly before a label's time, to what the training set asks.
    ``on_unserved`` says what becomes of labels without one: kept with an empty sequence, left out, or refused.
    """

    request: str | None = None
    within: dt.timedelta = dt.timedelta(hours=1)
    on_unserved: OnOdd = "refuse"

    def of_labels(self, columns: list[str], source: str) -> "AnswerMatch":
        """With the column that labels have.

        Raises:
            LabelsRefused: they have none of that name.
        """
        if self.request is None:
            return replace(self, request=REQUEST) if REQUEST in columns else self
        if self.request not in columns:
            raise LabelsRefused(f"labels {source} have no column {self.request!r}; it has {', '.join(columns)}", {})
        return self

    def said(self) -> dict[str, Any]:
        """As values of JSON."""
        within_us = self.within // dt.timedelta(microseconds=1)
        return {"request": self.request, "within_us": within_us, "on_unserved": self.on_unserved}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "AnswerMatch":
        """What said this."""
        return cls(said["request"], dt.timedelta(microseconds=said["within_us"]), said["on_unserved"])


def matched(
    labels: pl.DataFrame, answers: pl.LazyFrame, columns: LabelColumns, match: AnswerMatch, asked: str
) -> pl.DataFrame:
    """Of labels that have an answer, ``label_id`` and the answer's columns; in the order of the labels.

    Shapes:
        In: ``labels`` with ``label_id`` and ``columns``; ``answers`` with ``_user``, of the labels' type, ``request``,
        ``at`` and ``query``.
    Ties:
        Of several answers to a user's request (it was sent again) the newest counts.
    Cost:
        Answers of the labels' users, without their events.
    """
    user, time = columns.user, columns.time
    mine = answers.join(labels.lazy().select(pl.col(user).alias(USER)).unique(), on=USER, how="semi")
    if match.request is not None:
        newest = mine.sort("at").unique([USER, "request"], keep="last", maintain_order=True)
        wanted = labels.lazy().select(LABEL_ID, pl.col(user).alias(USER), pl.col(match.request).cast(pl.String))
        found = wanted.join(
            newest, left_on=[USER, match.request], right_on=[USER, "request"], how="inner", coalesce=False
        ).drop(match.request, f"{USER}_right", strict=False)
    else:
        wanted = labels.lazy().select(LABEL_ID, pl.col(user).alias(USER), pl.col(time).alias("_time"))
        found = (
            wanted.drop_nulls()
            .sort("_time")
            .join_asof(
                mine.filter(pl.col("query") == asked).sort("at"),
                left_on="_time",
                right_on="at",
                by=USER,
                strategy="backward",
                tolerance=match.within,
                allow_exact_matches=False,
                coalesce=False,
                check_sortedness=False,
            )
            .filter(pl.col("request").is_not_null())
            .drop("_time")
        )
    order = labels.select(LABEL_ID)
    return order.join(found.collect(), on=LABEL_ID, how="inner", maintain_order="left")

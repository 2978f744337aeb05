"""What readers of legacy give: rows of the side, what is wrong with others, and a day of which there is nothing."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from seqplat_resources.errors import Retryable
from sequence_defs.compiler.sql import UTC_US

# Whose it is, as text; which event, or where in which file; and why it cannot be compared as it should.
PROBLEMS = {"user": pl.String(), "place": pl.String(), "reason": pl.String()}
EVENT_COLUMNS = {"event_id": pl.String(), "event_time": UTC_US, "ingest_time": UTC_US}


@dataclass(frozen=True)
class LegacyRows:
    """``rows``: one per event, or one per user; ``problems`` as in ``PROBLEMS``."""

    rows: pl.DataFrame
    problems: pl.DataFrame


class NoLegacyData(Retryable):
    """There is nothing of legacy to compare a day with: the day is not judged, which is no finding of either side."""

    def __init__(self, what: str, day: dt.date, why: str) -> None:
        self.day, self.why = day, why
        super().__init__(f"no legacy data of {what} for {day}: {why}")

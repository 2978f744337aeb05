"""A readout as it goes over the wire; made of ``seqplat_resources.shadow.experiment.view``."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta as Said

from seqplat_resources.shadow.experiment.view import ReadoutView


class MetricEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One metric: what users of either arm did."""

    name: str
    event_type: str
    kind: Literal["converted", "count", "sum", "ratio"]
    better: Literal["higher", "lower"]
    direction: Annotated[
        Literal["better", "worse", "undecided", "too few", "few decide", "too large"],
        Said(description="what is proven, or why nothing can be"),
    ]
    because: Annotated[str, Said(description="in words why nothing can be proven; else blank")]
    users: Annotated[int, Said(description="of both arms, whose window is over")]
    waiting: Annotated[int, Said(description="exposed users whose window is not over, or not built")]
    capped: Annotated[int, Said(description="users who had more than the cap")]
    unusable: Annotated[int, Said(description="values that are no finite numbers, and were left out")]
    legacy: Annotated[float | None, Said(description="the metric of users with legacy's events")] = None
    ours: Annotated[float | None, Said(description="and of users with ours")] = None
    change: Annotated[float | None, Said(description="ours less legacy's, by the size of legacy's")] = None
    least: Annotated[float | None, Said(description="at least so much, at every look")] = None
    most: Annotated[float | None, Said(description="at most so much, at every look")] = None
    shows_from: Annotated[float | None, Said(description="a true change of this size is shown with 80 %")] = None
    guardrail: Annotated[Literal["PASS", "HOLD", "FAIL"] | None, Said(description="absent: it has none")] = None
    margin: Annotated[float | None, Said(description="the guardrail: by how much it may be worse")] = None


class ReadoutAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What users did while an event type moves, until the end of a day."""

    event_type: str
    day: dt.date
    step: str
    state: Literal["PASS", "HOLD", "FAIL"]
    because: Annotated[list[str], Said(description="everything that keeps it from passing, worst first")]
    since: Annotated[dt.datetime, Said(description="when the step began")]
    ours: Annotated[int, Said(description="exposed users with our events")]
    legacy: Annotated[int, Said(description="and with legacy's")]
    declared: Annotated[float, Said(description="the share that ours should be")]
    moved: Annotated[int, Said(description="users who were in the other arm at an earlier step")]
    dropped: Annotated[int, Said(description="exposures that servers lost")]
    sample: Annotated[float, Said(description="the share of users whose exposures are kept")]
    at: Annotated[dt.datetime, Said(description="when it was read out")]
    metrics: list[MetricEntry]
    ratio: Annotated[str, Said(description="what is wrong with the sizes of arms; absent: nothing")] = ""
    until: Annotated[dt.datetime | None, Said(description="when the step ended; absent: it goes on")] = None
    share: Annotated[float | None, Said(description="the share that ours is; absent: nobody was exposed")] = None
    p: Annotated[float | None, Said(description="of the chi-square test that both are the same")] = None


def readout_answer(view: ReadoutView) -> ReadoutAnswer:
    """A readout as it goes out."""
    return msgspec.convert(view, ReadoutAnswer, from_attributes=True)

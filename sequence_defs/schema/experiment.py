"""What is read from users while some have our events and others legacy's: which numbers, and which may not fall."""

from typing import Annotated, Literal

from pydantic import Field

from sequence_defs.schema.base import FieldName, Name, Part

MetricKind = Literal["converted", "count", "sum", "ratio"]

# Longer windows keep a readout waiting for longer than an experiment runs.
MAX_WITHIN_H = 24 * 92


class UserMetric(Part):
    """One number per user, from the events of type ``event_type`` within ``within_h`` hours of the user's exposure.

    ``converted``: whether there is one; ``count``: how many; ``sum``: of ``column``. ``ratio``: all users' ``column``
    by all users' ``per``, or without ``per`` by their events that have the column, which is the mean per event.
    ``better`` says which way is good. With ``guardrail`` it may be worse than legacy's by at most this share of it.
    What one user adds is cut at ``cap``, above and below zero; of a ratio each of its two sums.
    """

    name: Name
    event_type: Name
    kind: MetricKind = "converted"
    column: FieldName | None = None
    per: FieldName | None = None
    within_h: int = Field(default=7 * 24, ge=1, le=MAX_WITHIN_H)
    better: Literal["higher", "lower"] = "higher"
    guardrail: float | None = Field(default=None, gt=0, lt=1)
    cap: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Experiment(Part):
    """Who was answered with whose events is written down while an event type moves, and read out by ``metrics``.

    ``sample`` is the share of users of whom it is; by a hash of their own, so users who are in stay in.
    """

    metrics: tuple[UserMetric, ...] = ()
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0

"""The example of a readout, for the OpenAPI document. No field of it is null."""

import datetime as dt

from serving.api.readout import MetricEntry, ReadoutAnswer

_AT = dt.datetime(2026, 1, 15, 1, 12, 4, tzinfo=dt.UTC)

READOUT = ReadoutAnswer(
    event_type="visit",
    day=dt.date(2026, 1, 14),
    step="ab_50",
    state="HOLD",
    because=["guardrail bought: not proven to be at most 5 % worse than legacy"],
    since=_AT - dt.timedelta(days=9),
    ours=6_030,
    legacy=5_970,
    declared=0.5,
    moved=1_205,
    dropped=0,
    sample=1.0,
    at=_AT,
    metrics=[
        MetricEntry(
            name="bought",
            event_type="purchase",
            kind="converted",
            better="higher",
            direction="undecided",
            because="",
            users=10_000,
            waiting=2_000,
            capped=0,
            unusable=0,
            legacy=0.1798,
            ours=0.1871,
            change=0.0406,
            least=-0.083,
            most=0.181,
            shows_from=0.174,
            guardrail="HOLD",
            margin=0.05,
        )
    ],
    share=0.5025,
    p=0.58,
)

"""Examples of the OpenAPI document. Problems are made by the code that answers them, so they cannot differ.

The framework leaves nulls out of objects, so no field of an example is null.
"""

import datetime as dt
from collections.abc import Sequence

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec.structs import replace

from serving import problems
from serving.schemas import (
    AnswerMeta,
    Catalogue,
    ColumnEntry,
    EventTypeStatus,
    FreshnessEntry,
    Problem,
    ReleaseError,
    ReleaseStatus,
    SequenceAnswer,
    SequenceEntry,
    Status,
)

_ID = "8f0e6f0b4c1d"
_RELEASE = "bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02"
_EPOCH: dict[str, int | None] = {"purchase": 2, "campaign_received": 1}


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


ANSWER = SequenceAnswer(
    sequence="household_history",
    user_id="1995",
    length=2,
    columns={
        "event_time": [_utc(2017, 12, 3, 20, 55, 26), _utc(2017, 11, 27, 5)],
        "event_type": ["purchase", "campaign_received"],
        "sales_value": [1.99, None],
    },
    meta=AnswerMeta(
        epoch=_EPOCH,
        release=_RELEASE,
        sealed_through=_utc(2017, 12, 4),
        newest_event_time=_utc(2017, 12, 3, 20, 55, 26),
        completeness=1.0,
        degraded=[],
        stream_lag_ms=850,
    ),
)
CATALOGUE = Catalogue(
    release=_RELEASE,
    sequences=[
        SequenceEntry(
            name="household_history",
            tenant="grocery",
            owner="team:grocery",
            description="Everything a household did, newest first.",
            lifecycle="live",
            event_types=["purchase", "campaign_received"],
            columns=[
                ColumnEntry("event_time", "timestamp", "", "when it happened", nullable=False),
                ColumnEntry("event_type", "string", "", "what happened", nullable=False),
                ColumnEntry("sales_value", "float64", "USD", "paid for the line", nullable=True),
            ],
            length=500,
            window_days=365,
            freshness=FreshnessEntry(sealed_through=_utc(2017, 12, 4), completeness=1.0, epoch=_EPOCH),
        )
    ],
)
STATUS = Status(
    version="0.1.0",
    channel="prod",
    ready=True,
    release=ReleaseStatus(
        id=_RELEASE,
        move=3,
        moved_at=_utc(2026, 1, 15, 9, 30),
        moved_by="ada",
        note="raise length to 500",
        loaded_at=_utc(2026, 1, 15, 9, 30, 1),
    ),
    release_error=ReleaseError(_utc(2026, 1, 16, 8), "release 41d0c2a97b5e is not in s3://features/prod"),
    event_types={"purchase": EventTypeStatus(epoch=2, release=_RELEASE, days=42, rows=43818)},
)


def success(struct: type[msgspec.Struct], description: str, value: msgspec.Struct | None = None) -> ResponseSpec:
    """The documented 200 answer."""
    examples = [Example(summary=description, value=msgspec.to_builtins(value))] if value else None
    return ResponseSpec(struct, generate_examples=False, description=description, examples=examples)


def errors(*raised: Exception, path: str) -> dict[int, ResponseSpec]:
    """Documented error answers by status, one example for each error of a request to ``path``; 500 is always one."""
    found: dict[int, list[Problem]] = {}
    for error in (*raised, RuntimeError()):
        problem = replace(problems.problem_of(error), instance=path)
        found.setdefault(problem.status, []).append(
            replace(problem, request_id=_ID) if problem.status >= 500 else problem
        )
    return {status: _error_spec(same) for status, same in found.items()}


def _error_spec(same: Sequence[Problem]) -> ResponseSpec:
    examples = [Example(summary=problem.title, value=msgspec.to_builtins(problem)) for problem in same]
    titles = ", or ".join(problem.title.lower() for problem in same)
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description=titles.capitalize(),
        media_type=problems.MEDIA_TYPE,
        examples=examples,
    )

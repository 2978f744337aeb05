"""Examples of the OpenAPI document. Problems are made by the code that answers them, so they cannot differ."""

import datetime as dt
from collections.abc import Sequence

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec.structs import replace

from serving import problems
from serving.schemas import AnswerMeta, Problem, SequenceAnswer

_ID = "8f0e6f0b4c1d"

ANSWER = SequenceAnswer(
    sequence="household_history",
    user_id="1995",
    length=2,
    columns={
        "event_time": [dt.datetime(2017, 12, 3, 21, 4, 11, tzinfo=dt.UTC), dt.datetime(2017, 11, 27, 5, tzinfo=dt.UTC)],
        "event_type": ["purchase", "campaign_received"],
        "sales_value": [2.99, None],
    },
    meta=AnswerMeta(
        epoch={"purchase": 2, "coupon_redemption": 2, "campaign_received": 1},
        release="bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02",
        sealed_through=dt.datetime(2017, 12, 4, tzinfo=dt.UTC),
        newest_event_time=dt.datetime(2017, 12, 3, 21, 4, 11, tzinfo=dt.UTC),
        completeness=1.0,
        degraded=[],
        stream_lag_ms=None,
    ),
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

"""Why is this event (not) in the answer?"""

import datetime as dt
from typing import Annotated, Any

from litestar import Request, get
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Example
from litestar.params import FromPath, QueryParameter

from seqplat_resources.clock import Deadline
from seqplat_resources.explain import explain
from seqplat_resources.release.runtime import Runtime
from serving.access.caller import Caller
from serving.api.parameters import DEADLINE_HEADER, BadParameter, UnknownParameter, deadline_ms, only
from serving.api.paths import user_of
from serving.api.schemas import ExplainedEvent, ExplanationAnswer, StepEntry, VerdictEntry
from serving.explain.answer import explanation_answer
from serving.explain.deadline import Explainer, TooSlow
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from serving.openapi.examples import errors, success
from serving.settings import Settings

# A request waits for this search; the command line searches further.
SEARCH_DAYS = 31
_PARAMETERS = ("event_id", "event_type", "day")
_NO_ID = BadParameter("event_id", "event_id is missing or empty", fix="send one, as the column `event_id` has it")


async def _parameters(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard, for the framework itself would take the last of several and mend what is no UTF-8."""
    if not only(_PARAMETERS, connection.scope["query_string"]).get("event_id"):
        raise _NO_ID.with_traceback(None)  # which would grow with each


EXAMPLE = ExplanationAnswer(
    sequence="household_history",
    release="bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02",
    event=ExplainedEvent("1995", "40690716788~883003", "purchase", dt.date(2017, 12, 3)),
    verdict=VerdictEntry(
        "filtered",
        "Not in the answer: transactions:0@17 is left out by the filter of event type purchase: quantity > 0 "
        "(with quantity = 0).",
        ["seqplat check    # after changing the filter, if it should be kept"],
    ),
    steps=[
        StepEntry(
            "filtered",
            "filtered",
            "transactions:0@17 is left out by the filter of event type purchase: quantity > 0 (with quantity = 0)",
            {"at": "transactions:0@17", "filter": "quantity > 0", "values": {"quantity": "0"}},
        )
    ],
    also={},
)


@get(
    "/v1/sequences/{name:str}/users/{user_id:str}/explain",
    summary="Why an event is, or is not, in the answer",
    operation_id="explain",
    tags=["sequences"],
    guards=[_parameters],
    responses={
        200: success(ExplanationAnswer, "The event's way, and a verdict; also of an event nobody has seen", EXAMPLE),
        **errors(
            UnknownParameter("event", _PARAMETERS),
            _NO_ID,
            NotReady("no release is loaded yet", fix="publish a release with `seqplat publish`"),
            TooSlow(),
            path="/v1/sequences/household_history/users/1995/explain",
        ),
    },
)
async def explain_event(
    request: Request[Any, Any, Any],
    explaining: NamedDependency[Explainer],
    follower: NamedDependency[Follower],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    event_id: Annotated[
        str,
        QueryParameter(
            description="identity within the user, as in the column `event_id`",
            examples=[Example(value="40690716788~883003")],
        ),
    ],
    event_type: Annotated[
        str | None, QueryParameter(description="which, where event types have events of the same id")
    ] = None,
    day: Annotated[dt.date | None, QueryParameter(description="when it happened (UTC), to look there at once")] = None,
) -> ExplanationAnswer:
    """Reads the lake beside the online store, so it takes a good part of a second: for people, not for ranking. What
    could not be read before the deadline is `not known here`, and so is the verdict where it would rest on that.
    Permissions are those of the sequence; values of personal data are shown to nobody without a grant.
    """
    settings: Settings = request.app.state["settings"]
    given = request.headers.get(DEADLINE_HEADER)
    deadline = Deadline.after(deadline_ms(given.encode() if given is not None else None, settings.deadline_ms) / 1000)
    serving = follower.serving
    user = user_of(request.scope)
    plan = follower.arms.plan(caller.plan(serving, name), user)
    runtime, store = Runtime(serving.home, serving.loaded, "", follower.clock), follower.store
    seen = {each for plan in caller.plans(serving).values() for each in plan.definition.event_types}
    found = await explaining.made(
        lambda: explain(
            runtime,
            store,
            plan,
            user,
            event_id,
            event_type=event_type,
            day=day,
            others=seen,
            most_days=SEARCH_DAYS,
            deadline=deadline,
        ),
        deadline,
    )
    caller.charge(1, columns=("event_id",), users=(user,))
    return explanation_answer(found)

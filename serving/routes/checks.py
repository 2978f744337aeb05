"""What checks found, what needs somebody, and saying that somebody knows."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import FromPath, QueryParameter

from seqplat_resources.health.filters import Wanted, narrowed
from seqplat_resources.health.view import Status
from serving.access.caller import Caller
from serving.access.lookout import IncidentKnown, Lookout, UnknownIncident, UnknownReadout
from serving.answers.answer import Ready
from serving.answers.whole import whole_json
from serving.api.checks import (
    AcknowledgeRequest,
    ChecksAnswer,
    IncidentEntry,
    MigrationAnswer,
    MuteRequest,
    checks_answer,
    incident_answer,
    migration_answer,
)
from serving.api.parameters import BadParameter, UnknownParameter, of_json
from serving.api.problems import only_parameters
from serving.api.readout import ReadoutAnswer, readout_answer
from serving.api.refusals import RoleNeeded
from serving.follow.errors import NotReady
from serving.openapi.checks import CHECKS, INCIDENT, MIGRATION
from serving.openapi.examples import errors, success
from serving.openapi.readout import READOUT

_FILTERS = ("owner", "tenant", "check", "status")
_INCIDENT = "/v1/checks/incidents/{incident:str}"
_NOT_LOOKED = NotReady("checks were not looked at yet", fix="publish a release with `seqplat publish`")


def _asks(what: str, example: str) -> QueryParameter:
    return QueryParameter(description=f"only {what}", examples=[Example(value=example)])


@get(
    "/v1/checks",
    summary="All checks, day by day, and what needs somebody",
    operation_id="checks",
    tags=["operations"],
    guards=[only_parameters(*_FILTERS)],
    responses={
        200: success(ChecksAnswer, "The checks that the caller may see, worst first", CHECKS),
        **errors(
            UnknownParameter("owners", _FILTERS),
            BadParameter("status", "status: there is no 'red'"),
            _NOT_LOOKED,
            path="/v1/checks",
        ),
    },
)
async def checks(
    request: Request[Any, Any, Any],
    lookout: NamedDependency[Lookout],
    caller: NamedDependency[Caller],
    owner: Annotated[str | None, _asks("what this owner has", "team:grocery")] = None,
    tenant: Annotated[str | None, _asks("what this tenant has", "grocery")] = None,
    check: Annotated[str | None, _asks("checks of this name", "enrichment_coverage")] = None,
    status: Annotated[Status | None, _asks("checks whose worst day is this", "fail")] = None,
) -> Ready:
    """As of the last look of this process, at most some seconds ago; `as_of` says when the newest verdict was told. A
    verdict on a day that was built anew since is `stale`, whatever it said. A check without a verdict is `unjudged`,
    never green. One cause is one incident, however many checks it breaks.
    """
    wanted = Wanted(owner, tenant, check, status)

    def made() -> Ready:
        view = narrowed(lookout.health(caller), wanted)
        return whole_json(request.scope, msgspec.json.encode(checks_answer(view)))

    return await sync_to_thread(made)


@get(
    "/v1/migration",
    summary="Event types on their way from a legacy pipeline",
    operation_id="migration",
    tags=["operations"],
    guards=[only_parameters()],
    responses={
        200: success(MigrationAnswer, "Those that the caller may see, and that need somebody, first", MIGRATION),
        **errors(UnknownParameter("owner", ()), _NOT_LOOKED, path="/v1/migration"),
    },
)
async def migration(
    request: Request[Any, Any, Any],
    lookout: NamedDependency[Lookout],
    caller: NamedDependency[Caller],
) -> Ready:
    """Where each stands on the ladder, what its newest verdict says and whether that is still about what there is, and
    which metric keeps it from the next step.
    """
    view = lookout.health(caller)
    answer = migration_answer(view.release, lookout.migration(caller), view.errors)
    return whole_json(request.scope, msgspec.json.encode(answer))


@get(
    "/v1/migration/{event_type:str}/readout",
    summary="What users with our events do, beside those with legacy's",
    operation_id="readout",
    tags=["operations"],
    guards=[only_parameters()],
    responses={
        200: success(ReadoutAnswer, "The newest readout that is kept", READOUT),
        **errors(
            UnknownParameter("day", ()), UnknownReadout("visits"), _NOT_LOOKED, path="/v1/migration/visits/readout"
        ),
    },
)
async def readout(
    request: Request[Any, Any, Any],
    lookout: NamedDependency[Lookout],
    caller: NamedDependency[Caller],
    event_type: FromPath[str],
) -> Ready:
    """At the end of a day, about users who were exposed since the event type came to its step. Bounds hold at every
    look; whether to go on is for people to decide.
    """

    def made() -> Ready:
        answer = readout_answer(lookout.readout(caller, event_type))
        return whole_json(request.scope, msgspec.json.encode(answer))

    return await sync_to_thread(made)


_SAID_ERRORS = errors(
    UnknownParameter("who", ()),
    UnknownIncident("1e2bd4a2793f"),
    IncidentKnown("ada acknowledged this on 2026-01-15 09:30 UTC: the file comes at noon"),
    BadParameter("because", "because is missing"),
    RoleNeeded("operator"),
    _NOT_LOOKED,
    path="/v1/checks/incidents/1e2bd4a2793f/acknowledge",
)


@post(
    f"{_INCIDENT}/acknowledge",
    status_code=200,
    summary="Say that somebody knows of an incident",
    operation_id="acknowledge",
    tags=["operations"],
    guards=[only_parameters()],
    responses={200: success(IncidentEntry, "The incident as it stands now", INCIDENT), **_SAID_ERRORS},
)
async def acknowledge(
    request: Request[Any, Any, Any],
    lookout: NamedDependency[Lookout],
    caller: NamedDependency[Caller],
    incident: FromPath[str],
) -> IncidentEntry:
    """It needs nobody until it gets worse: on more days, in more checks, or in another status. For operators, and for
    keys that read all that the tenant of the incident's asset has.
    """
    asked = of_json(await request.body(), _content_type(request), AcknowledgeRequest)
    return incident_answer(await sync_to_thread(lookout.acknowledge, caller, incident, asked.because))


@post(
    f"{_INCIDENT}/mute",
    status_code=200,
    summary="Hear no more of an incident for a while",
    operation_id="mute",
    tags=["operations"],
    guards=[only_parameters()],
    responses={200: success(IncidentEntry, "The incident as it stands now", INCIDENT), **_SAID_ERRORS},
)
async def mute(
    request: Request[Any, Any, Any],
    lookout: NamedDependency[Lookout],
    caller: NamedDependency[Caller],
    incident: FromPath[str],
) -> IncidentEntry:
    """It needs nobody up to and including a day, or until it gets worse. For the same callers as to acknowledge it."""
    asked = of_json(await request.body(), _content_type(request), MuteRequest)
    return incident_answer(await sync_to_thread(lookout.mute, caller, incident, asked.because, asked.until))


def _content_type(request: Request[Any, Any, Any]) -> bytes | None:
    given = request.headers.get("content-type")
    return None if given is None else given.encode("latin-1")

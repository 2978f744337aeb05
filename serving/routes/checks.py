"""What checks found, what needs somebody, and saying that somebody knows."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import FromPath, QueryParameter

from seqplat_resources.health.attention import AlreadySaid, Attention, AttentionState, CannotSay
from seqplat_resources.health.filters import Wanted, narrowed, visible
from seqplat_resources.health.view import Health, Incident, Status
from serving.access import Caller
from serving.access.sight import sees_checks, sees_migration, speaks_for
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
from serving.api.refusals import Refusal, RoleNeeded
from serving.follow.checks import ChecksFollower
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from serving.openapi.checks import CHECKS, INCIDENT, MIGRATION
from serving.openapi.examples import errors, success
from serving.settings import Settings

_FILTERS = ("owner", "tenant", "check", "status")
_INCIDENT = "/v1/checks/incidents/{incident:str}"
_NOT_LOOKED = NotReady("checks were not looked at yet", fix="publish a release with `seqplat publish`")


class UnknownIncident(Refusal):
    """It is over, or it is none that the caller may see."""

    def __init__(self, incident: str) -> None:
        fix = "GET /v1/checks lists them; one that is over is gone"
        super().__init__(
            "unknown-incident", 404, f"there is no incident {incident!r}", field="incident", fix=fix, headers={}
        )


class IncidentKnown(Refusal):
    """Somebody else was first."""

    def __init__(self, said: str) -> None:
        fix = "leave it to them; it comes back when it gets worse"
        super().__init__("incident-known", 409, said, field=None, fix=fix, headers={})


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
    follower: NamedDependency[Follower],
    board: NamedDependency[ChecksFollower],
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
    serving, health = follower.serving, board.board.health
    wanted, sees = Wanted(owner, tenant, check, status), sees_checks(caller, serving)

    def made() -> Ready:
        view = narrowed(visible(health, sees), wanted)
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
    follower: NamedDependency[Follower],
    board: NamedDependency[ChecksFollower],
    caller: NamedDependency[Caller],
) -> Ready:
    """Where each stands on the ladder, what its newest verdict says and whether that is still about what there is, and
    which metric keeps it from the next step.
    """
    sees, found = sees_migration(caller, follower.serving), board.board
    rows = tuple(row for row in found.migration if sees(row))
    answer = migration_answer(found.health.release, rows, found.health.errors)
    return whole_json(request.scope, msgspec.json.encode(answer))


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
    follower: NamedDependency[Follower],
    board: NamedDependency[ChecksFollower],
    caller: NamedDependency[Caller],
    incident: FromPath[str],
) -> IncidentEntry:
    """It needs nobody until it gets worse: on more days, in more checks, or in another status. For operators, and for
    keys that read all that the tenant of the incident's asset has.
    """
    asked = of_json(await request.body(), _content_type(request), AcknowledgeRequest)
    return await _said(
        request,
        follower,
        board,
        caller,
        incident,
        lambda said, found: said.acknowledge(found, who=caller.name, says=asked.because),
    )


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
    follower: NamedDependency[Follower],
    board: NamedDependency[ChecksFollower],
    caller: NamedDependency[Caller],
    incident: FromPath[str],
) -> IncidentEntry:
    """It needs nobody up to and including a day, or until it gets worse. For the same callers as to acknowledge it."""
    asked = of_json(await request.body(), _content_type(request), MuteRequest)
    return await _said(
        request,
        follower,
        board,
        caller,
        incident,
        lambda said, found: said.mute(found, who=caller.name, says=asked.because, until=asked.until),
    )


async def _said(
    request: Request[Any, Any, Any],
    follower: Follower,
    board: ChecksFollower,
    caller: Caller,
    incident: str,
    say: Callable[[Attention, Incident], AttentionState],
) -> IncidentEntry:
    """Write it down, look again, and answer the incident as it stands then."""
    view = visible(board.board.health, sees_checks(caller, follower.serving))
    found = _incident(board.board.health, view, incident)
    tenants = {row.asset: row.tenant for row in board.board.health.rows}
    if not speaks_for(caller, tenants.get(found.asset)):
        raise RoleNeeded("operator")
    settings: Settings = request.app.state["settings"]

    def written() -> Incident:
        try:
            said = say(Attention(settings.home, follower.clock), found)
        except AlreadySaid as error:
            raise IncidentKnown(str(error)) from error
        except CannotSay as error:
            raise BadParameter(None, str(error)) from error
        board.refresh()
        return said.noted(found, follower.clock.now().date())

    return incident_answer(await sync_to_thread(written))


def _incident(health: Health, view: Health, wanted: str) -> Incident:
    """As it is, not as the caller sees it: what is said holds for all of it.

    Raises:
        UnknownIncident: there is none that they see.
    """
    if any(each.id == wanted for each in view.incidents):
        return next(each for each in health.incidents if each.id == wanted)
    raise UnknownIncident(wanted)


def _content_type(request: Request[Any, Any, Any]) -> bytes | None:
    given = request.headers.get("content-type")
    return None if given is None else given.encode("latin-1")

"""The pages. A handler finds out what its caller may see, and leaves how it looks to a template.

>>> "purchase" in client.get("/console/migration").text
True
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from litestar import Request, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.params import FromPath

from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.commands import command
from seqplat_resources.health.filters import narrowed
from seqplat_resources.health.view import Cell, CheckRow, Health
from seqplat_resources.lake.layout import SHADOW
from seqplat_resources.shadow.ladder.steps import STEPS
from seqplat_resources.times import DAY_S
from serving.access.caller import Caller
from serving.access.lookout import Lookout
from serving.access.sessions import ended
from serving.access.sign_in import form_of, is_secure, local
from serving.answers.answer import Ready
from serving.answers.encoding import Coding
from serving.api.parameters import BadParameter, only
from serving.api.paths import CONSOLE
from serving.api.refusals import Refusal
from serving.console.cell import Details, details_of
from serving.console.charts import chart
from serving.console.event_type import migration_of
from serving.console.filters import Filters
from serving.console.matrix import counted, matrix
from serving.console.rendering import FILES, HTML, THEME_COOKIE, THEMES, Look, compressed, file, render
from serving.console.words import incident_url

Asked = Request[Any, Any, Any]

# Incidents that are shown at once; whoever has more begins with these.
INCIDENTS: Final = 10
# Of those that are over, the newest.
BACKFILLS: Final = 50
_SOME_ERRORS: Final = "some of it is damaged; whoever runs this installation is told which"
_STEPS: Final = [step.name for step in STEPS]
_YEAR_S: Final = 365 * DAY_S


class NoSuchPage(Refusal):
    """A check or an event type that is not there, or not for this caller to see: which, is not said."""

    def __init__(self, what: str) -> None:
        super().__init__("no-such-page", 404, what, field=None, fix="the first page lists what there is", headers={})


@get(CONSOLE, include_in_schema=False, sync_to_thread=True)
def checks_page(request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout]) -> Ready:
    """Whether all is well, what needs somebody, and every check of every day."""
    filters = Filters.of(request.scope["query_string"])
    everything = lookout.health(caller)
    return _page(request, caller, "checks.html", **checks_shown(everything, filters))


def checks_shown(everything: Health, filters: Filters) -> dict[str, Any]:
    """What the first page, and a file of it, is made of."""
    health = narrowed(everything, filters.wanted)
    open_ = [each for each in health.incidents if each.needs_you]
    known = [each for each in health.incidents if not each.needs_you]
    most = len(open_) if filters.incidents else INCIDENTS
    return {
        "health": health,
        "filters": filters,
        "counted": list(counted(narrowed(everything, replace(filters.wanted, status=None)).rows)),
        "choices": filters.choices(everything),
        "open": open_[:most],
        "more_open": len(open_) - len(open_[:most]),
        "known": known,
        "grid": matrix(health.rows, health.days, filters.page),
    }


@get(f"{CONSOLE}/checks/{{layer:str}}/{{name:str}}/{{check:str}}", include_in_schema=False, sync_to_thread=True)
def check_page(
    request: Asked,
    caller: NamedDependency[Caller],
    lookout: NamedDependency[Lookout],
    layer: FromPath[str],
    name: FromPath[str],
    check: FromPath[str],
) -> Ready:
    """One check of an asset: a day of it, and its history."""
    given = only(("day",), request.scope["query_string"])
    asset = f"{layer}/{name}"
    rows = [row for row in lookout.health(caller).rows if row.asset == asset and row.check == check]
    if not rows:
        raise NoSuchPage(f"there is no check {check!r} of {asset!r}")
    row = rows[0]
    cell = _cell(row, _day(given.get("day")))
    return _page(
        request,
        caller,
        "check.html",
        row=row,
        cell=cell,
        drawn=chart(row.cells),
        repair=command("materialize", str(cell.day), str(cell.day), asset) if cell and cell.day else "",
        details=None if cell is None else _details(lookout, caller, row, cell),
        moves=layer == SHADOW,
    )


@get(f"{CONSOLE}/incidents/{{incident:str}}", include_in_schema=False, sync_to_thread=True)
def incident_page(
    request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout], incident: FromPath[str]
) -> Ready:
    """One cause, what it touches, and the forms to say that somebody knows."""
    only((), request.scope["query_string"])
    found = lookout.incident(caller, incident)
    return _page(request, caller, "incident.html", found=found, may_act=lookout.may_speak(caller, incident))


@get(f"{CONSOLE}/migration", include_in_schema=False, sync_to_thread=True)
def migration_page(request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout]) -> Ready:
    """Event types on their way from legacy, those that need somebody first."""
    only((), request.scope["query_string"])
    return _page(request, caller, "migration.html", rows=lookout.migration(caller), steps=_STEPS)


@get(f"{CONSOLE}/backfills", include_in_schema=False, sync_to_thread=True)
def backfills_page(request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout]) -> Ready:
    """Backfills that run, with how far they are, and those there were. They are of all tenants: for operators."""
    only((), request.scope["query_string"])
    if "operator" not in caller.roles:
        raise NoSuchPage("backfills are shown to keys that operate the installation")
    found = BackfillRecords(lookout.runtime.home).all()
    running = [record for record in found if record.is_alive]
    over = [record for record in found if not record.is_alive][:BACKFILLS]
    return _page(request, caller, "backfills.html", running=running, over=over)


@get(f"{CONSOLE}/event-types/{{name:str}}", include_in_schema=False, sync_to_thread=True)
def event_type_page(
    request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout], name: FromPath[str]
) -> Ready:
    """One of them: where it stands, how it came there, and what its verdict rests on."""
    only((), request.scope["query_string"])
    row = next((each for each in lookout.migration(caller) if each.event_type == name), None)
    runtime = lookout.runtime
    if row is None or name not in runtime.release.event_types:
        raise NoSuchPage(f"there is no event type {name!r} on its way from legacy")
    said = migration_of(runtime, name, sees=lookout.sequences(caller), may_see_users=_may_see_users(caller))
    if said.errors and "operator" not in caller.roles:  # they name places of this installation
        said = replace(said, errors=[_SOME_ERRORS])
    health = lookout.health(caller)
    checks = matrix([each for each in health.rows if each.name == name], health.days)
    return _page(
        request, caller, "event_type.html", row=row, said=said, steps=_STEPS, grid=checks, days=len(health.days)
    )


@get(f"{CONSOLE}/sign-in", include_in_schema=False, sync_to_thread=False)
def signed_in() -> Ready:
    """Whoever comes here is known; others have met the form before."""
    return _there(CONSOLE)


@post(f"{CONSOLE}/sign-out", include_in_schema=False)
async def sign_out() -> Ready:
    """Forget the session in this browser."""
    return _there(CONSOLE, *ended())


@post(f"{CONSOLE}/theme", include_in_schema=False)
async def choose_theme(request: Asked) -> Ready:
    """Light or dark, or as the browser has it: kept in this browser."""
    form = form_of(await request.body())
    theme, secure = form.get("theme", ""), "; Secure" if is_secure(request.scope) else ""
    if theme not in THEMES:
        raise BadParameter("theme", f"there is no theme {theme!r}", fix=f"use one of {', '.join(THEMES)}")
    cookie = f"{THEME_COOKIE}={theme}; Path={CONSOLE}; Max-Age={_YEAR_S}; HttpOnly; SameSite=Strict{secure}"
    return _there(local(form.get("to", "")), cookie)


@get(f"{CONSOLE}/static/{{name:str}}", include_in_schema=False, sync_to_thread=False)
def look_file(request: Asked, name: FromPath[str]) -> Ready:
    """What pages load; its address changes with it, so browsers keep it."""
    try:
        body, coding = compressed(file(name), request.headers.get("accept-encoding"))
    except FileNotFoundError:
        raise NoSuchPage(f"there is no file {name!r}") from None
    kept = (b"cache-control", f"public, max-age={_YEAR_S}, immutable".encode())
    return _ready(body, coding, FILES[name], kept)


@post(f"{CONSOLE}/incidents/{{incident:str}}/acknowledge", include_in_schema=False)
async def acknowledge(
    request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout], incident: FromPath[str]
) -> Ready:
    """Somebody knows."""
    form = form_of(await request.body())
    await sync_to_thread(lookout.acknowledge, caller, incident, form.get("because", ""))
    return _there(incident_url(incident))


@post(f"{CONSOLE}/incidents/{{incident:str}}/mute", include_in_schema=False)
async def mute(
    request: Asked, caller: NamedDependency[Caller], lookout: NamedDependency[Lookout], incident: FromPath[str]
) -> Ready:
    """Somebody wants to hear no more of it until a day."""
    form = form_of(await request.body())
    until = _day(form.get("until"), "until")
    if until is None:
        raise BadParameter("until", "until is missing", fix="give the last day of the mute, as 2026-11-30")
    await sync_to_thread(lookout.mute, caller, incident, form.get("because", ""), until)
    return _there(incident_url(incident))


ROUTES: Final = [
    checks_page,
    check_page,
    incident_page,
    acknowledge,
    mute,
    migration_page,
    backfills_page,
    event_type_page,
    signed_in,
    sign_out,
    choose_theme,
    look_file,
]


def _page(request: Asked, caller: Caller, template: str, **values: Any) -> Ready:
    who, operates = f"key {caller.key_id} of tenant {caller.tenant}", "operator" in caller.roles
    look = Look.of(request.scope, who, operates=operates)
    page = render(template, look, dagster=request.app.state["settings"].dagster_url, **values)
    body, coding = compressed(page, request.headers.get("accept-encoding"))
    return _ready(body, coding, HTML)


def _ready(body: bytes, coding: Coding, media_type: str, *more: tuple[bytes, bytes]) -> Ready:
    headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body)), *more]
    if coding != "identity":
        headers.append((b"content-encoding", coding.encode()))
    return Ready(200, headers, body)


def _there(to: str, *set_cookies: str) -> Ready:
    """The page that comes after a form."""
    cookies = [(b"set-cookie", each.encode()) for each in set_cookies]
    return Ready(303, [(b"location", to.encode()), (b"content-length", b"0"), *cookies], b"")


def _cell(row: CheckRow, day: dt.date | None) -> Cell | None:
    """Of the day that is asked for, else the newest that did not pass, else the newest."""
    if day is not None:
        return next((cell for cell in row.cells if cell.day == day), None)
    newest = [cell for cell in reversed(row.cells) if cell.is_due]
    return next((cell for cell in newest if cell.status == row.worst), newest[0] if newest else None)


def _day(text: str | None, name: str = "day") -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadParameter(name, f"{name} is {text!r}", fix="send a day, as 2026-11-30") from None


def _details(lookout: Lookout, caller: Caller, row: CheckRow, cell: Cell) -> Details:
    may_see_users = _may_see_users(caller)(row.tenant)
    return details_of(lookout.runtime, row, cell, sees=lookout.sequences(caller), may_see_users=may_see_users)


def _may_see_users(caller: Caller) -> Callable[[str | None], bool]:
    """Of which tenants' users: of its own, where nothing of that is kept from it. Running servers is no reason to."""
    return lambda tenant: caller.reads_own and caller.tenant == tenant

"""The session that a user is in, worked out when somebody asks.

>>> found = client.get("/v1/sessions/visit/users/ann").json()
>>> [(each["events"], each["bought"], each["state"]) for each in found["sessions"]], found["whole"]
([(1, 1, 'FINAL')], True)
"""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.params import FromPath

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store.errors import InvalidKeyError
from seqplat_resources.read.sessions import current_sessions
from seqplat_resources.release.view_plan import UnknownView
from serving.access.caller import Caller
from serving.answers.encoding import meta_of
from serving.api.notes import note_answer
from serving.api.parameters import DEADLINE_HEADER, UnknownParameter, deadline_ms
from serving.api.paths import SESSIONS, user_of
from serving.api.problems import only_parameters
from serving.api.schemas import AnswerMeta, SessionAnswer
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from serving.openapi.examples import ANSWER, errors, success
from serving.settings import Settings

EXAMPLE = SessionAnswer(
    view="visit",
    user_id="1995",
    sessions=[
        {
            "session_id": "8f6f0a6c5d0e4b7c",
            "user_id": "1995",
            "start_time": "2017-12-03T20:55:26Z",
            "end_time": "2017-12-03T21:10:02Z",
            "events": 12,
            "bought": 3,
            "state": "OPEN",
        }
    ],
    whole=True,
    meta=ANSWER.meta,
)


@get(
    f"{SESSIONS}{{name:str}}/users/{{user_id:str}}",
    summary="The session that a user is in",
    operation_id="user_session",
    tags=["sessions"],
    guards=[only_parameters()],
    responses={
        200: success(SessionAnswer, "Open sessions, or the last there was; an unknown user has none", EXAMPLE),
        **errors(
            UnknownParameter("limit", ()),
            UnknownView("vist", ["visit"]),
            InvalidKeyError(
                "user id b'\\xff' is not UTF-8", where="the path", fix="percent-encode the UTF-8 of the id"
            ),
            NotReady("no release is loaded yet", fix="publish a release with `seqplat publish`"),
            path="/v1/sessions/visit/users/1995",
        ),
    },
)
async def user_session(
    request: Request[Any, Any, Any],
    follower: NamedDependency[Follower],
    caller: NamedDependency[Caller],
    name: FromPath[str],
) -> SessionAnswer:
    """Reads the online store as an answer of the user's newest events does, and twice as many while these hold no
    pause. The day's table will say the same of the same events. Columns of personal data are shown to nobody.
    """
    settings: Settings = request.app.state["settings"]
    given = request.headers.get(DEADLINE_HEADER)
    deadline = Deadline.after(deadline_ms(given.encode() if given is not None else None, settings.deadline_ms) / 1000)
    serving, user = follower.serving, user_of(request.scope)
    plan, store, clock = caller.session_view(serving, name), follower.store, follower.clock
    events = plan.events_plan(serving.loaded)
    found = await sync_to_thread(lambda: current_sessions(plan, events, store, user, clock=clock, deadline=deadline))
    read = int(found.sessions["events"].sum())
    caller.charge(read, columns=found.sessions.columns, users=(user,))
    fresh = found.freshness
    note_answer(request.scope, events=read, corrupt_blocks=fresh.corrupt_blocks, degraded=bool(fresh.degraded))
    meta = msgspec.convert(meta_of(fresh), AnswerMeta)
    return SessionAnswer(name, user, found.sessions.to_dicts(), found.is_whole, meta)

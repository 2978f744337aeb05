"""Which requests wait for each other: those of one lane, so that no kind stands in the way of another.

``long`` are batches, sessions, and one user's events where they may be more than ``SHORT_EVENTS`` or have to be looked
for; ``explain`` are explanations, readouts, and one user's events as of a time, which read the lake, take as long as
ten batches and would leave them no room; ``console`` are pages for people, of which a large one takes as long as a
batch; everything else is ``short``, also what will be refused. Told from the request alone, before anything is read.
"""

from typing import Literal, TypeAlias

from litestar.types import Scope
from litestar.utils import normalize_path

from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from serving.access.authentication import caller_of
from serving.api.parameters import DEADLINE_HEADER, BadParameter, deadline_ms, of_query_string
from serving.api.paths import CONSOLE_FILES, SESSIONS, is_console, is_user, name_of, raw_parts, routed_path
from serving.follow.release import Follower
from serving.settings import Settings

Lane: TypeAlias = Literal["short", "long", "explain", "console"]

_DEADLINE = DEADLINE_HEADER.lower().encode()

_OF_THE_LAKE = frozenset({"explain", "readout"})

# Whoever waits for a page waits for others' pages.
PAGE_WAIT_S = 5.0
# Reading so many takes less than 2 ms of the processor.
SHORT_EVENTS = 1_000


def lane_of(scope: Scope) -> Lane:
    """The lane of a request whose caller is known."""
    if not is_user(raw_parts(scope)):
        # The path as the router sees it, however it is spelled.
        path = normalize_path(routed_path(scope))
        if is_console(path):
            return "short" if path.startswith(CONSOLE_FILES) else "console"
        if path.startswith(SESSIONS):
            return "long"
        route = path.rpartition("/")[2]
        return "long" if route == "batch" else "explain" if route in _OF_THE_LAKE else "short"
    follower: Follower = scope["litestar_app"].state["follower"]
    try:
        _, query = of_query_string(scope["query_string"])
        plan = caller_of(scope).plan(follower.serving, name_of(scope))
    except Exception:  # the handler meets the same, and tells it
        return "short"
    if query.as_of is not None:
        return "explain"
    return "short" if is_short(plan, query) else "long"


def is_short(plan: SequencePlan, query: Query) -> bool:
    """Whether one user's answer has at most ``SHORT_EVENTS``, whatever is stored. Under a condition nobody knows
    how many are read for it, and what comparing them costs, nor where several are one row; as of a time the lake is
    read, which waits for disks.
    """
    if query.where is not None or query.as_of is not None or plan.collapse is not None:
        return False
    bounds = [plan.definition.length, None if query.top_k else query.limit]
    most = min((bound for bound in bounds if bound is not None), default=None)
    return most is not None and most <= SHORT_EVENTS


def wait_s(scope: Scope, settings: Settings) -> float:
    """How long a long request may wait for its turn: until its deadline, as those before it may take as long."""
    given = next((value for name, value in scope["headers"] if name == _DEADLINE), None)
    try:
        until_ms = deadline_ms(given, settings.deadline_ms)
    except BadParameter:  # the handler tells it
        until_ms = settings.deadline_ms
    return max(until_ms, settings.queue_ms) / 1000

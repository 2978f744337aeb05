"""Stay fast when more is asked than can be answered: few requests at a time, a short queue, and at once a 503.

Work that nobody waits for any more is what makes an overloaded server collapse. So a request that would wait too long
is told so immediately, and the others take as long as ever. Turns go to the tenant that had least of late; and where
the queue is full, the tenant with most in it gives way. Thus one that floods the server gets what the others leave, and
they hardly notice.

Long work is done in pieces, and whoever is at it lets others on between two (``Turn.pass_on``): so one request of a
second costs those of other tenants a piece of it.

>>> from serving.metrics import Cells
>>> async def two_at_once():
...     queue = Queue(LoadCounts(Cells(), "users"), under_way=1, queue=0, queue_s=0.1)
...     await Turn(queue, "shop").enter(None)
...     await Turn(queue, "shop").enter(None)
...
>>> asyncio.run(two_at_once())
Traceback (most recent call last):
    ...
serving.api.refusals.Overloaded: there is more to answer than this server can in time; send the ...
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from time import perf_counter

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission.bodies import CONNECTION
from serving.admission.shares import Shares
from serving.api.problems import send_problem
from serving.api.refusals import Abandoned, Overloaded
from serving.metrics.requests import LoadCounts

# What operators need most when the server is overloaded; cheap, and few callers ask.
NEVER = frozenset({"/healthz", "/readyz", "/metrics"})
# How far ahead of others who wait a tenant may be with its work: so tenants that ask for equally much take turns of
# this length, and one that asks for little waits for a piece of another's work, and is not stopped itself.
SLICE_S = 0.05
# Longest wait between two pieces, each of which takes a tenth of a second.
_AGAIN_S = 5.0
# How much the newest interval counts in the average, and how often shedding is told in the log.
_WEIGHT, _TELL_S = 0.1, 10

_TURN = "seqplat.turn"

_log = logging.getLogger(__name__)


class _Waiter:
    """A request in the queue. ``turn`` ends with None when it may go on, or with why it may not."""

    __slots__ = ("since", "tenant", "turn")

    def __init__(self, tenant: str, since: float) -> None:
        self.tenant, self.since = tenant, since
        self.turn: asyncio.Future[Overloaded | None] = asyncio.get_running_loop().create_future()


class Queue:
    """Who may go on: ``under_way`` requests at a time, ``queue`` more waiting, none of them longer than ``queue_s``.

    Used by one event loop. ``counts`` are its own.
    """

    def __init__(
        self,
        counts: LoadCounts,
        *,
        under_way: int,
        queue: int,
        queue_s: float,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.counts, self._most, self._room, self._queue_s = counts, under_way, queue, queue_s
        self._clock = clock
        self._under_way, self._waiting = 0, 0
        # By tenant, of those that had equally much the one whose turn is next first; only of whom somebody waits.
        self._lines: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._shares = Shares()
        # Seconds between two ends of requests while others wait, which is what a place in the queue costs.
        self._place_s = 0.0
        self._ended_at: float | None = None

    async def enter(self, tenant: str, wait_s: float | None = None) -> None:
        """Return when it is this request's turn; ``leave`` must follow. ``wait_s`` where it is not the queue's own.

        Raises:
            Overloaded: its turn would come too late.
        """
        wait_s = self._queue_s if wait_s is None else wait_s
        if self._under_way < self._most:
            self._under_way += 1
            self._shares.turn(tenant)
            self.counts.now(self._under_way, self._waiting)
            # Look at those that have arrived meanwhile. An answer made on this very loop would else run to its end
            # before the next request is seen, and of however many there are none would ever be found waiting.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.leave()
                raise
            return
        self._make_room(tenant, wait_s)
        waiter = _Waiter(tenant, self._clock())
        self._lines.setdefault(tenant, deque()).append(waiter)
        self._waiting += 1
        self.counts.now(self._under_way, self._waiting)
        timer = asyncio.get_running_loop().call_later(wait_s, self._turn_away, waiter, "queue_time")
        try:
            refusal = await self._turn_of(waiter)
        finally:
            timer.cancel()
        if refusal:
            raise refusal
        self.counts.waited(self._clock() - waiter.since)

    def is_wanted(self, tenant: str, worked_s: float) -> bool:
        """Whether another tenant waits that had less, where this one is at work for ``worked_s``. May be asked by any
        thread, as it is of no harm to be told too late.
        """
        if len(self._lines) <= (tenant in self._lines):
            return False
        mine, shares = self._shares.of(tenant) + worked_s, self._shares
        # Their names are copied in one step, as the event loop goes on.
        return any(mine - shares.of(other) > SLICE_S for other in tuple(self._lines) if other != tenant)

    async def again(self, tenant: str, worked_s: float) -> None:
        """Let others on, who are under way, and return when it is this request's turn again: before all of its tenant
        that wait, so that of these only one at a time has begun. It is not turned away any more, and goes on beside
        others where its turn does not come: what they wait for may be what it holds.
        """
        waiter = _Waiter(tenant, self._clock())
        self._lines.setdefault(tenant, deque()).appendleft(waiter)
        self._lines.move_to_end(tenant)
        self._waiting += 1
        self.leave(tenant, worked_s)
        timer = asyncio.get_running_loop().call_later(_AGAIN_S, self._overdue, waiter)
        try:
            await self._turn_of(waiter)
        finally:
            timer.cancel()

    async def _turn_of(self, waiter: _Waiter) -> Overloaded | None:
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._take_out(waiter)
            elif waiter.turn.result() is None:
                self.leave()  # it was let in at the same moment
            raise

    def _overdue(self, waiter: _Waiter) -> None:
        if not waiter.turn.done():
            self._take_out(waiter)
            self._under_way += 1
            waiter.turn.set_result(None)

    def leave(self, tenant: str = "", worked_s: float = 0.0) -> None:
        """A request has been answered, at which its tenant was for ``worked_s``; the first of the tenant whose turn it
        is goes on in its place.
        """
        now = self._clock()
        if worked_s:
            self._shares.add(tenant, worked_s)
        if self._ended_at is not None:
            self._place_s += _WEIGHT * (now - self._ended_at - self._place_s)
        self._ended_at = now if self._lines else None
        while self._lines:
            next_one = self._shares.least(self._lines)
            line = self._lines[next_one]
            waiter = line[0]
            self._take_out(waiter)
            if line:
                self._lines.move_to_end(next_one)
            if not waiter.turn.done():  # else its caller has just gone away
                self._shares.turn(next_one)
                waiter.turn.set_result(None)
                return
        self._under_way -= 1
        self.counts.now(self._under_way, self._waiting)

    def _make_room(self, tenant: str, wait_s: float) -> None:
        """
        Raises:
            Overloaded: for this tenant there is none, or at its end it would wait too long.
        """
        mine, tenants = len(self._lines.get(tenant, ())), len(self._lines) + (tenant not in self._lines)
        if self._waiting >= self._room:
            longest = max(self._lines.values(), key=len, default=None)
            if longest is None or len(longest) <= mine + 1:
                raise Overloaded("queue_full")
            self._turn_away(longest[-1], "queue_full")
        # As many as are under way may always wait: what they wait tells when the server has become fast again.
        place = min(self._waiting + 1, (mine + 1) * tenants)
        if place > self._most and place * self._place_s > wait_s:
            raise Overloaded("queue_time")

    def _turn_away(self, waiter: _Waiter, reason: str) -> None:
        if not waiter.turn.done():
            self._take_out(waiter)
            waiter.turn.set_result(Overloaded(reason))

    def _take_out(self, waiter: _Waiter) -> None:
        """Out of its line, if it still is in it."""
        line = self._lines.get(waiter.tenant, deque())
        if waiter in line:
            line.remove(waiter)
            self._waiting -= 1
            self.counts.now(self._under_way, self._waiting)
            if not line:
                del self._lines[waiter.tenant]


class Turn:
    """One request's place in a queue. Its methods are for the event loop, but for ``pass_on``."""

    __slots__ = ("_loop", "_queue", "_since_s", "holds", "is_gone", "tenant")

    def __init__(self, queue: Queue, tenant: str) -> None:
        self._queue, self.tenant, self._loop = queue, tenant, asyncio.get_running_loop()
        self.holds = self.is_gone = False
        self._since_s = 0.0

    async def enter(self, wait_s: float | None) -> None:
        """
        Raises:
            Overloaded: as ``Queue.enter``.
        """
        await self._queue.enter(self.tenant, wait_s)
        self.holds, self._since_s = True, perf_counter()

    def leave(self) -> None:
        """It may be left already."""
        if self.holds:
            self.holds = False
            self._queue.leave(self.tenant, self._worked_s)

    @property
    def _worked_s(self) -> float:
        return perf_counter() - self._since_s

    def abandon(self) -> None:
        """Nobody waits for the answer any more: a thread that is at it stops at the end of its piece."""
        self.is_gone = True

    def pass_on(self) -> None:
        """Let others on, where they wait and had less; called by the thread that works, between two pieces of work.

        Raises:
            Abandoned: nobody waits for the rest.
        """
        if not self.is_gone and self._queue.is_wanted(self.tenant, self._worked_s):
            asyncio.run_coroutine_threadsafe(self._again(), self._loop).result()
        if self.is_gone:
            raise Abandoned

    async def _again(self) -> None:
        if not self.holds:
            return
        self.holds = False
        await self._queue.again(self.tenant, self._worked_s)
        self.holds, self._since_s = True, perf_counter()
        if self.is_gone:
            self.leave()


def turn_of(scope: Scope) -> Turn:
    """The turn of a request that came through ``Shedding``."""
    found: Turn = scope["state"][_TURN]
    return found


async def _watch(receive: Receive, turn: Turn) -> None:
    """Abandon long work when its caller goes away. What was sent is read by now."""
    while (await receive())["type"] != "http.disconnect":
        pass
    turn.abandon()


class Shedding:
    """An ASGI application that lets requests through to another as their queues say. Who calls must be known by now.

    ``queue_of`` tells the queue of a request, and how long it may wait there where that is not the queue's own to say.
    """

    def __init__(self, app: ASGIApp, queue_of: Callable[[Scope], tuple[Queue, float | None]]) -> None:
        self._app, self._queue_of = app, queue_of
        self._told_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in NEVER:
            await self._app(scope, receive, send)
            return
        caller = scope["state"].get("caller")
        queue, wait_s = self._queue_of(scope)
        turn = scope["state"][_TURN] = Turn(queue, caller.tenant if caller else "")
        try:
            await turn.enter(wait_s)
        except Overloaded as refusal:
            queue.counts.shed(refusal.reason)
            self._tell(refusal.reason)
            await send_problem(scope, send, refusal.problem, refusal.headers)
            return

        # The work is done once an answer begins. Sending it is the server's, and how long that takes the caller's.
        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                turn.leave()
            return send(message)

        watch = None if wait_s is None else asyncio.ensure_future(_watch(scope["state"].get(CONNECTION, receive), turn))
        try:
            await self._app(scope, receive, sending)
        finally:
            turn.abandon()
            turn.leave()
            if watch:
                watch.cancel()

    def _tell(self, reason: str) -> None:
        if perf_counter() - self._told_at > _TELL_S:
            self._told_at = perf_counter()
            _log.warning("overloaded (%s): requests are answered with 503; /metrics counts them", reason)

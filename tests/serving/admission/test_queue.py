"""Who goes on, who waits and who is turned away."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from serving.admission.queue import Overloaded, Queue, Shedding, turn_of
from serving.admission.shares import Shares
from serving.api.refusals import Abandoned
from serving.metrics import Cells, LoadCounts
from tests.serving.keys import new_headers
from tests.serving.servers import SLOW, eventually, for_seconds, json_lines, load, running, share


def queue(
    *, under_way: int = 1, queue: int = 4, queue_s: float = 10.0, clock: Callable[[], float] = time.perf_counter
) -> Queue:
    return Queue(LoadCounts(Cells(), "short"), under_way=under_way, queue=queue, queue_s=queue_s, clock=clock)


class _Caller:
    """Enters as soon as it may; ``order`` gets its name then."""

    def __init__(self, to: Queue, tenant: str, order: list[str]) -> None:
        self.tenant, self._queue, self._order = tenant, to, order
        self.task = asyncio.ensure_future(self._enter())

    async def _enter(self) -> None:
        await self._queue.enter(self.tenant)
        self._order.append(self.tenant)

    @property
    def refused(self) -> str:
        error = self.task.exception() if self.task.done() and not self.task.cancelled() else None
        return error.reason if isinstance(error, Overloaded) else ""


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run(test: Callable[[list[str]], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test([])

    asyncio.run(whole())


def test_as_many_as_may_go_on_at_once_the_next_when_one_leaves() -> None:
    async def test(order: list[str]) -> None:
        line = queue(under_way=2)
        callers = [_Caller(line, name, order) for name in "abc"]
        await _settle()
        assert order == ["a", "b"]
        line.leave()
        await _settle()
        assert order == ["a", "b", "c"]
        assert all(caller.task.done() for caller in callers)

    run(test)


def test_where_the_queue_is_full_the_next_is_refused_at_once() -> None:
    async def test(order: list[str]) -> None:
        line = queue(queue=2)
        callers = [_Caller(line, "a", order) for _ in range(4)]
        await _settle()
        assert [caller.refused for caller in callers] == ["", "", "", "queue_full"]
        for _ in range(3):
            line.leave()
            await _settle()
        assert order == ["a"] * 3

    run(test)


def test_nobody_waits_longer_than_the_bound() -> None:
    async def test(order: list[str]) -> None:
        line = queue(queue_s=0.02)
        callers = [_Caller(line, "a", order) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert [caller.refused for caller in callers] == ["", "queue_time", "queue_time"]
        line.leave()
        await _settle()
        assert order == ["a"]
        again = _Caller(line, "a", order)
        await _settle()
        assert not again.refused
        assert order == ["a", "a"]

    run(test)


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """Requests end 20 s apart: of a wait of more than 100 s the sixth in the queue is told beforehand."""

    async def test(order: list[str]) -> None:
        now = 0.0
        line = queue(queue=100, queue_s=100, clock=lambda: now)
        callers = [_Caller(line, "a", order) for _ in range(4)]
        await _settle()
        for _ in range(60):
            now += 20
            line.leave()
            callers.append(_Caller(line, "a", order))
            await _settle()
        assert not any(caller.refused for caller in callers)
        more = [_Caller(line, "a", order) for _ in range(4)]
        await _settle()
        assert [caller.refused for caller in more] == ["", "", "queue_time", "queue_time"]

    run(test)


def test_a_server_that_was_slow_for_a_while_lets_requests_in_again() -> None:
    async def test(order: list[str]) -> None:
        now = 0.0
        line = queue(queue=10, queue_s=100, clock=lambda: now)
        callers = [_Caller(line, "a", order) for _ in range(4)]
        await _settle()
        for _ in range(3):
            now += 5000  # a disk that stalls
            line.leave()
            await _settle()
        callers = [_Caller(line, "a", order) for _ in range(2)]
        await _settle()
        assert [caller.refused for caller in callers] == ["", "queue_time"]
        for _ in range(100):  # fast again, with one waiting at any time
            line.leave()
            callers.append(_Caller(line, "a", order))
            await _settle()
        more = [_Caller(line, "a", order) for _ in range(9)]
        await _settle()
        assert not any(caller.refused for caller in more)

    run(test)


def test_tenants_take_turns() -> None:
    async def test(order: list[str]) -> None:
        line = queue(queue=10)
        callers = [_Caller(line, name, order) for name in ["", *"aaaa", *"bb", "c"]]
        await _settle()
        for _ in range(7):
            line.leave()
            await _settle()
        assert order == ["", *"abcabaa"]
        assert all(caller.task.done() for caller in callers)

    run(test)


def test_of_a_full_queue_the_tenant_with_most_gives_way() -> None:
    async def test(order: list[str]) -> None:
        line = queue(queue=4)
        many = [_Caller(line, "many", order) for _ in range(5)]
        await _settle()
        few = [_Caller(line, "few", order) for _ in range(3)]
        await _settle()
        assert [caller.refused for caller in few] == ["", "", "queue_full"]
        assert [caller.refused for caller in many] == ["", "", "", "queue_full", "queue_full"]
        for _ in range(4):
            line.leave()
            await _settle()
        assert order == ["many", "many", "few", "many", "few"]

    run(test)


@pytest.mark.parametrize("granted", [False, True])
def test_a_caller_who_goes_away_leaves_no_hole(granted: bool) -> None:
    async def test(order: list[str]) -> None:
        line = queue()
        _, second, third = (_Caller(line, name, order) for name in "abc")
        await _settle()
        if granted:
            line.leave()  # gives the turn to the one that is cancelled in the same step
        second.task.cancel()
        await _settle()
        if not granted:
            line.leave()
            await _settle()
        assert order == ["a", "c"]
        assert third.task.done()

    run(test)


@pytest.mark.parametrize("steps", range(4))
def test_a_caller_cancelled_at_any_step_leaves_its_place(steps: int) -> None:
    """Whatever it waits for at that moment: its turn, those that came before, its answer, or its sending."""
    line = queue(under_way=2)

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async def send(message: Message) -> None:
        await asyncio.sleep(0)

    async def receive() -> Any:
        raise AssertionError

    async def test(order: list[str]) -> None:
        scope: Any = {"type": "http", "path": "/v1/sequences", "state": {"seqplat.request_id": "x"}}
        for _ in range(4):
            task = asyncio.ensure_future(Shedding(handler, lambda _scope: (line, None))(scope, receive, send))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        callers = [_Caller(line, name, order) for name in "ab"]
        await _settle()
        assert order == ["a", "b"]
        assert all(caller.task.done() for caller in callers)

    run(test)


def test_a_caller_who_does_not_read_holds_no_place() -> None:
    """Sending is the caller's time, and comes after the work."""

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": False})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        raise AssertionError

    async def test(order: list[str]) -> None:
        line = queue()
        scope: Any = {"type": "http", "path": "/v1/sequences", "state": {"seqplat.request_id": "x"}}
        slow = asyncio.ensure_future(Shedding(handler, lambda _scope: (line, None))(scope, receive, send))
        await _settle()
        caller = _Caller(line, "a", order)
        await _settle()
        assert caller.task.done()
        slow.cancel()

    run(test)


def worked(line: Queue, order: list[str], name: str, pieces: int) -> "asyncio.Task[None]":
    """A request of the tenant whose thread does its work in pieces; ``order`` gets the tenant's name for each."""

    async def handler(scope: Scope, _receive: Receive, send: Send) -> None:
        turn = turn_of(scope)

        def work() -> None:
            for _ in range(pieces):
                order.append(name)
                time.sleep(0.005)
                turn.pass_on()

        await asyncio.to_thread(work)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(_message: Message) -> None: ...

    async def receive() -> Any:
        return await asyncio.Event().wait()

    caller = SimpleNamespace(tenant=name)
    scope: Any = {"type": "http", "path": "/v1/batch", "state": {"seqplat.request_id": "x", "caller": caller}}
    return asyncio.ensure_future(Shedding(handler, lambda _scope: (line, 9.0))(scope, receive, send))


def test_between_two_pieces_of_long_work_another_tenant_is_let_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.admission.queue.SLICE_S", 0.0)

    async def test(order: list[str]) -> None:
        line = queue(queue=10)
        await line.enter("first")
        tasks = [worked(line, order, name, pieces) for name, pieces in (("a", 3), ("a", 2), ("b", 1), ("c", 2))]
        await _settle()
        line.leave()
        await asyncio.gather(*tasks)
        # Who had nothing goes on before who had a piece, and who had one before the fourth of another.
        assert order[:3] == ["a", "b", "c"]
        assert "c" in order[3:6]
        assert sorted(order) == [*"aaaaabcc"]
        await line.enter("last")  # nothing is held

    run(test)


def test_turns_go_to_the_tenant_that_had_least() -> None:
    """However many of another wait: one that asks for little does not stand behind it."""

    async def test(order: list[str]) -> None:
        line = queue(queue=50)
        await line.enter("busy")
        callers = [_Caller(line, "busy", order) for _ in range(6)]
        for _ in range(3):
            callers += [_Caller(line, "calm", order), _Caller(line, "calm", order)]
            await _settle()
            assert line.is_wanted("busy", 0.3)
            line.leave("busy", 1.0)
            await _settle()
            assert not line.is_wanted("calm", 0.1)
            line.leave("calm", 0.1)
            await _settle()
            assert order[-2:] == ["calm", "calm"]
            line.leave("calm", 0.1)
            await _settle()
            assert order[-1] == "busy"
        for caller in callers:
            caller.task.cancel()

    run(test)


def test_tenants_that_are_level_are_forgotten_and_none_that_is_ahead() -> None:
    shares = Shares()
    for number in range(10_000):
        shares.turn(f"passing {number}")
        shares.add(f"passing {number}", 0.001)
        shares.turn("stays")
        shares.add("stays", 1.0)
    assert len(shares._had) <= 3 * 256
    assert shares.of("stays") == 10_000.0
    assert shares.least(["stays", "passing 3", "passing 9999"]) == "passing 3"


def test_who_was_alone_does_not_pay_for_it_when_another_comes() -> None:
    async def test(order: list[str]) -> None:
        line = queue(queue=50)
        for _ in range(100):
            await line.enter("long here")
            line.leave("long here", 1.0)
        await line.enter("long here")
        callers = [_Caller(line, name, order) for name in ("new", "new", "new", "new", "long here")]
        await _settle()
        line.leave("long here", 0.2)
        for _ in range(4):
            await _settle()
            line.leave(order[-1], 0.2)
        await _settle()
        assert order == ["new", "new", "new", "long here", "new"]
        assert all(caller.task.done() for caller in callers)

    run(test)


def test_work_that_nobody_waits_for_ends_at_its_next_piece() -> None:
    async def test(order: list[str]) -> None:
        line = queue()
        began, gone = threading.Event(), asyncio.Event()

        async def handler(scope: Scope, _receive: Receive, _send: Send) -> None:
            turn = turn_of(scope)

            def work() -> None:
                began.set()
                while True:
                    time.sleep(0.001)
                    turn.pass_on()

            await asyncio.to_thread(work)

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_message: Message) -> None: ...

        scope: Any = {"type": "http", "path": "/v1/batch", "state": {"seqplat.request_id": "x"}}
        task = asyncio.ensure_future(Shedding(handler, lambda _scope: (line, 9.0))(scope, receive, send))
        await asyncio.to_thread(began.wait)
        gone.set()
        with pytest.raises(Abandoned):
            await task
        await line.enter("a")

    run(test)


def test_who_is_not_let_on_again_goes_on_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that work may wait for what it holds."""
    monkeypatch.setattr("serving.admission.queue._AGAIN_S", 0.01)

    async def test(order: list[str]) -> None:
        line = queue()
        await line.enter("a")
        other = asyncio.ensure_future(line.enter("b"))
        await _settle()
        await line.again("a", 0.0)
        assert other.done()
        third = asyncio.ensure_future(line.enter("c"))
        for done in (False, True):
            line.leave()
            await _settle()
            assert third.done() is done or done is False
        assert third.done()

    run(test)


def test_answers_made_on_the_event_loop_are_bounded_as_well() -> None:
    """Fifty requests that arrive while the loop is busy, and whose handler never lets anybody else run."""
    sent = []

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        time.sleep(0.001)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    async def receive() -> Any:
        raise AssertionError

    async def fifty() -> None:
        line = queue(under_way=2, queue=3)
        shedding = Shedding(handler, lambda _scope: (line, None))
        scopes: list[Any] = [
            {"type": "http", "path": "/v1/sequences", "state": {"seqplat.request_id": "x"}} for _ in range(50)
        ]
        await asyncio.gather(*(shedding(scope, receive, send) for scope in scopes))

    asyncio.run(fifty())
    assert (sent.count(200), sent.count(503)) == (5, 45)


def test_far_beyond_capacity_some_are_answered_as_fast_as_ever_and_the_rest_at_once(home: Path) -> None:
    """Two at a time, and 40 callers. How fast the machine is tell two callers before, who never wait for each other."""
    with running(home, slow=True, api_under_way=2, api_queue=4, api_queue_ms=20_000) as server:
        calm = load(server, SLOW.format(50), callers=2, going_on=for_seconds(1.5))
        assert {reply.status for reply in calm} == {200}
        with ThreadPoolExecutor(3) as callers:
            until = for_seconds(1.5)
            flooding = callers.submit(load, server, SLOW.format(50), callers=40, going_on=until)
            probing = callers.submit(load, server, "/readyz", callers=1, going_on=until, pause_s=0.02)
            scraping = callers.submit(load, server, "/metrics", callers=1, going_on=until, pause_s=0.2)
            flood = flooding.result()
            assert {reply.status for reply in [*probing.result(), *scraping.result()]} == {200}
        answered = [reply.seconds for reply in flood if reply.status == 200]
        shed = [reply for reply in flood if reply.status == 503]
        assert len(answered) + len(shed) == len(flood)
        assert len(shed) > len(answered)
        # Four wait, two at a time, behind two under way: three times what the calm ones took, not twenty times.
        assert share(answered, 0.5) < 8 * share([reply.seconds for reply in calm], 0.5)
        assert len(answered) > 0.4 * len(calm)
        assert share([reply.seconds for reply in shed], 0.5) < share(answered, 0.5)
        assert shed[0].headers["content-type"] == "application/problem+json"
        assert shed[0].headers["retry-after"] == "1"
        assert json.loads(shed[0].body)["type"] == "urn:seqplat:problem:overloaded"

        idle = b'seqplat_requests_under_way{lane="short"} 0.0'
        eventually(lambda: idle in server.get("/metrics").body, server)
        after = load(server, SLOW.format(50), callers=2, going_on=for_seconds(0.5))
        assert {reply.status for reply in after} == {200}
        told = [line for line in json_lines(server) if line.get("logger") == "serving.admission.queue"]
        assert len(told) == 1


def test_a_tenant_that_floods_the_server_hardly_disturbs_another(home: Path) -> None:
    other = new_headers(home, "other", roles=("reader",))
    settings = {"api_under_way": 2, "api_queue": 16, "api_queue_ms": 20_000}
    with running(home, slow=True, **settings) as server, ThreadPoolExecutor(2) as callers:
        until = for_seconds(3)
        flooding = callers.submit(load, server, SLOW.format(50), callers=40, going_on=until)
        calm = callers.submit(load, server, SLOW.format(50), callers=1, going_on=until, headers=other).result()
        flood = [reply.seconds for reply in flooding.result() if reply.status == 200]
    assert {reply.status for reply in calm} == {200}
    # Behind all who wait it would take as long as they do, nine turns of 50 ms; its own turn is one of the next two.
    assert share([reply.seconds for reply in calm], 0.5) < 0.7 * share(flood, 0.5)

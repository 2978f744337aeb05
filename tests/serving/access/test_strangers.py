"""Refusals of unknown callers go out at a bounded rate, and hold up nobody who is known."""

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.access.authentication import Authentication
from serving.access.strangers import AT_ONCE, LONGEST_S, PER_S, Strangers
from serving.api.refusals import Unauthenticated

GAPS = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.3, 2.0]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(GAPS)
def test_in_no_second_more_go_out_than_may(gaps: list[float]) -> None:
    now, out = 0.0, []
    strangers = Strangers(per_s=10, at_once=5, clock=lambda: now)
    for gap in gaps:
        now += gap
        wait_s = strangers.wait_s()
        assert 0.0 <= wait_s <= LONGEST_S
        if wait_s < LONGEST_S:
            out.append(now + wait_s)
    for at in out:
        assert sum(at <= each < at + 1.0 for each in out) <= 5 + 10 + 1


def test_few_are_told_at_once_and_many_only_for_as_long_as_they_are_many() -> None:
    now = 0.0
    strangers = Strangers(clock=lambda: now)
    assert [strangers.wait_s() for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    waits = [strangers.wait_s() for _ in range(20_000)]
    assert 0.0 < waits[10] < waits[100] < waits[-1] == LONGEST_S
    now = LONGEST_S + 2 * AT_ONCE / PER_S
    assert strangers.wait_s() == 0.0


def test_who_has_a_key_does_not_wait_where_those_without_do() -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    quota = SimpleNamespace(admit=lambda _now: None, is_limited=False)
    access = SimpleNamespace(key=SimpleNamespace(roles=("reader",), id="a", tenant="t", grants={}), quota=quota)

    def known(presented: bytes, _now_s: float) -> Any:
        if presented != b"right":
            raise Unauthenticated("not a key")
        return access

    layer: Any = Authentication(
        answer,
        SimpleNamespace(authenticated=known),
        SimpleNamespace(note=lambda _line: None),  # type: ignore[arg-type]
    )

    async def ask(key: bytes, told: list[int]) -> None:
        scope = {"type": "http", "method": "GET", "path": "/v1/sequences/x/users/1", "client": None}
        state = {"seqplat.request_id": "r"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.append(message["status"])

        await layer({**scope, "state": state, "headers": [(b"authorization", b"Bearer " + key)]}, None, send)

    async def whole() -> None:
        told: list[int] = []
        wrong = [asyncio.create_task(ask(b"wrong", told)) for _ in range(3 * AT_ONCE)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = len(told)
        assert AT_ONCE <= refused < 2 * AT_ONCE  # the others wait
        assert not all(task.done() for task in wrong)
        answered: list[int] = []
        await ask(b"right", answered)
        assert answered == [200]
        for task in wrong:
            task.cancel()

    asyncio.run(whole())


def test_one_who_goes_away_before_it_is_told_is_in_the_log_all_the_same() -> None:
    def unknown(_presented: bytes, _now_s: float) -> Any:
        raise Unauthenticated("not a key")

    lines: list[Any] = []
    layer: Any = Authentication(
        None,  # type: ignore[arg-type]
        SimpleNamespace(authenticated=unknown),  # type: ignore[arg-type]
        SimpleNamespace(note=lines.append),  # type: ignore[arg-type]
    )

    async def gone(_message: Any) -> None:
        raise ConnectionError

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "path": "/v1/sequences", "client": None, "headers": []}
        state = {"seqplat.request_id": "r"}
        await layer({**scope, "state": state, "headers": [(b"authorization", b"Bearer x")]}, None, gone)

    async def whole() -> None:
        asked = [asyncio.create_task(ask()) for _ in range(3 * AT_ONCE)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not asked[-1].done()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(whole())
    assert [line.refused for line in lines] == ["not a key"] * (3 * AT_ONCE)

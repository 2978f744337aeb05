"""Explanations that do not come to an end."""

import asyncio
import threading
from typing import Any

import pytest

from seqplat_resources.clock import Deadline
from serving.explain import deadline
from serving.explain.deadline import Explainer, TooSlow


def test_one_that_hangs_is_given_up_and_others_are_refused_until_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_OVERTIME_S", 0.01)
    storage_answers, made = threading.Event(), []
    explanation: Any = object()

    def hanging() -> Any:
        storage_answers.wait()
        made.append("first")

    def quick() -> Any:
        made.append("next")
        return explanation

    async def test() -> None:
        explained = Explainer()
        async with explained.running():
            for each in (hanging, quick):
                with pytest.raises(TooSlow) as refused:
                    await explained.made(each, Deadline.after(0.02))
                assert refused.value.problem.status == 503
            storage_answers.set()
            assert await explained.made(quick, Deadline.after(60)) is explanation
        assert made == ["first", "next"]  # what was refused before it was begun was not made at all

    asyncio.run(test())


def test_the_last_one_is_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_OVERTIME_S", 0.0)
    begun, ended = threading.Event(), []

    def slow() -> Any:
        begun.wait()
        ended.append(True)

    async def test() -> None:
        explained = Explainer()
        async with explained.running():
            with pytest.raises(TooSlow):
                await explained.made(slow, Deadline.after(0.01))
            begun.set()
        assert ended == [True]

    asyncio.run(test())

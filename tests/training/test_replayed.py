"""What was answered at a time, what is answered ``as_of`` it, the row of a training set and plain Python are the same:
with late, corrected, moved and retracted events, before batch, after it, after days were built again, after upkeep."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.budget import examples
from tests.online_stores import empty_store
from tests.training.replay import DAYS, Asked, Given, Replay, sayings, steps

FEW = settings(max_examples=examples(4), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
stories = st.tuples(sayings(), st.lists(steps, min_size=3, max_size=8)).map(lambda told: [("say", told[0]), *told[1]])


def check(replay: Replay, *, built: bool) -> None:
    """Every answer that was given, asked for again; where all days are ``built``, of a training set as well."""
    newest, by_question = replay.newest_published, defaultdict[Asked, list[Given]](list)
    for each in replay.given:
        by_question[each.asked].append(each)
        assert each.rows == replay.expected(each, newest=each.newest), ("the answer of then", each)
        # A window is counted back from the newest day that is published, which it may not have been then.
        assert replay.as_of(each) == replay.expected(each, newest=newest), ("as_of", each)
    for asked, of_question in by_question.items() if built else ():
        rows = replay.training_rows(asked, [each.at for each in of_question])
        for each in of_question:
            assert rows[each.at] == replay.expected(each, newest=newest), ("the training set", each)


def tell(store_kind: str, story: list[tuple[str, Any]], overlap: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, empty_store(store_kind, Path(folder)) as store:
        replay = Replay(Path(folder), store, overlap)
        for kind, told in story:
            replay.act(kind, told)
        check(replay, built=False)
        replay.settle()
        check(replay, built=True)
        replay.act("batch", set(DAYS[2:]))
        replay.act("upkeep")
        check(replay, built=True)


@FEW
@given(stories, st.booleans())
def test_a_row_is_what_was_answered_then(story: list[tuple[str, Any]], overlap: bool) -> None:
    tell("lmdb", story, overlap)


@settings(FEW, max_examples=examples(1))
@given(stories)
def test_it_is_what_a_server_answered_then(story: list[tuple[str, Any]]) -> None:
    tell("redis", story, False)

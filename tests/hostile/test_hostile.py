"""The hostile campaign, short: each kind of hostile material alone, and a few worlds of every property."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.budget import examples
from tests.hostile.material import records, tables
from tests.hostile.material.draws import Seeded, strategy
from tests.hostile.material.meaning import NO, meaning
from tests.hostile.properties import PROPERTIES
from tests.hostile.shrink import Failure, shrunk, tried
from tests.hostile.worlds import alike, answered, files

FEW = settings(max_examples=examples(5), phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """What is logged of hostile input is not judged here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_each_kind_of_message_has_one_fate_and_harms_no_other(tmp_path: Path) -> None:
    """Every value of every kind in one stream, between sane messages."""
    draw, sent = Seeded(1), list[records.Record]()
    for kind, (dtypes, values) in tables.KINDS.items():
        for dtype in dtypes:
            sent += [records.of_value(draw, len(sent) + n, kind, dtype, value) for n, value in enumerate(values)]
    for kind in set(records.ALL_KINDS) - tables.KINDS.keys():
        sent += [records.hostile(draw, len(sent) + n, kind) for n in range(30)]
    sent += [records.sane(draw, len(sent) + n) for n in range(50)]
    PROPERTIES["messages"].play(sent, tmp_path)


def test_each_value_is_alike_in_all_formats(tmp_path: Path) -> None:
    alike.play(alike.EVERY, tmp_path)


@pytest.mark.parametrize("format_", list(files.ODD))
@pytest.mark.parametrize("sane_beside", [0, 2])
def test_each_odd_file_harms_no_other_and_is_noticed(format_: str, sane_beside: int, tmp_path: Path) -> None:
    for number, kind in enumerate(files.ODD[format_]):
        folder = tmp_path / str(number)
        folder.mkdir()
        beside = [files.sane_file(format_, n + 1) for n in range(sane_beside)]
        files.play([files.odd_file(format_, kind, 0), *beside], folder)


def test_every_cell_that_older_releases_stored_is_answered(tmp_path: Path) -> None:
    PROPERTIES["old store"].play(answered.odd_cells(), tmp_path)


@pytest.mark.parametrize("name", list(PROPERTIES))
@FEW
@given(data=st.data())
def test_a_few_worlds_of_each_property(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    steps = data.draw(strategy(PROPERTIES[name].make))
    PROPERTIES[name].play(steps, tmp_path_factory.mktemp("world"))


# ---- The generator itself -----------------------------------------------------------------------------------------


def test_a_seed_makes_the_same_world_again() -> None:
    for that in PROPERTIES.values():
        assert that.make(Seeded("x 1")) == that.make(Seeded("x 1"))


def test_every_kind_has_values_that_stand_or_values_that_do_not() -> None:
    """Each of both somewhere, or the tables would judge nothing."""
    judged = [meaning(dtype, value) for dtypes, values in tables.KINDS.values() for dtype in dtypes for value in values]
    assert sum(each == NO for each in judged) > 100
    assert sum(len(each) == 1 and each != NO for each in judged) > 100


def test_a_failing_story_is_made_small() -> None:
    def play(steps: Sequence[Any]) -> None:
        assert not {3, 11} <= set(steps), ("both", steps)

    failure = tried(play, range(20))
    assert isinstance(failure, Failure)
    assert shrunk(play, range(20), failure)[0] == [3, 11]

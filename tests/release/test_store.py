"""Releases and channels on every storage: immutable, compare-and-set, with a history, and never loaded damaged."""

import datetime as dt
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import ExecutorChanged
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseCorrupt, ReleaseNotFound, ReleaseStore
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release, dump, release_id
from sequence_defs.schema import Tenant
from tests.building import ManualClock
from tests.properties.clicks import click, clicks

REPOSITORY = Path(__file__).parents[2]
TRIES = 20


def release(text: str = "first") -> Release:
    """Releases that differ in a description only."""
    tenant = Tenant(name="shop", tenant="shop", description=text)
    return lower(Project((tenant, clicks(), click()), {"declarative": "0" * 16}))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(home: Home, clock: ManualClock) -> ReleaseStore:
    return ReleaseStore(home, clock)


def test_a_release_is_stored_under_its_content_once(store: ReleaseStore) -> None:
    name = store.put(release())
    assert store.put(release()) == name != store.put(release("second"))
    assert store.get(name).id == name
    assert dump(store.get(name).release) == dump(release())
    assert store.get(name[:6]).id == name


@pytest.mark.parametrize("name", ["0" * 64, "0" * 12, "abc"])
def test_a_release_that_is_not_there_is_named(store: ReleaseStore, name: str) -> None:
    store.put(release())
    with pytest.raises(ReleaseNotFound) as refused:
        store.get(name)
    assert repr(name) in str(refused.value)
    assert f"is not in {store.home.root}; run `seqplat publish` or check SEQPLAT_HOME" in str(refused.value)


def test_a_channel_that_was_never_published_to_is_named(store: ReleaseStore) -> None:
    assert store.history("prod") == []
    with pytest.raises(ReleaseNotFound, match="channel 'prod' is not in "):
        store.load("prod")
    environment = {**store.home.environment, "SEQPLAT_HOME": store.home.root, "SEQPLAT_CHANNEL": "prod"}
    with pytest.raises(ReleaseNotFound, match="channel 'prod' is not in "):
        Runtime.from_environment(environment)


def test_a_channel_keeps_its_history(store: ReleaseStore, clock: ManualClock) -> None:
    first, second = store.put(release()), store.put(release("second"))
    store.move("dev", first, by="ann", note="start")
    clock.time += dt.timedelta(hours=1)
    store.move("dev", second[:12], by="bob")
    store.move("prod", first, by="ann")
    assert [(m.number, m.release, m.moved_by, m.note) for m in store.history("dev")] == [
        (2, second, "bob", ""),
        (1, first, "ann", "start"),
    ]
    moved = [m.moved_at for m in store.history("dev")]
    assert moved == [clock.time, clock.time - dt.timedelta(hours=1)]
    assert (store.load("dev").id, store.load("prod").id) == (second, first)


def test_moving_to_where_a_channel_is_changes_nothing(store: ReleaseStore) -> None:
    name = store.put(release())
    assert store.move("dev", name, by="ann") == store.move("dev", name, by="bob")
    assert len(store.history("dev")) == 1


def test_rolling_back_goes_to_the_release_before_and_is_a_move(store: ReleaseStore) -> None:
    first, second = store.put(release()), store.put(release("second"))
    store.move("dev", first, by="ann")
    with pytest.raises(ReleaseNotFound, match="channel 'dev' has no earlier release to roll back to"):
        store.roll_back("dev", by="ann")
    store.move("dev", second, by="ann")
    back = store.roll_back("dev", by="bob")
    assert (back.number, back.release, back.moved_by, back.note) == (3, first, "bob", "roll back to move 1")
    assert store.roll_back("dev", by="bob").release == second  # and forth again


def test_rolling_back_a_channel_that_never_was_is_refused(store: ReleaseStore) -> None:
    with pytest.raises(ReleaseNotFound, match="channel 'dev'"):
        store.roll_back("dev", by="ann")


def test_a_decision_on_an_old_move_is_refused(store: ReleaseStore) -> None:
    names = [store.put(release(text)) for text in ("first", "second", "third")]
    store.move("dev", names[0], by="ann")
    store.move("dev", names[1], by="ann", expected=1)
    with pytest.raises(RecordConflict) as refused:
        store.move("dev", names[2], by="bob", expected=1)
    assert "record 2 of channels/dev was written by somebody else first" in str(refused.value)
    with pytest.raises(RecordConflict):
        store.move("dev", names[1], by="bob", expected=1)  # also where it would end where it is
    assert store.current("dev").number == 2


def test_of_concurrent_processes_each_move_has_one_winner(store: ReleaseStore) -> None:
    """Each process moves the channel on from what it saw; nobody's move is lost, and no number is used twice."""
    names = [store.put(release(text)) for text in ("first", "second")]
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.release.test_store", store.home.root, f"writer{n}", *names],
            cwd=REPOSITORY,
            env={"PATH": "", **store.home.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    won: list[tuple[int, str]] = []
    for number, child in enumerate(children):
        output, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
        won += [(move, f"writer{number}") for move in json.loads(output)]
    history = store.history("dev")
    assert [(m.number, m.moved_by) for m in reversed(history)] == sorted(won)
    assert [m.number for m in history] == list(range(len(history), 0, -1))
    # A move to where the channel is would be no move, so neighbours differ.
    assert all(one.release != other.release for one, other in pairwise(history))


@pytest.mark.parametrize("damage", [b"", b"{}", b"half"])
def test_a_damaged_release_is_never_loaded_or_pointed_at(store: ReleaseStore, damage: bytes) -> None:
    good, bad = store.put(release()), store.put(release("second"))
    store.move("dev", good, by="ann")
    path = f"releases/{bad}.json"
    content = bytes(store.home.objects.get(path).bytes())
    store.home.objects.put(path, content[: len(content) // 2] if damage == b"half" else damage)
    for attempt in (lambda: store.get(bad), lambda: store.move("dev", bad, by="ann")):
        with pytest.raises(ReleaseCorrupt) as refused:
            attempt()
        assert str(refused.value) == (
            f"release {bad[:12]} under {store.home.root} does not hash to its name; restore it or publish again"
        )
    assert store.load("dev").id == good
    assert store.put(release("second")) == bad  # publishing again mends it
    assert store.get(bad).id == bad


def test_a_release_of_another_format_is_refused(store: ReleaseStore) -> None:
    data = json.dumps({"format_version": 99}).encode()
    name = release_id(data)
    store.home.objects.put(f"releases/{name}.json", data)
    with pytest.raises(ReleaseCorrupt) as refused:
        store.get(name)
    assert "cannot be read: release format 99 is not readable here (this build reads 1)" in str(refused.value)


def test_a_release_compiled_with_other_code_is_loaded_but_not_run(store: ReleaseStore) -> None:
    """Reading it is safe (its other event types may run); its event type is refused by name."""
    loaded = store.get(store.put(release()))
    with pytest.raises(ExecutorChanged, match=f"executor 'declarative' has code .* was compiled with {'0' * 16}"):
        EventPlan.of(loaded, "click")


def _main(root: str, writer: str, *names: str) -> None:
    """Move a channel to and fro, each time deciding on what was seen; print the numbers of the moves that were made."""
    store, won = ReleaseStore(Home(root, {k: v for k, v in os.environ.items() if k.startswith("AWS_")})), []
    for _ in range(TRIES):
        seen = store.history("dev")
        target = names[1] if seen and seen[0].release == names[0] else names[0]
        try:
            won.append(store.move("dev", target, by=writer, expected=seen[0].number if seen else 0).number)
        except RecordConflict:
            continue
    sys.stdout.write(json.dumps(won))


if __name__ == "__main__":
    _main(*sys.argv[1:])

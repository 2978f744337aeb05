"""Event types on their way as a table: where each stands, what its verdict is worth now, and what comes next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import events
from seqplat_resources.health.filters import visible_row
from seqplat_resources.health.migration import migration
from seqplat_resources.health.view import MigrationRow
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.window import judged
from seqplat_resources.shadow.ladder.gate import _Subject
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Standing
from tests.shadow.world import DAYS, World, history, visit


def the_row(runtime: Runtime) -> MigrationRow:
    [found] = migration(runtime)
    return found


def test_a_row_follows_the_ladder_and_its_verdict(tmp_path: Path) -> None:
    world = World(tmp_path / "world", visit())
    runtime = world.build()
    new = the_row(runtime)
    assert (new.step, new.share, new.state, new.verdict) == ("shadow", 0.0, None, None)
    assert (new.next, "no verdict" in new.because) == ("seqplat shadow verdict visit", True)

    list(compare(runtime, "visit", DAYS))
    number = judged(runtime, "visit", until=DAYS[-1], who="ann").number
    held = the_row(runtime)
    assert (held.state, held.verdict, held.stale) == ("HOLD", number, False), "400 users prove little"
    assert held.needs_users
    assert held.blocking
    assert (held.limit is not None, held.next) == (True, "seqplat shadow verdict visit")

    ladder = Ladder(runtime.home, runtime.release.event_types["visit"])
    ladder.advance(by="ann", grounds=Grounds(override="a pilot"))
    ladder.advance(by="ann", grounds=Grounds(override="a pilot"))
    ladder.hold(by="bob", reason="wait for the review")
    moved = the_row(runtime)
    assert (moved.step, moved.share, moved.held, moved.next) == ("ab_10", 0.1, True, "seqplat cutover status visit")
    assert moved.stale, "the verdict was made before this step"

    ladder.hold(by="bob", reason="reviewed", resume=True)
    judged(runtime, "visit", until=DAYS[-1], who="ann")
    assert not the_row(runtime).stale
    list(events.build(runtime, "visit", DAYS[:1]))
    assert the_row(runtime).stale, "a side was built anew"

    record = Path(runtime.home.root) / "cutover" / "visit" / f"{ladder.standing().number:012d}.json"
    record.write_text("{")
    damaged = the_row(runtime)
    assert (damaged.step, damaged.state, record.name in damaged.because) == ("unknown", None, True)
    assert record.name not in visible_row(damaged, ()).because, "places of the home are for operators"


def test_what_a_sequence_of_others_says_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = World(tmp_path / "world", visit(), history).write()
    monkeypatch.setattr("seqplat_resources.shadow.ladder.gate._wrong_with", _only_sequences)
    row = the_row(runtime)
    assert (row.because_of, row.because) == (
        "history",
        "sequence 'history': worse; `seqplat shadow verdict history` makes another",
    )
    assert visible_row(row, {"history"}) == row
    assert "history" not in f"{visible_row(row, ())}".replace("events/", "")


def _only_sequences(subject: _Subject, _standing: Standing) -> Iterator[str]:
    yield from ["worse"] if subject.log.layer == SHADOW_SEQUENCES else []

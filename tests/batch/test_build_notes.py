"""A build whose process cannot be seen from here is known to be over as soon as it does not say that it goes on."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.batch.days.notes import BuildNotes
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.home import Home
from seqplat_resources.records.lease import TTL
from tests.building import ManualClock, days, eventually

DAYS = days(dt.date(2024, 5, 1), 2)
PATH = "ledger/raw/clicks/run.begun"


def change(home: Home, **fields: Any) -> None:
    """What the note says of its process; None takes a field away."""
    said = {**json.loads(Path(home.uri(PATH)).read_text()), **fields}
    Path(home.uri(PATH)).write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path), {})


@pytest.mark.parametrize(
    "elsewhere", [{"pids": "pid:[7]"}, {"host": "other"}, {"boot": "other"}, {"pids": ""}, {"started": None}]
)
def test_a_process_elsewhere_is_gone_when_its_note_was_not_renewed(home: Home, elsewhere: dict[str, Any]) -> None:
    clock = ManualClock()
    begun = BuildNotes(home, "raw/clicks", clock)
    begun.begin("run", DAYS)
    change(home, **elsewhere)
    clock.time += TTL - dt.timedelta(seconds=1)
    assert begun.broken_off([PATH]) == []
    clock.time += dt.timedelta(seconds=2)
    (left,) = begun.broken_off([PATH])
    assert left.days == set(DAYS)
    assert list(DayTroubles(home, clock).of("raw/clicks")) == DAYS
    begun.end("run")


@pytest.mark.parametrize(
    ("until", "is_over"), [(None, False), ("2034-01-01T00:00:00+00:00", True), ("2014-01-01T00:00:00+00:00", True)]
)
def test_a_note_holds_for_an_hour_at_most_whatever_it_says(home: Home, until: str | None, is_over: bool) -> None:
    clock = ManualClock()
    begun = BuildNotes(home, "raw/clicks", clock)
    begun.begin("run", DAYS)
    change(home, host="other", until=until)
    assert bool(begun.broken_off([PATH])) == is_over
    clock.time += dt.timedelta(hours=1)
    assert begun.broken_off([PATH])
    begun.end("run")


def test_a_note_is_renewed_until_the_days_are_judged(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqplat_resources.records.lease.EVERY_S", 0.02)
    clock = ManualClock()
    begun = BuildNotes(home, "raw/clicks", clock)
    begun.begin("run", DAYS)
    begun.begin("run", DAYS)  # a second attempt of the same step
    for _ in range(3):
        clock.time += TTL - dt.timedelta(seconds=1)
        eventually(lambda: (clock.time + TTL).isoformat() in Path(home.uri(PATH)).read_text())
    begun.end("run")
    assert not Path(home.uri(PATH)).exists()


def test_a_note_that_is_taken_away_does_not_come_back(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the build that ended, or, while it was paused, by whoever found it broken off."""
    monkeypatch.setattr("seqplat_resources.records.lease.EVERY_S", 0.0)
    begun = BuildNotes(home, "raw/clicks")
    for _ in range(40):
        begun.begin("run", DAYS)
        begun.end("run")
        assert not Path(home.uri(PATH)).exists()
    monkeypatch.setattr("seqplat_resources.records.lease.EVERY_S", 0.02)
    begun.begin("run", DAYS)
    Path(home.uri(PATH)).unlink()
    begun.begin("other", DAYS)
    other = Path(home.uri(PATH)).with_name("other.begun")
    first = other.read_text()
    eventually(lambda: other.read_text() != first)
    assert not Path(home.uri(PATH)).exists()
    for run in ("run", "other"):
        begun.end(run)

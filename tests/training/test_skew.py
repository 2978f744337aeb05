"""Differences that are planted between what was recorded and what was known, each found with its cause."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from seqplat_resources.release.query import QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import microseconds
from seqplat_resources.training.answered.skew import Skew, skew
from seqplat_resources.training.answered.write import RecordedAnswer, append_answers, packed
from serving.cli.main import root
from tests.building import utc
from tests.training.world import NOON, NOW, home

HOUR = dt.timedelta(hours=1)
AT, LATER = NOON + HOUR, NOON + 2 * HOUR
SEALED = utc(2024, 5, 2)


def event(event_id: str, **said: Any) -> dict[str, Any]:
    known = {"user_id": "ann", "event_type": "view", "event_time": NOON, "available_time": NOON, "offset": 0}
    return {"event_id": event_id, **known, **said}


def record(runtime: Runtime, *events: dict[str, Any], request: str = "r", **said: Any) -> None:
    """An answer with these events an hour past noon."""
    names = ("event_type", "event_id", "event_time", "rev", "source_partition", "offset")
    rows = [{"rev": 0, "source_partition": "p"} | each for each in events]
    revisions = packed(pl.DataFrame([{name: row[name] for name in names} for row in rows]))
    told = {"user": "ann", "at_us": microseconds(AT), "query": "{}", "sealed_through": SEALED} | said
    answer = RecordedAnswer(request, release=runtime.loaded.id, length=len(events), revisions=revisions, **told)
    append_answers(runtime.home, runtime.clock, runtime.release, "recent", [answer])


def found(runtime: Runtime) -> Skew:
    return skew(runtime, "recent", utc(2024, 5, 1), NOW)


A, B, LATE = event("a", offset=2), event("b", offset=1), event("late", available_time=LATER)
OLD = event("c", superseded_time=NOON + HOUR / 2)
NEW = event("c", rev=1, available_time=NOON + HOUR / 2)
DAMAGED = {"degraded": ("view: 1 damaged block left out (3)",)}
PLANTED: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any], dict[str, dict[str, int]]]] = {
    "nothing": ([A, B], [A, B], {}, {}),
    "nothing but what came later": ([A, LATE], [A], {}, {}),
    "missing": ([A, B], [A], {}, {"missing": {"unexplained": 1}}),
    "missing and not published": ([A, B], [A], {"sealed_through": NOON}, {"missing": {"not published yet": 1}}),
    "missing for damage": ([A, B], [A], DAMAGED, {"missing": {"damaged blocks": 1}}),
    "missing for the deadline": ([A, B], [A], {"partial": True}, {"missing": {"cut short by the deadline": 1}}),
    "known later": ([A, LATE], [A, LATE], {}, {"extra": {"known later": 1}}),
    "ahead": ([A], [event("x", event_time=LATER), A], {}, {"extra": {"ahead of its time": 1}}),
    "gone": ([A], [A, event("x")], {}, {"extra": {"not in the lake": 1}}),
    "not built": ([A], [A, event("x", event_time=utc(2024, 4, 2))], {}, {"extra": {"day not built": 1}}),
    "stale revision": ([NEW, OLD], [OLD], {}, {"revised": {"outranked before": 1}}),
    "later revision": ([A, event("a", rev=1, available_time=LATER)], [event("a", rev=1)], {}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_difference_has_its_cause(name: str, tmp_path: Path) -> None:
    stored, served, said, expected = PLANTED[name]
    if name == "later revision":  # of which the first one gave way when the second was known
        first = A | {"superseded_time": LATER}
        runtime = home(tmp_path, [event("a", rev=1, available_time=LATER)], [first])
        expected = {"revised": {"known later": 1}}
    else:
        runtime = home(tmp_path, [e for e in stored if e is not OLD], [e for e in stored if e is OLD])
    record(runtime, *served, **said)
    told = found(runtime)
    assert {
        what: {cause: n for cause, (n, _) in causes.items()} for what, causes in told.differences.items()
    } == expected
    assert (told.answers, told.equal, told.reordered) == (1, int(not expected), 0)


def test_an_order_that_differs_is_told(tmp_path: Path) -> None:
    runtime = home(tmp_path, [A, B])
    record(runtime, B, A)
    assert (found(runtime).equal, found(runtime).reordered) == (0, 1)


def test_what_a_late_event_pushes_out_of_a_full_answer_is_told_as_that(tmp_path: Path) -> None:
    """An answer that had one event too many lacks the oldest one."""
    events = [event(str(n), offset=9 - n) for n in range(3)]
    runtime = home(tmp_path, [*events, event("late", offset=20, available_time=LATER)])
    record(runtime, event("late", offset=20), *events[:2])
    assert found(runtime).differences == {
        "extra": {"known later": (1, 1)},
        "missing": {"beyond the length": (1, 1)},
    }


def test_answers_are_compared_by_what_was_asked(tmp_path: Path) -> None:
    runtime = home(tmp_path, [A, B, event("o", event_type="order", offset=3)])
    record(runtime, A, request="r1", query='{"event_types": ["view"], "limit": 1}')
    record(runtime, A, B, request="r2", query='{"event_types": ["view"]}')
    record(runtime, A, B, request="r3", query='{"event_types": ["gone"]}')
    told = found(runtime)
    assert (told.answers, told.equal, told.events) == (2, 2, 3)
    [(why, number)] = told.not_compared.items()
    assert (number, why.split(" (")[0]) == (1, 'to {"event_types": ["gone"]}, which cannot be asked now')


def test_users_without_events(tmp_path: Path) -> None:
    """Were rightly answered with none; of events that they were answered with nothing is known."""
    runtime = home(tmp_path, [A])
    record(runtime, request="r1", user="nobody")
    record(runtime, A, request="r2", user="nobody")
    told = found(runtime)
    assert (told.answers, told.equal) == (1, 1)
    assert told.not_compared == {"to users without any event in the lake": 1}


def ask(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, *flags: str) -> Result:
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    return CliRunner().invoke(root, ["skew", "recent", *flags])


def test_the_command_shows_it_and_its_exit_code_is_a_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = home(tmp_path, [A, B])
    record(runtime, A, B, request="good")
    record(runtime, A, request="bad")
    shown = ask(runtime, monkeypatch)
    assert shown.exit_code == 0, shown.output
    assert "missing  known, not served  unexplained       1        1" in shown.output
    assert "1 of 2 answers, of 3 events, are what as_known says" in shown.output
    assert "missing view b in request bad: unexplained" in shown.output
    told = json.loads(ask(runtime, monkeypatch, "--json").output)
    assert (told["share"], told["differences"]) == (0.5, {"missing": {"unexplained": [1, 1]}})
    codes = {most: ask(runtime, monkeypatch, "--most", most).exit_code for most in ("0.4", "0.5")}
    assert codes == {"0.4": 1, "0.5": 0}
    assert ask(runtime, monkeypatch, "--until", "2024-05-01", "--most", "1").exit_code == 2


def test_a_sequence_without_recorded_answers_says_how_to_have_some(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no answers of sequence 'recent' are recorded"):
        found(home(tmp_path, [A]))

"""``seqplat explain``: what a person sees."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqplat_resources.explain.position import AnotherUser, NotAPosition
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.sequence_plan import UnknownSequence
from serving.cli.ask.explain import explain
from tests.explain.world import DEFINITIONS, FILTERED, build, clicked, stream
from tests.stream.world import DAYS, TOPIC, Shop


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clicks in the answer, one of them twice, one that is filtered and one that is of event type big as well."""
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEQPLAT_ONLINE", raising=False)
    shop = Shop(tmp_path, LmdbStore(tmp_path / "home" / "online", sync=False), definitions=DEFINITIONS)
    with closing(shop.store):
        shop.say([clicked(1, 2), clicked(2, 2, amount=FILTERED), clicked(3, 2, amount=500)])
        shop.say([clicked(1, 2, received=clicked(9, 2)["received"])])
        stream(shop)
        build(shop)
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(explain, arguments, catch_exceptions=False)


def lines(result: Result) -> list[str]:
    return [line.rstrip() for line in result.output.splitlines() if line.strip()]


def test_the_last_lines_are_the_verdict_and_what_to_do_next() -> None:
    shown = lines(run("recent", "ann", "2"))
    assert shown[0] == f"event 2 (click, {DAYS[2]}) of user ann in recent"
    assert shown[-2] == (
        f"Not in the answer: {TOPIC}:0@1 is left out by the filter of event type click: amount <> {FILTERED} "
        f"(with amount = {FILTERED})."
    )
    assert shown[-1].startswith("next: seqplat check")


def test_every_station_is_a_row() -> None:
    names = [line.split()[0] for line in lines(run("recent", "ann", "1"))[2:-2]]
    assert names == [
        "raw",
        "made",
        "lateness",
        "deduplicated",
        "lake",
        "published",
        "online",
        *["window"] * 2,
        "answer",
    ]


def test_facts_are_shown_on_request() -> None:
    assert "high" not in run("recent", "ann", "1").output
    assert "read_to: 4" in run("recent", "ann", "1", "--facts").output


def test_other_event_types_of_the_same_id_are_named() -> None:
    assert (
        "also big, event of the same id: Not in the answer: big is not an event type"
        in run("recent", "ann", "3").output
    )
    assert "(big, " in run("recent", "ann", "3", "--type", "big").output


def test_without_an_event_the_recent_ones_are_listed() -> None:
    shown = lines(run("recent", "ann", "--limit", "3"))
    assert shown[0] == "3 newest event(s) of user ann"
    assert [line.split()[2:4] for line in shown[2:5]] == [["click", "3"], ["big", "3"], ["click", "2"]]
    assert shown[-1] == "next: seqplat explain recent ann 3"
    assert "nothing of user zoe was found" in run("recent", "zoe").output


def test_a_row_of_the_log_leads_to_its_user_and_event() -> None:
    shown = lines(run("recent", "--raw", f"{TOPIC}:0@3"))
    assert shown[0] == f"event 1 (click, {DAYS[2]}) of user ann in recent"
    assert shown[-3].startswith(f"This row ({TOPIC}:0@3) gave way to {TOPIC}:0@0, another copy of event 1.")
    with pytest.raises(AnotherUser):
        run("recent", "bob", "--raw", f"{TOPIC}:0@3")
    with pytest.raises(NotAPosition):
        run("recent", "--raw", "nonsense")


def test_json_is_the_explanation() -> None:
    found = json.loads(run("recent", "ann", "1", "--json").output)
    assert found["verdict"]["code"] == "in_answer"
    assert found["event"] == {"user_id": "ann", "event_id": "1", "event_type": "click", "day": str(DAYS[2])}
    assert set(found) == {"sequence", "release", "event", "verdict", "steps", "also"}  # as over HTTP
    assert [each["event"]["event_id"] for each in json.loads(run("recent", "ann", "--json").output)] == [
        "3",
        "3",
        "2",
        "1",
    ]


def test_a_row_nobody_knows_is_named_once() -> None:
    shown = lines(run("recent", "--raw", f"{TOPIC}:0@77"))
    assert shown[0] == f"row {TOPIC}:0@77 in recent"
    assert shown[2].split(maxsplit=3) == ["raw", "not", "read", "the stream is at 4"]
    assert shown[3] == f"The stream has not read {TOPIC}:0@77 yet: it is at 4."
    assert lines(run("recent", "--raw", "elsewhere@1"))[-3] == "No table has elsewhere@1."


def test_ids_are_quoted_in_commands_to_go_on_with(home: Path) -> None:
    assert "next: seqplat get recent 'a b;rm'" in run("recent", "a b;rm").output
    assert "next: seqplat explain recent '[x]'    # this user's events" in run("recent", "[x]", "1").output
    assert "next: seqplat explain -- recent -5    # this user's events" in run("--", "recent", "-5", "1").output


def test_days_are_dates() -> None:
    assert "--day DATE" in run("--help").output
    assert "'today' is no day; write it as 2027-01-31" in run("recent", "ann", "--day", "today").output


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownSequence):
        run("recnt", "ann", "1")
    assert "name a USER" in run("recent").output


def test_a_home_without_an_online_store_is_said(home: Path) -> None:
    (home / "online").rename(home / "gone")
    result = run("recent", "ann", "1")
    assert "not known here, because there is no online store here" in result.output
    assert "the answer is not known here" in result.output

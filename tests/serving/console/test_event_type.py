"""The page of an event type on its way from legacy: what led to where it stands, and who may see users."""

from pathlib import Path

from seqplat_resources.home import Home
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.record import Example, VerdictLog
from sequence_defs.schema import Sequence
from tests.serving.console.conftest import Open
from tests.serving.console.test_pages import Page
from tests.serving.keys import headers, new_key
from tests.shadow.verdict.samples import TODAY, verdict
from tests.shadow.world import World, visit

USER, MARKUP = "u-4711", "<script>alert(1)</script> \u202e"
PATH = "/console/event-types/visit"
RECENT = Sequence(name="recent", event_types=("visit",), columns=("page",), length=9, tenant="shop", owner="team:shop")


def test_an_event_type_is_accounted_for_and_users_are_shown_to_its_own(tmp_path: Path, browse: Open) -> None:
    runtime = World(tmp_path, visit(), RECENT).write()
    event_type = runtime.release.event_types["visit"]
    cohort = Cohort("client", MARKUP, 30, 1_000, 10, 9_000, 0.00012, (USER,))
    record = verdict(
        event_type="visit", who=MARKUP, cohorts=(cohort,), examples=(Example(USER, "e-1", "late", MARKUP),)
    )
    VerdictLog(runtime.home, "visit").append(record)
    ladder = Ladder(runtime.home, event_type)
    ladder.advance(by=MARKUP, grounds=Grounds(override=MARKUP))
    accepted = AcceptedDifference("differs_score", 0.05, TODAY.replace(year=2099), "team:shop", MARKUP)
    AcceptedDifferences(runtime.home, "visit").accept(accepted, by="ana")
    home = Path(runtime.home.root)
    own = headers(new_key(home, "shop", roles=("reader",)))
    some = headers(new_key(home, "shop", roles=("operator",)))
    none = headers(new_key(home, "shop", roles=("reader",), reads_own=False))
    browser = browse(home)
    answer = browser.get(PATH, headers=own)
    page = Page(answer.content)
    assert answer.status_code == 200
    for said in (
        "visit ",
        "ab_1",
        "late",
        "66.7 %",
        "differs_score",
        "5 %",
        "override:",
        "Verdict 1 of 2026-11-20 09:30 UTC",
    ):
        assert said in page.text, said
    assert page.text.count("<script>alert(1)</script> \\u202e") >= 5
    assert f"seqplat explain recent {USER} e-1" in page.text
    assert PATH in {
        found.get("href") for found in Page(browser.get("/console/migration", headers=own).content).all("a")
    }
    without = browser.get(PATH, headers=some)
    assert (without.status_code, USER in without.text, "late" in without.text) == (200, False, True)
    assert browser.get(PATH, headers=none).status_code == 404


def test_what_is_damaged_costs_its_own_part_and_shows_no_path(tmp_path: Path, browse: Open) -> None:
    runtime = World(tmp_path, visit(), RECENT).write()
    home = Path(runtime.home.root)
    VerdictLog(runtime.home, "visit").append(verdict(event_type="visit"))
    for record in (home / "shadow" / "visit").rglob("*.json"):
        record.write_bytes(b"{}")
    reader, operator = (headers(new_key(home, "shop", roles=roles)) for roles in (("reader",), ("operator",)))
    browser = browse(home)
    mine, theirs = browser.get(PATH, headers=reader), browser.get(PATH, headers=operator)
    assert (mine.status_code, theirs.status_code) == (200, 200)
    assert "Not everything could be read" in mine.text
    assert "no verdict record" in theirs.text
    assert "no verdict record" not in mine.text.partition('id="verdict"')[0].partition("Not everything")[2]
    assert Home(runtime.home.root, {}).root not in mine.text

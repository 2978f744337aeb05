"""Pages over what checks really kept: what each key sees of it, and what people say of incidents."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqplat_resources.batch.backfill.records import BackfillRecord, BackfillRecords
from seqplat_resources.health.results import Built, CheckVerdict, Results
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Tenant
from serving.cli.main import root
from tests.building import ManualClock, utc
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, shop
from tests.serving.console.conftest import OWN, Browser, Open
from tests.serving.console.test_pages import Page
from tests.serving.keys import headers, new_key

PARTNER = {"tenant": "partner", "owner": "team:zebra"}
END = {"end": DAYS[-1] + dt.timedelta(days=1)}
SOURCE = CLICKS.model_copy(update=END)
VISITS = CLICKS.model_copy(update={"name": "visits", **PARTNER, **END})
VISIT = CLICK.model_copy(update={"name": "visit", "source": "visits", **PARTNER})
WHY = '<script>alert("zebra")</script> \u202e' + "x" * 900
# Words of the partner's alone.
THEIRS = ("visit", "zebra", "partner")


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A shop whose clicks pass, and a partner whose visits are refused, for hostile reasons."""
    clock = ManualClock(utc(2024, 5, 6, 12))
    made = shop(tmp_path, Tenant(name="partner", **PARTNER), VISITS, VISIT, source=SOURCE, clock=clock)
    told = [
        CheckVerdict("events/visit", "rejects", DAYS[0], "warn", 0.5, 0.01, WHY, {"rows_read": 812.0}, mark=1),
        CheckVerdict("events/visit", "schema", DAYS[0], "pass", 0.0, 0.0, mark=1),
        CheckVerdict("events/click", "rejects", DAYS[0], "fail", 0.7, 0.01, "7 of 10", mark=1),
    ]
    built = lambda: [Built(f"events/{name}", DAYS[0], 1) for name in ("click", "visit")]  # noqa: E731
    Results(made.home, made.clock).record(told, built=built, run="run-1", release=made.loaded.id)
    return made


def links(browser: Browser, sent: dict[str, str], path: str = "/console") -> set[str]:
    page = browser.get(path, headers=sent)
    assert page.status_code == 200, page.text
    return {found.get("href") or "" for found in Page(page.content).all("a")}


def test_a_key_sees_no_row_reason_owner_or_count_of_others(runtime: Runtime, browse: Open) -> None:
    home = Path(runtime.home.root)
    mine = headers(new_key(home, "shop", roles=("reader",)))
    theirs = headers(new_key(home, "partner", roles=("reader",)))
    all_ = headers(new_key(home, "shop", roles=("operator",)))
    none = headers(new_key(home, "shop", roles=("reader",), reads_own=False))
    browser = browse(home)
    page = browser.get("/console", headers=mine)
    # In the address of a filter a word may come back, as it was sent.
    assert [word for word in THEIRS if word in page.text] == []
    assert "7 of 10" in page.text
    counts = {who: browser.get("/console", headers=sent).text for who, sent in (("all", all_), ("none", none))}
    assert "0 of 7 healthy" in counts["all"]
    assert "0 of 4 healthy" in page.text
    assert "0 of 0 healthy" in counts["none"]
    incidents = {each for each in links(browser, all_) if each.startswith("/console/incidents/")}
    of_mine = {each for each in links(browser, mine) if each.startswith("/console/incidents/")}
    checks = f"/console/checks/events/visit/rejects?day={DAYS[0]}"
    assert of_mine < incidents
    for path in [*(incidents - of_mine), checks, "/console/event-types/visit"]:
        there, not_there = browser.get(path, headers=mine), browser.get(path.replace("visit", "no"), headers=mine)
        assert there.status_code == not_there.status_code == 404
        assert there.text.replace("visit", "no") == not_there.text, path
    for path in [*incidents, checks]:
        assert browser.get(path, headers=all_).status_code == 200
    for path in incidents - of_mine:
        for what in ("acknowledge", "mute"):
            form = {"because": "mine now", "until": str(dt.datetime.now(dt.UTC).date())}
            assert browser.post(f"{path}/{what}", data=form, headers=mine).status_code == 404
    assert browser.get(checks, headers=theirs).status_code == 200
    filtered = browser.get("/console?owner=team:zebra&status=warn", headers=mine)
    assert "No check is left by these filters" in filtered.text


def test_what_several_tenants_share_is_told_to_each_as_far_as_it_is_theirs(runtime: Runtime, browse: Open) -> None:
    home = Path(runtime.home.root)
    why = "no file matches zebra.csv below /data/partner"
    waits = CheckVerdict("events/click", "schema", DAYS[1], "unjudged", because=why, root="raw/visits")
    cause = CheckVerdict("raw/visits", "rejects", DAYS[1], "unjudged", because=why, root="raw/visits")
    Results(runtime.home, runtime.clock).record([waits, cause], run="run-2", release=runtime.loaded.id)
    mine, all_ = headers(new_key(home, "shop", roles=("reader",))), headers(new_key(home, "shop", roles=("operator",)))
    browser = browse(home)

    def titles(sent: dict[str, str]) -> dict[str, dict[str, object]]:
        return {each["id"]: each for each in browser.get("/v1/checks", headers=sent).json()["incidents"]}

    def say(incident: str, what: str, sent: dict[str, str], **said: str) -> int:
        return browser.post(f"/v1/checks/incidents/{incident}/{what}", headers=sent, json=said).status_code

    of_all, of_mine = titles(all_), titles(mine)
    [never] = [id_ for id_, each in of_all.items() if "never ran" in str(each["title"])]
    [elsewhere] = [id_ for id_, each in of_all.items() if each["asset"] == "raw/visits"]
    for seen, assets in ((of_all, 7), (of_mine, 4)):
        assert seen[never]["title"] == f"{len(seen[never]['touches'])} check(s) of {assets} asset(s) never ran"  # type: ignore[arg-type]
    texts = browser.get("/v1/checks", headers=mine).text + browser.get("/console", headers=mine).text
    assert [word for word in THEIRS if word in texts] == []
    until = str(dt.datetime.now(dt.UTC).date())
    for incident in (never, elsewhere):
        assert say(incident, "mute", mine, because="mine", until=until) == 403
        assert say(incident, "acknowledge", mine, because="mine") == 403
        assert say(incident, "acknowledge", all_, because="zebra delivers at noon") == 200
    known = browser.get("/v1/checks", headers=mine)
    assert "zebra" not in known.text
    assert all(each["needs_you"] is (id_ not in (never, elsewhere)) for id_, each in titles(mine).items())


def test_a_cell_has_a_page_with_all_that_is_kept_of_it(runtime: Runtime, browse: Open) -> None:
    home = Path(runtime.home.root)
    sent = headers(new_key(home, "partner", roles=("reader",)))
    browser = browse(home)
    day = f"/console/checks/events/visit/rejects?day={DAYS[0]}"
    assert day in links(browser, sent)
    page = Page(browser.get(day, headers=sent).content)
    assert '<script>alert("zebra")</script> \\u202e' + "x" * 900 in page.text, "the whole reason"
    assert "0.5" in page.text
    assert "0.01" in page.text
    assert "rows_read 812" in page.text
    assert f"seqplat materialize {DAYS[0]} {DAYS[0]} events/visit" in page.text
    bad = browser.get("/console/checks/events/visit/rejects?day=yesterday", headers=sent)
    assert (bad.status_code, "send a day" in bad.text) == (400, True)
    assert browser.get("/console/checks/events/visit/rejects?day=1999-01-01", headers=sent).status_code == 200


def test_whoever_knows_says_so_by_a_form(runtime: Runtime, browse: Open) -> None:
    home = Path(runtime.home.root)
    sent = {**headers(new_key(home, "shop", roles=("reader",), name="<b>ana</b>")), **OWN}
    browser = browse(home)
    first = browser.get("/console", headers=sent).text
    path = next(each for each in sorted(links(browser, sent)) if each.startswith("/console/incidents/"))
    assert browser.post(f"{path}/acknowledge", data={"because": " "}, headers=sent).status_code == 400
    said = browser.post(f"{path}/acknowledge", data={"because": "<i>the file comes at noon</i>"}, headers=sent)
    assert (said.status_code, said.headers["location"]) == (303, path)
    page = Page(browser.get(path, headers=sent).content)
    assert "Acknowledged by <b>ana</b>" in page.text
    assert "<i>the file comes at noon</i>" in page.text
    after = browser.get("/console", headers=sent).text
    assert "1 acknowledged or muted" in after
    assert "1 acknowledged or muted" not in first
    until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2)
    for given, status in ((str(until), 303), ("2020-01-01", 400), ("9999-12-31", 400), ("soon", 400), ("", 400)):
        muted = browser.post(f"{path}/mute", data={"because": "known", "until": given}, headers=sent)
        assert muted.status_code == status, given
    assert f"Muted until {until}" in browser.get(path, headers=sent).text


def test_the_file_has_everything_and_needs_nothing(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    file = tmp_path / "checks.html"
    ran = CliRunner().invoke(root, ["console", "export", str(file)])
    assert ran.exit_code == 0, ran.output
    page = Page(file.read_bytes())
    assert file.stat().st_mode & 0o777 == 0o600
    assert {each["href"] for each in page.all("a") if each.get("href")} <= {"#main", "#checks", "#migration"}
    assert page.all("link") == []
    assert page.all("meta")[-1]["content"].startswith("default-src 'none'")  # type: ignore[union-attr]
    assert "events/visit" in page.text
    assert "7 of 10" in page.text
    part = CliRunner().invoke(root, ["console", "export", "-", "--tenant", "shop", "--status", "fail"])
    assert part.exit_code == 0
    assert "7 of 10" in part.stdout
    assert [word for word in THEIRS if word in part.stdout] == []


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--owner", "TEAM:ZEBRA"), 1, "need you"),
        (("--owner", "team:zerba"), 2, "no check has owner 'team:zerba'; there are: team:shop, team:zebra"),
        (("--tenant", "shop", "--check", "rejets"), 2, "no check has check 'rejets'"),
        (("--owner", "team:zebra", "--tenant", "shop"), 2, "no check has all of these filters"),
        (("--owner", "team:zebra", "--status", "stale"), 0, "0 need you"),
    ],
)
def test_a_filter_of_a_name_that_is_misspelled_is_no_good_news(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    ran = CliRunner().invoke(root, ["checks", *given])
    assert (ran.exit_code, said in ran.output) == (code, True), ran.output


def test_backfills_are_shown_to_who_runs_the_installation(runtime: Runtime, browse: Open) -> None:
    """One that is at work, with a bar, who asked for it and what ends it; and one that was."""
    home, records = Path(runtime.home.root), BackfillRecords(runtime.home)
    asked = BackfillRecord(
        "1f9ad7", "events/click", "2024-05-01", "2024-05-05", "7f9a", "2024-06-01T10:00:00", total=20
    )
    records.begin(replace(asked, by="ann", done=7, under_way=2, spent_s=60.0, remaining_s=600.0))
    records.put(replace(asked, id="22aa00", state="failed", failures=(WHY,)))
    operator, reader = (headers(new_key(home, "shop", roles=(role,))) for role in ("operator", "reader"))
    browser = browse(home)
    page = browser.get("/console/backfills", headers=operator)
    read = Page(page.content)
    assert [(bar["value"], bar["max"]) for bar in read.all("progress")] == [("9", "20")]
    for said in ("45 %, 9 of 20 days; 10 min left at 7 days a minute", "by ann", "--cancel 1f9ad7", "failed"):
        assert said in read.text, read.text
    assert "/console/backfills" in links(browser, operator)
    assert "/console/backfills" not in links(browser, reader)
    assert browser.get("/console/backfills", headers=reader).status_code == 404

"""The session that a user is in, asked online, is the one that the table has once the day is built."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings

from seqplat_resources.batch.builds import sessions
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read import sessions as reading
from seqplat_resources.read.sessions import CurrentSessions, current_sessions
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.sessions import OPEN
from tests.batch.test_sessions import BOTS, DAY, DAYS, EVENTS, definitions, put, read
from tests.building import ManualClock, runtime_for, utc
from tests.rules.sessions_oracle import Event


def shop(folder: Path, events: list[Event], clock: ManualClock, **view: object) -> Runtime:
    runtime = runtime_for(folder, definitions(**view), clock=clock)
    put(runtime, events, DAYS)
    with closing(open_online_store(runtime.home)) as store:
        for name in ("click", "order"):
            list(publish(runtime, store, name, DAYS))
    return runtime


def asked(runtime: Runtime, user: str) -> CurrentSessions:
    plan = ViewPlan.of(runtime.loaded, "sessions/visit")
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        return current_sessions(plan, plan.events_plan(runtime.loaded), store, user, clock=runtime.clock)


@given(EVENTS, BOTS)
@settings(max_examples=10)
def test_the_last_session_is_that_of_the_table(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], bot: list[Event]
) -> None:
    """Also of a bot, whose session began in a chain of more events than the first look has."""
    clock = ManualClock(utc(2024, 6, 1))
    runtime = shop(tmp_path_factory.mktemp("home"), [*events, *bot], clock, scope=None)
    list(sessions.build(runtime, "visit", DAYS))
    rows = read(runtime).drop("day", "rev", "op", "superseded_by")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FIRST_LOOK", 4)
        for user in ("a", "b", "bot"):
            found, of_user = asked(runtime, user), rows.filter(user_id=user)
            assert found.is_whole
            assert found.sessions.height == min(1, of_user.height)
            assert set(found.sessions.rows()) <= set(of_user.rows())
            assert not of_user.height or found.sessions["end_time"].max() == of_user["end_time"].max()


def test_each_scope_has_an_open_session_and_what_is_over_is_not_shown_beside_it(tmp_path: Path) -> None:
    at = 4 * DAY + 43_200
    events = [Event("a", at - 7200, "0"), Event("a", at, "1", scope="web"), Event("a", at + 60, "2", scope="app")]
    runtime = shop(tmp_path, events, ManualClock(utc(2024, 5, 5, 12, 10)))
    found = asked(runtime, "a").sessions
    assert found.select("scope", "state").rows() == [("app", OPEN), ("web", OPEN)]


def test_a_scope_that_is_personal_data_is_not_shown(tmp_path: Path) -> None:
    runtime = shop(tmp_path, [Event("a", 0, "0", scope="web")], ManualClock(utc(2024, 6, 1)))
    plan = ViewPlan.of(runtime.loaded, "sessions/visit")
    (scope,) = plan.told_by
    personal = replace(plan, reads={**plan.reads, scope: plan.reads[scope].model_copy(update={"pii": True})})
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        found = current_sessions(personal, plan.events_plan(runtime.loaded), store, "a", clock=runtime.clock)
    assert found.sessions.height == 1
    assert "scope" not in found.sessions.columns


def test_a_session_of_more_events_than_are_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = [Event("a", at, f"{at}") for at in range(0, 12_000, 600)]
    runtime = shop(tmp_path, bot, ManualClock(utc(2024, 6, 1)))
    monkeypatch.setattr(reading, "FIRST_LOOK", 4)
    monkeypatch.setattr(reading, "MOST_EVENTS", 8)
    found = asked(runtime, "a")
    assert (found.is_whole, found.sessions["events"].to_list()) == (False, [8])


def test_who_did_nothing_has_no_session(tmp_path: Path) -> None:
    found = asked(shop(tmp_path, [], ManualClock(utc(2024, 6, 1))), "a")
    assert found.sessions.height == 0
    assert found.sessions.schema["start_time"] == pl.Datetime("us", "UTC")

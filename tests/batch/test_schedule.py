"""When days are there and when they are late: what sources and event types say, through everything made of them."""

import datetime as dt
from typing import Any

import pytest

from seqplat_resources.batch.days.existing import missed_days
from seqplat_resources.batch.days.partitions import DayRange
from seqplat_resources.batch.days.schedule import Automation, AutomationInvalid, late_after, ready_after
from seqplat_resources.engine.registry import digests
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Column, Enrich, Snapshot
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import utc
from tests.properties.clicks import click, clicks, shop


def released(**fresh: int | None) -> Release:
    """``click`` of a source that is ready at 04:10, with an enrichment ready at 05:00; ``view`` of one at 00:30."""
    late, early = clicks(ready_at="04:10"), clicks(name="views", location="views.parquet")
    items = clicks(name="items", location="items.parquet", event_time=None, user_id=None, rev=None, op=None)
    item = Snapshot(
        name="item", tenant="shop", source="items", key=("item",), columns=(Column(name="shop", dtype="string"),)
    )
    both = SequenceDefinition(name="both", tenant="shop", event_types=("click", "view"), columns=("item",), length=9)
    changes: dict[str, Any] = {"enrichments": (Enrich(enrichment="item", columns={"of": "shop"}),)}
    return lower(
        Project(
            (
                *(shop, late, early, items.model_copy(update={"ready_at": "05:00"}), item),
                click(fresh_within_h=fresh.get("click"), **changes),
                click(name="view", source="views", fresh_within_h=fresh.get("view")),
                both,
            ),
            digests(),
        )
    )


def after(text: str) -> dt.timedelta:
    hours, minutes = map(int, text.split(":"))
    return dt.timedelta(hours=hours, minutes=minutes)


@pytest.mark.parametrize(
    ("asset", "ready", "late"),
    [
        ("raw/clicks", "04:10", "09:00"),
        ("raw/views", "00:30", "03:00"),
        ("enrichments/item", "05:00", "09:00"),
        ("events/click", "05:00", "09:00"),
        ("online/click", "05:00", "09:00"),
        ("events/view", "00:30", "03:00"),
        ("sequences/both", "05:00", "09:00"),
    ],
)
def test_a_day_is_ready_with_its_last_source_and_late_when_its_event_type_says(
    asset: str, ready: str, late: str
) -> None:
    release = released(click=9)
    assert (ready_after(release, asset), late_after(release, asset)) == (after(ready), after(late))
    assert late_after(released(), asset) == after(ready) + dt.timedelta(hours=2, minutes=30)
    assert late_after(released(click=1, view=1), asset) == max(after(ready), dt.timedelta(hours=1))


def test_a_day_is_missed_from_the_moment_it_is_late() -> None:
    days, built = DayRange(dt.date(2024, 5, 1)), {dt.date(2024, 5, 1)}

    def missed(*at: int) -> list[dt.date]:
        return missed_days(days, built, utc(2024, 5, *at), dt.timedelta(hours=30), dt.date.min)

    assert missed(4, 5, 59) == []
    assert missed(4, 6) == [dt.date(2024, 5, 2)]


def test_what_is_built_by_itself_is_said_as_it_is() -> None:
    release, end = released(), {"end": dt.date(2025, 1, 1)}
    said = str(Automation.of(release, {}))
    assert "each day that is over is built, checked and published, view at 00:30 and click at 05:00 UTC" in said
    over = {name: each.model_copy(update=end) for name, each in release.event_types.items()}
    ended = release.model_copy(update={"event_types": over})
    assert "there are no new days, as those of all event types have ended" in str(Automation.of(ended, {}))
    assert str(Automation.of(released(), {"SEQPLAT_AUTOMATION": "off"})).startswith("off, by SEQPLAT_AUTOMATION: ")
    with pytest.raises(AutomationInvalid, match="use on or off"):
        Automation.of(released(), {"SEQPLAT_AUTOMATION": "1"})

"""Each reason for which an event is (not) in an answer, by the path on which it really comes about."""

import datetime as dt
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.batch.builds import enrichments, raw
from seqplat_resources.batch.builds.imports import import_files
from seqplat_resources.batch.inputs import tables
from seqplat_resources.explain import explain, explain_row, parse_position, recent
from seqplat_resources.explain.position import AnotherUser, NotAPosition
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.query import QueryError
from seqplat_resources.release.store import LoadedRelease
from sequence_defs.schema import Collapse, Column, Csv, Enrich, EventType, Source, Time, Versioned
from tests.building import runtime_for, utc
from tests.explain.world import DEFINITIONS, FILTERED, build, clicked, kept, outcomes, said, stream, why
from tests.online_stores import publish_one
from tests.properties.clicks import shop as tenant
from tests.stream.world import DAYS, TOPIC, Shop, source


def test_a_streamed_event_is_in_the_answer_from_the_now_view(shop: Shop) -> None:
    shop.say([clicked(1, 2), clicked(2, 2)])
    stream(shop)
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    assert "at position 2, from the now view" in found.verdict.text
    assert outcomes(found) | {"lateness": ""} == {
        "raw": "seen",
        "made": "mapped",
        "lateness": "",
        "deduplicated": "only copy",
        "lake": "not built",
        "published": "nothing published",
        "online": "now view",
        "window": "kept",
        "answer": "in it",
    }


def test_a_built_and_published_event_is_in_the_answer_from_history(shop: Shop) -> None:
    shop.say([clicked(1, 2)])
    stream(shop)
    build(shop)
    found = why(shop, 1)
    assert "at position 1, from published history" in found.verdict.text
    assert (outcomes(found)["lake"], outcomes(found)["published"], outcomes(found)["online"]) == (
        "sealed",
        "published",
        "history",
    )
    assert f"epoch 1 has {DAYS[2]}" in said(found, "published")
    assert f"read {TOPIC}:0 up to 1" in said(found, "published")


def test_an_event_is_in_the_row_that_it_is_part_of(tmp_path: Path) -> None:
    items = Collapse(by=("value",), within_s=60, actions=("click",))
    definitions = (*DEFINITIONS[:-1], DEFINITIONS[-1].model_copy(update={"collapse": items}))
    with closing(LmdbStore(tmp_path / "online", sync=False)) as store:
        shop = Shop(tmp_path, store, definitions=definitions)
        shop.say([clicked(1, 2, amount=5), clicked(2, 2, amount=9), clicked(3, 2, amount=7), clicked(4, 2, amount=9)])
        stream(shop)
        part, cut = why(shop, 2), why(shop, 1)
    assert part.verdict.code == "in_answer"
    assert part.verdict.text.startswith("In the answer, in the row at position 1, from the now view.")
    assert said(part, "answer") == "in row 1 of the 2 row(s) of the answer"
    assert cut.verdict.code == "truncated"
    assert cut.verdict.text == (
        "Not in the answer: it would stand at position 3, and sequence recent is cut to the newest 2 rows."
    )
    assert "it is in row 3 of the user's, and the sequence has 2" in said(cut, "window")


def test_a_filtered_row_names_the_filter_and_the_values_that_made_it_false(shop: Shop) -> None:
    shop.say([clicked(1, 2, amount=FILTERED), clicked(2, 2, amount=None)])
    stream(shop)
    found = why(shop, 1)
    assert found.verdict.code == "filtered"
    assert found.verdict.text == (
        f"Not in the answer: {TOPIC}:0@0 is left out by the filter of event type click: amount <> {FILTERED} "
        f"(with amount = {FILTERED})."
    )
    assert "(with amount = None)" in why(shop, 2).verdict.text


def test_a_message_that_never_became_a_row_is_a_reject_with_its_bytes(shop: Shop) -> None:
    shop.say([clicked(1, 2), clicked(2, 2, at=utc(2030, 1, 1))])
    stream(shop)
    found = why(shop, 2)
    assert found.verdict.code == "rejected"
    assert "more than 24 h after its receipt" in found.verdict.text
    [step] = [step for step in found.steps if step.name == "rejected"]
    assert step.facts["at"] == f"{TOPIC}:0@1"
    assert json.loads(str(step.facts["bytes"]))["click"] in (2, "2")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_refused_record_of_a_csv_says_its_id_by_the_header_of_its_file(tmp_path: Path, encoding: Any) -> None:
    """Without the file nobody knows which column is which; then only that the bytes hold user and id is told."""
    written = Csv(delimiter=";", encoding=encoding)
    of_files = source.model_copy(update={"location": "clicks*.csv", "format": "csv", "csv": written})
    (tmp_path / "clicks.csv").write_bytes(
        "amount;at;click;received;member\r\n"
        "1;2024-05-02T12:00:00;1;2024-05-04;ann\r\n"
        '"many;\u00e9";2024-05-02T12:00:00;2;2024-05-04;ann\r\n'
        "many;2024-05-02T12:00:00;2;2024-05-04;bob\r\n".encode(encoding)
    )
    definitions = (tenant, of_files, *DEFINITIONS[2:])
    with closing(LmdbStore(tmp_path / "online", sync=False)) as store:
        shop = Shop(tmp_path, store, definitions=definitions)
        list(raw.ingest(shop.runtime, "clicks", DAYS))
        found = why(shop, 2)
        assert found.verdict.code == "rejected"
        assert outcomes(found)["rejected"] == "rejected"
        assert "clicks.csv@1 could not become a raw row: column amount: many;\u00e9 is not" in said(found, "rejected")
        assert "clicks.csv@2" not in said(found, "rejected"), "it is another user's"
        (tmp_path / "clicks.csv").unlink()
        assert outcomes(why(shop, 2))["rejected"] == "rejected, perhaps"


def test_a_refused_message_is_found_whose_user_is_escaped_in_it(shop: Shop) -> None:
    shop.say([clicked(1, 2, member="Jos\u00e9\U0001f600", at=utc(2030, 1, 1))])
    stream(shop)
    found = explain(shop.runtime, shop.store, shop.sequence, "Jos\u00e9\U0001f600", "1")
    assert found.verdict.code == "rejected"


def test_of_a_message_that_never_became_a_row_no_day_is_told(shop: Shop) -> None:
    """It is in no bucket, and on which day it would have been nobody knows."""
    shop.say([clicked(1, 2), clicked(2, 2, at=utc(2030, 1, 1))])
    stream(shop)
    build(shop)
    found = why(shop, 2)
    assert "None" not in repr([step.said for step in found.steps])
    assert [step.name for step in found.steps] == ["raw", "rejected", "online", "answer"]


def test_a_row_that_could_not_become_an_event_is_a_reject(shop: Shop) -> None:
    shop.say([clicked(1, 2, operation="bogus")])
    stream(shop)
    build(shop)
    found = why(shop, 1)
    assert found.verdict.code == "rejected"
    assert "op: bogus is neither upsert nor retract" in found.verdict.text
    assert outcomes(found)["raw"] == "seen"


def test_of_two_equal_copies_the_one_received_first_stays(shop: Shop) -> None:
    shop.say([clicked(1, 2), clicked(1, 2, received=utc(2024, 5, 5))])
    stream(shop)
    build(shop)
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    assert outcomes(found)["deduplicated"] == "duplicate"
    assert said(found, "deduplicated") == f"{TOPIC}:0@1 gave way to {TOPIC}:0@0, which was received first"
    row = explain_row(shop.runtime, shop.store, shop.sequence, (f"{TOPIC}:0", 1))
    assert row.verdict.code == "duplicate"
    assert row.verdict.text.endswith(found.verdict.text)


def test_copies_that_say_different_things_are_a_conflict(shop: Shop) -> None:
    shop.say([clicked(1, 2, received=utc(2024, 5, 5))])
    stream(shop)
    shop.say([clicked(1, 2, amount=7)])
    stream(shop)
    found = why(shop, 1)
    assert outcomes(found)["deduplicated"] == "conflict"
    assert said(found, "deduplicated").startswith(f"{TOPIC}:0@0 gave way to {TOPIC}:0@1, which was received first")
    assert "does not count: it was received later" in said(found, "online")


def test_an_older_revision_gives_way(shop: Shop) -> None:
    shop.say([clicked(1, 2), clicked(1, 2, amount=7, revision=1, received=utc(2024, 5, 5))])
    stream(shop)
    found = why(shop, 1)
    assert outcomes(found)["deduplicated"] == "older revision"
    assert "has the higher rev" in said(found, "deduplicated")
    assert found.verdict.code == "in_answer"


@pytest.mark.parametrize("built", [False, True])
def test_a_retraction_is_named(shop: Shop, built: bool) -> None:
    shop.say([clicked(1, 2), clicked(1, 2, revision=1, operation="retract")])
    stream(shop)
    if built:
        build(shop)
    found = why(shop, 1)
    assert found.verdict.code == "retracted"
    assert f"it was retracted by {TOPIC}:0@1 (rev 1)" in found.verdict.text


@pytest.mark.parametrize("built", [False, True])
def test_a_revision_that_moved_the_event_to_another_day(shop: Shop, built: bool) -> None:
    shop.say([clicked(1, 1), clicked(1, 2, revision=1)])
    stream(shop)
    if built:
        build(shop)
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    assert found.event.day == DAYS[2]
    assert said(found, "moved") == f"{TOPIC}:0@0 left {DAYS[1]}: rev 1 says that it happened on {DAYS[2]}"
    row = explain_row(shop.runtime, shop.store, shop.sequence, (f"{TOPIC}:0", 0))
    assert row.verdict.code == "moved"
    assert "In the answer, at position 1" in row.verdict.text


def test_a_moved_event_before_both_days_are_built_again(shop: Shop) -> None:
    shop.say([clicked(1, 1), clicked(2, 2)])
    stream(shop)
    build(shop)
    shop.say([clicked(1, 2, revision=1)])
    stream(shop)
    before = f"events/click {DAYS[1]} still holds {TOPIC}:0@0 (rev 0)"
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    assert said(found, "lake").startswith(f"events/click {DAYS[2]}, built ")
    assert said(found, "lake").endswith(f" before this row was there; {before}")
    assert (outcomes(found)["lake"], outcomes(found)["published"]) == ("not read", "published without it")
    shop.build([DAYS[2]])
    found = why(shop, 1)
    assert said(found, "lake").endswith(f"holds {TOPIC}:0@2 (rev 1) as an event; {before}")
    shop.build([DAYS[1]])
    assert "still holds" not in said(why(shop, 1), "lake")


def test_a_moved_event_that_no_stream_has_shown_is_not_built_on_its_new_day(shop: Shop) -> None:
    shop.say([clicked(1, 1)])
    stream(shop)
    shop.build([DAYS[1]])
    shop.say([clicked(1, 2, revision=1)])
    stream(shop)
    found = explain(shop.runtime, None, shop.sequence, "ann", "1")
    assert said(found, "lake") == (
        f"events/click of {DAYS[2]} was never built; events/click {DAYS[1]} still holds {TOPIC}:0@0 (rev 0)"
    )
    assert found.verdict.code == "not_built"
    assert f"events/click {DAYS[2]} is not built" in found.verdict.text


def test_an_event_before_the_window(shop: Shop) -> None:
    shop.say([clicked(1, 0), clicked(2, 2)])
    stream(shop)
    found = why(shop, 1)
    assert found.verdict.code == "outside_window"
    assert "begins 2024-05-03" in said(found, "window"), "nothing is published: counted from today, the 4th"
    build(shop)
    assert f"begins {DAYS[1]}" in said(why(shop, 1), "window"), "counted from the newest published day"


def test_a_truncated_event_says_where_it_would_stand(shop: Shop) -> None:
    shop.say([clicked(number, 2) for number in range(6)])
    stream(shop)
    found = why(shop, 0)
    assert found.verdict.code == "truncated"
    assert "at position 6, and sequence recent is cut to the newest 2 events" in found.verdict.text


def test_an_event_that_is_built_and_not_published(shop: Shop) -> None:
    imported(shop, clicked(1, 2))
    build(shop, publish=False)
    found = why(shop, 1)
    assert found.verdict.code == "not_published"
    assert found.verdict.next == (f"seqplat materialize {DAYS[2]} {DAYS[2]} online/click",)
    shop.publish(DAYS)
    assert why(shop, 1).verdict.code == "in_answer"


def test_a_row_that_came_after_its_day_was_built(shop: Shop) -> None:
    imported(shop, clicked(1, 2))
    build(shop)
    imported(shop, clicked(2, 2))
    found = why(shop, 2)
    assert found.verdict.code == "not_built"
    assert "was built before it came" in found.verdict.text
    assert outcomes(found)["lake"] == "not read"
    assert outcomes(found)["published"] == "published without it"
    assert found.verdict.next == (f"seqplat materialize {DAYS[2]} {DAYS[2]} events/click online/click",)


def test_a_message_that_no_stream_has_read(shop: Shop) -> None:
    shop.say([clicked(1, 2)])
    stream(shop)
    shop.say([clicked(2, 2)])
    assert why(shop, 2).verdict.code == "never_seen"
    found = explain_row(shop.runtime, shop.store, shop.sequence, (f"{TOPIC}:0", 1))
    assert found.verdict.code == "not_streamed"
    assert "it is at 1" in found.verdict.text


def test_a_filter_that_was_changed_since_the_day_was_built(shop: Shop) -> None:
    shop.say([clicked(1, 2, amount=FILTERED), clicked(2, 2)])
    stream(shop)
    build(shop)
    open_filter = kept.model_copy(update={"filter": None})
    definitions = [open_filter if d.name == "click" and d is kept else d for d in DEFINITIONS]
    shop.runtime = runtime_for(shop.folder / "home", definitions, shop.folder, clock=shop.clock)
    found = why(shop, 1)
    assert found.verdict.code == "not_built"
    assert "was built by an earlier definition" in found.verdict.text


def test_an_event_type_that_the_sequence_does_not_have(shop: Shop) -> None:
    shop.say([clicked(1, 2, amount=500)])
    stream(shop)
    assert why(shop, 1).also == {}
    found = why(shop, 1, others=["big"])
    assert found.verdict.code == "in_answer"
    assert found.also["big"].code == "not_in_sequence"
    only = why(shop, 1, others=["big"], event_type="big")
    assert only.verdict.code == "not_in_sequence"
    assert f"{TOPIC}:0@0 gives big 1" in said(only, "made")
    with pytest.raises(QueryError, match=r"there is no event type 'bigg'.*did you mean 'big'"):
        why(shop, 1, others=["big"], event_type="bigg")


def test_an_id_that_nobody_said_names_the_nearest(shop: Shop) -> None:
    shop.say([clicked(number, 2) for number in (1000, 1001, 7)])
    stream(shop)
    found = why(shop, 1002)
    assert found.verdict.code == "never_seen"
    [step] = [step for step in found.steps if step.name == "raw"]
    assert step.facts["nearest"] == ["1001", "1000"]
    assert "1 day(s)" in step.said or f"{DAYS[2]} searched" in step.said


def test_without_a_day_the_newest_days_are_searched_and_no_more_than_allowed(shop: Shop) -> None:
    shop.say([clicked(1, 0, amount=FILTERED), clicked(2, 1), clicked(3, 2)])
    stream(shop)
    assert why(shop, 1, most_days=3).verdict.code == "filtered"
    assert why(shop, 1, most_days=2).verdict.code == "never_seen"
    assert f"2 day(s) from {DAYS[1]} to {DAYS[2]} searched" in said(why(shop, 1, most_days=2), "raw")
    assert why(shop, 1, day=DAYS[0], most_days=2).verdict.code == "filtered"


def test_another_users_event_is_never_seen(shop: Shop) -> None:
    shop.say([clicked(1, 2, member="bob")])
    stream(shop)
    assert why(shop, 1).verdict.code == "never_seen"
    assert "no row of this user at all" in said(why(shop, 1), "raw")
    with pytest.raises(AnotherUser, match="not of user 'ann'"):
        explain_row(shop.runtime, shop.store, shop.sequence, (f"{TOPIC}:0", 0), user="ann")


def test_the_recent_events_of_a_user_are_listed_with_their_verdicts(shop: Shop) -> None:
    shop.say(
        [clicked(1, 0), clicked(2, 2, amount=FILTERED), clicked(3, 2), clicked(3, 2, revision=1, operation="retract")]
    )
    shop.say([clicked(4, 2), clicked(5, 2, member="bob")])
    stream(shop)
    listed = recent(shop.runtime, shop.store, shop.sequence, "ann")
    assert [(found.event.event_id, found.verdict.code) for found in listed] == [
        ("4", "in_answer"),
        ("3", "retracted"),
        ("2", "filtered"),
        ("1", "outside_window"),
    ]
    assert len(recent(shop.runtime, shop.store, shop.sequence, "ann", most=2)) == 2
    assert len(recent(shop.runtime, shop.store, shop.sequence, "ann", day=DAYS[0])) == 1


def test_a_recent_event_is_listed_with_the_time_that_stands_not_that_of_a_later_copy(shop: Shop) -> None:
    """Before its day is built and after, also if the copy says another day."""
    shop.say([clicked(1, 1), clicked(2, 1, revision=1), clicked(1, 1, at=utc(2024, 5, 3), received=utc(2024, 5, 5))])
    shop.say([clicked(2, 1, at=utc(2024, 5, 3), received=utc(2024, 5, 5))])
    for step in (stream, build):
        step(shop)
        listed = recent(shop.runtime, shop.store, shop.sequence, "ann")
        first = dt.datetime.combine(DAYS[1], dt.time(12), dt.UTC)
        assert [(found.event.event_id, found.event_time) for found in listed] == [
            (str(number), first + dt.timedelta(seconds=number)) for number in (2, 1)
        ]


def test_recent_events_of_one_time_are_listed_in_the_order_of_the_answer(tmp_path: Path) -> None:
    """The source declares it, against the order in which they came."""
    definitions = tuple(
        each.model_copy(update={"order": "amount"}) if isinstance(each, Source) else each for each in DEFINITIONS
    )
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=definitions)
    with closing(made.store):
        made.say([clicked(number, 2, amount=90 - number, at=utc(2024, 5, 3, 9)) for number in range(1, 5)])
        stream(made)
        answered = [row["event_id"] for row in made.answer("ann")]
        listed = recent(made.runtime, made.store, made.sequence, "ann")
    assert [found.event.event_id for found in listed] == ["1", "2", "3", "4"]
    assert answered == ["1", "2"]


def test_positions_are_read_from_their_right_end() -> None:
    assert parse_position("file:a@b.ndjson@12@7") == ("file:a@b.ndjson@12", 7)
    for text in ("7", "clicks:0", "clicks:0@", "@7", "clicks:0@-1"):
        with pytest.raises(NotAPosition, match="write it as PARTITION@OFFSET"):
            parse_position(text)


def test_an_event_type_that_is_retired_is_not_built_any_more(tmp_path: Path) -> None:
    retired = kept.model_copy(update={"lifecycle": "retired"})
    definitions = tuple(retired if d is kept else d for d in DEFINITIONS)
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=definitions)
    with closing(made.store):
        imported(made, clicked(1, 2))
        assert why(made, 1).verdict.code == "retired"


def test_a_damaged_block_is_named(shop: Shop) -> None:
    shop.say([clicked(1, 1), clicked(2, 2)])
    stream(shop)
    build(shop)
    with shop.store.snapshot() as view:
        blocks = {block.day: bytes(block.payload) for block in view.blocks("click", "ann")}
        epoch = view.epoch("click")
    assert epoch is not None
    day, block = str(DAYS[2]), blocks[str(DAYS[2])]
    damaged = block[:-6] + bytes([block[-6] ^ 255]) + block[-5:]
    publish_one(
        shop.store, "click", day, [("ann", damaged)], bucket=epoch.buckets[day], release="r", expected_epoch=epoch.epoch
    )
    found = why(shop, 2)
    assert found.verdict.code == "damaged"
    assert f"damaged blocks are left out: {day}" in said(found, "online")
    assert found.verdict.next == (f"seqplat materialize {day} {day} online/click",)
    assert why(shop, 1).verdict.code == "in_answer"


def imported(shop: Shop, row: dict[str, object]) -> None:
    path = shop.folder / f"late-{row['click']}.ndjson"
    path.write_text(json.dumps(row, default=dt.datetime.isoformat) + "\n")
    list(import_files(shop.runtime, "clicks", [str(path)]))


# ---- Enrichments -------------------------------------------------------------------------------------------------

prices = Source(
    name="prices",
    tenant="shop",
    location="prices.ndjson",
    format="ndjson",
    columns=(
        Column(name="item", dtype="int64", nullable=False),
        Column(name="since", dtype="timestamp", nullable=False),
        Column(name="price", dtype="int64"),
    ),
)
price = Versioned(
    name="price",
    tenant="shop",
    source="prices",
    key=("item",),
    columns=(Column(name="price", dtype="int64"),),
    valid_from=Time(sql="since"),
)
priced = kept.model_copy(update={"enrichments": (Enrich(enrichment="price", on={"item": "value"}),)})


def test_a_pending_enrichment_says_what_it_waits_for_and_a_value_which_version(tmp_path: Path) -> None:
    rows = [{"item": 1, "since": f"2024-0{month}-01T06:00:00Z", "price": month} for month in (3, 4, 6)]
    (tmp_path / "prices.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    definitions = (*(d for d in DEFINITIONS if d is not kept), prices, price, priced)
    shop = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=definitions)
    with closing(shop.store):
        shop.say([clicked(1, 2)])
        stream(shop)
        found = why(shop, 1)
        assert found.verdict.code == "in_answer"
        assert "Still without price." in found.verdict.text
        assert found.verdict.next == (
            f"seqplat materialize {DAYS[2]} {DAYS[2]} enrichments/price events/click online/click",
        )
        assert said(found, "enriched") == f"price is PENDING, by stream; enrichments/price of {DAYS[2]} is not built"
        list(enrichments.build(shop.runtime, "price", DAYS))
        assert "is there now, and was not when the event was made" in said(why(shop, 1), "enriched")
        build(shop)
        found = why(shop, 1)
        assert said(found, "enriched") == "price is VALUE, by batch; the version in force began 2024-04-01 06:00"
        assert "Still without" not in found.verdict.text
        assert tables.events(shop.runtime, shop.plan).scan().collect()["price"].to_list() == [4]


def test_the_same_explanation_without_the_lake_knows_what_the_online_store_knows(shop: Shop, tmp_path: Path) -> None:
    shop.say([clicked(1, 2), clicked(2, 2, revision=1, operation="retract")])
    stream(shop)
    (shop.folder / "home" / "lake").rename(tmp_path / "elsewhere")
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    assert said(found, "raw").startswith("not known here, because this installation's home has no")
    assert outcomes(found)["lake"] == "not known here"
    assert why(shop, 2).verdict.code == "retracted"
    missing = why(shop, 3)
    assert missing.verdict.code == "not_known"
    assert "whether event 3 was ever received is not known here, because" in missing.verdict.text


def test_an_executor_that_is_not_installed_here_leaves_the_answer_known(shop: Shop) -> None:
    shop.say([clicked(1, 2)])
    stream(shop)
    release = shop.runtime.release.model_copy(update={"executors": {"declarative": "0" * 16}})
    elsewhere = replace(shop.runtime, loaded=LoadedRelease(shop.runtime.loaded.id, release))
    found = explain(elsewhere, shop.store, shop.sequence, "ann", "1", inside=True)
    assert found.verdict.code == "in_answer"
    assert "the release was compiled with 0000" in said(found, "raw")


def test_a_copy_that_says_another_time_is_told_of(shop: Shop) -> None:
    first, again = clicked(1, 2), {**clicked(1, 1), "received": utc(2024, 5, 5)}
    shop.say([first | {"received": utc(2024, 5, 4)}])
    stream(shop)
    shop.say([again])
    stream(shop)
    found = why(shop, 1)
    assert found.verdict.code == "in_answer"
    (step,) = (step for step in found.steps if step.name == "deduplicated")
    assert "which was received first and says that it happened at" in step.said
    assert step.outcome == "conflict"


def test_a_correction_that_does_not_pass_the_filter_is_told_to_withdraw_its_event(shop: Shop) -> None:
    shop.say([clicked(1, 1)])
    stream(shop)
    shop.say([clicked(1, 1, amount=FILTERED, revision=1)])
    stream(shop)
    assert shop.answer("ann") == []
    found = why(shop, 1)
    assert found.verdict.code == "withdrawn"
    assert "does not pass the filter" in found.verdict.text
    assert outcomes(found)["filtered"] == "withdrawn"
    build(shop)
    assert why(shop, 1).verdict.code == "withdrawn"


def test_only_the_days_of_the_event_and_of_its_horizon_are_read(tmp_path: Path) -> None:
    uncorrected = DEFINITIONS[1].model_copy(update={"rev": None, "op": None})
    others = (
        each.model_copy(update={"identity_horizon_h": 24}) if isinstance(each, EventType) else each
        for each in DEFINITIONS[2:]
    )
    definitions = (DEFINITIONS[0], uncorrected, *others)
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=definitions)
    with closing(made.store):
        made.say([clicked(1, 0, amount=FILTERED), clicked(2, 2), clicked(3, 2)])
        stream(made)
        for file in (tmp_path / "home" / "lake" / "archive" / "clicks" / f"day={DAYS[2]}").glob("*.parquet"):
            file.write_bytes(b"nobody reads this")
        assert why(made, 1, day=DAYS[0]).verdict.code == "filtered"
        assert outcomes(why(made, 2))["raw"] == "not known here"


def test_without_an_online_store_the_lake_says_what_it_knows(shop: Shop) -> None:
    shop.say([clicked(1, 2), clicked(2, 2, amount=FILTERED), clicked(3, 2)])
    stream(shop)
    shop.build([DAYS[2]])
    found = explain(shop.runtime, None, shop.sequence, "ann", "1")
    assert found.verdict.code == "not_known"
    assert f"events/click {DAYS[2]} holds it" in found.verdict.text
    assert outcomes(found)["answer"] == "not known here"
    assert explain(shop.runtime, None, shop.sequence, "ann", "2").verdict.code == "filtered"

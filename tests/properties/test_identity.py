"""Which copy of an event stays: the engine against the oracle, over duplicates, disorder, revisions and conflicts."""

from itertools import product

import polars as pl
from hypothesis import given

from seqplat_resources.rules.identity import event_id
from tests.oracle import Row, deduplicated, newest_first
from tests.properties.clicks import PAYLOAD, as_event, click, plan_of, raw_rows, run_rows, utc_rows

COLUMNS = ("user_id", "event_id", "event_time", "ingest_time", "rev", "op", "source_partition", "offset", *PAYLOAD)


@given(rows=raw_rows())
def test_one_event_per_user_and_key_is_the_oracles(rows: list[Row]) -> None:
    outcome = run_rows(plan_of(click()), rows)
    events, exact, conflicts = deduplicated(map(as_event, rows), ["click"], [*PAYLOAD, "event_time", "op"])
    assert _by_id(utc_rows(outcome.events)) == _by_id(events)
    assert (outcome.counts.duplicates, outcome.counts.conflicts) == (exact, conflicts)
    assert outcome.counts.read == len(rows)


@given(rows=raw_rows())
def test_events_come_by_user_and_newest_first(rows: list[Row]) -> None:
    found = utc_rows(run_rows(plan_of(click()), rows).events)
    users = [row["user_id"] for row in found]
    assert users == sorted(users)
    for user in set(users):
        mine = [row for row in found if row["user_id"] == user]
        assert mine == newest_first(mine)


@given(rows=raw_rows())
def test_a_filter_keeps_only_rows_where_it_is_true(rows: list[Row]) -> None:
    """Null counts as false, and what is filtered out plays no part in choosing a copy."""
    outcome = run_rows(plan_of(click(filter="amount >= 9")), rows)
    kept = [row for row in rows if row["amount"] is not None and row["amount"] >= 9]
    events, _, _ = deduplicated(map(as_event, kept), ["click"], [*PAYLOAD, "event_time", "op"])
    assert _by_id(utc_rows(outcome.events)) == _by_id(events)
    assert outcome.counts.filtered == len(rows) - len(kept)


def test_distinct_keys_have_distinct_ids() -> None:
    """Every pair of short texts of a letter, the separator and the character that escapes it."""
    texts = ["".join(letters) for length in range(4) for letters in product("a~\\", repeat=length)]
    keys = pl.DataFrame(list(product(texts, texts)), schema=["one", "other"], orient="row")
    ids = keys.select(event_id(("one", "other"), keys.schema)).to_series()
    assert ids.n_unique() == keys.height == len(texts) ** 2


@given(rows=raw_rows())
def test_repeating_rows_at_later_positions_changes_nothing(rows: list[Row]) -> None:
    """A source that delivers a row again (at-least-once) gives the same events, from the first delivery."""
    again = [row | {"_offset": row["_offset"] + 1000} for row in rows]
    once, twice = run_rows(plan_of(click()), rows), run_rows(plan_of(click()), [*again, *rows])
    assert twice.events.equals(once.events)


def _by_id(events: list[Row]) -> dict[tuple[str, str], Row]:
    found = {(event["user_id"], event["event_id"]): {name: event[name] for name in COLUMNS} for event in events}
    assert len(found) == len(events)
    return found

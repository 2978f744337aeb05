"""Which copy of an event stays: the engine against the oracle, over duplicates, disorder, revisions and conflicts."""

import datetime as dt
from itertools import product

import polars as pl
from hypothesis import given

from seqplat_resources.rules.identity import event_id
from tests.building import days
from tests.oracle import Row, deduplicated, newest_first
from tests.properties.clicks import DAY, PAYLOAD, as_event, click, clicks, plan_of, raw_rows, run_rows, utc_rows

# Copies are of one day, of days that the horizon spans, and of days that it does not.
DAYS = days(DAY, 6)
# Of a copy only the time may differ, by days; leads have tests of their own.
SOURCE = clicks(max_lead_s=366 * 86_400)
COLUMNS = ("user_id", "event_id", "event_time", "ingest_time", "rev", "op", "source_partition", "offset", *PAYLOAD)


@given(rows=raw_rows(within=DAYS))
def test_one_event_per_user_and_key_is_the_oracles(rows: list[Row]) -> None:
    outcome = run_rows(plan_of(click(), SOURCE), rows)
    events, exact, conflicts = deduplicated(map(as_event, rows), ["click"], [*PAYLOAD, "event_time", "op"])
    assert _by_id(utc_rows(outcome.events)) == _by_id(events)
    assert (outcome.counts.duplicates, outcome.counts.conflicts) == (exact, conflicts)
    assert outcome.counts.read == len(rows)


@given(rows=raw_rows(within=DAYS))
def test_events_come_by_user_and_newest_first(rows: list[Row]) -> None:
    found = utc_rows(run_rows(plan_of(click(), SOURCE), rows).events)
    users = [row["user_id"] for row in found]
    assert users == sorted(users)
    for user in set(users):
        mine = [row for row in found if row["user_id"] == user]
        assert mine == newest_first(mine)


@given(rows=raw_rows(within=DAYS))
def test_a_filter_keeps_only_rows_where_it_is_true(rows: list[Row]) -> None:
    """Null counts as false. What is filtered out chooses no copy, but a correction removes its event."""
    outcome = run_rows(plan_of(click(filter="amount >= 9"), SOURCE), rows)
    kept = [row for row in rows if row["amount"] is not None and row["amount"] >= 9]
    withdrawn = [row for row in rows if row not in kept and (row["revision"] or 0) > 0]
    nothing = dict.fromkeys(set(PAYLOAD) - {"click"})
    meant = [*map(as_event, kept), *(as_event(row) | nothing | {"op": "retract"} for row in withdrawn)]
    events, _, _ = deduplicated(meant, ["click"], [*PAYLOAD, "event_time", "op"])
    assert _by_id(utc_rows(outcome.events)) == _by_id(events)
    counts = outcome.counts
    assert counts.withdrawn == len(withdrawn)
    assert counts.read == counts.filtered + counts.withdrawn + len(kept)


def test_distinct_keys_have_distinct_ids() -> None:
    """Every pair of short texts of a letter, the separator and the character that escapes it."""
    texts = ["".join(letters) for length in range(4) for letters in product("a~\\", repeat=length)]
    keys = pl.DataFrame(list(product(texts, texts)), schema=["one", "other"], orient="row")
    ids = keys.select(event_id(("one", "other"), keys.schema)).to_series()
    assert ids.n_unique() == keys.height == len(texts) ** 2


@given(rows=raw_rows(within=DAYS))
def test_repeating_rows_at_later_positions_changes_nothing(rows: list[Row]) -> None:
    """A source that delivers a row again (at-least-once) gives the same events, from the first delivery."""
    again = [row | {"_offset": row["_offset"] + 1000} for row in rows]
    once, twice = run_rows(plan_of(click(), SOURCE), rows), run_rows(plan_of(click(), SOURCE), [*again, *rows])
    assert twice.events.equals(once.events)


def _by_id(events: list[Row]) -> dict[tuple[str, str, dt.datetime], Row]:
    found = {
        (event["user_id"], event["event_id"], event["event_time"]): {name: event[name] for name in COLUMNS}
        for event in events
    }
    assert len(found) == len(events)
    return found

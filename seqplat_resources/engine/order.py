"""The total order of events: newest first, then source order, then identity. Never arrival order."""

import polars as pl

# Descending in all of them. Two events equal in all are the same event.
ORDER = ("event_time", "source_partition", "offset", "event_type", "event_id")


def by_user_newest_first(events: pl.DataFrame) -> pl.DataFrame:
    """Events of one event type in file order: by user, and each user's newest first."""
    # Sorting by text costs most of the sort, so keys that cannot decide anything are left out.
    keys = [key for key in ORDER if key != "event_type"]
    if events["source_partition"].n_unique() <= 1:
        keys.remove("source_partition")
        if events["offset"].n_unique() == events.height:
            keys.remove("event_id")
    return events.sort(["user_id", *keys], descending=[False] + [True] * len(keys))

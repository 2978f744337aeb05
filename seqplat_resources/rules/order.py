"""The total order of events: newest first, then source order, then identity."""

import numpy as np
import numpy.typing as npt
import polars as pl

# Descending in all of them. Two events equal in all are the same event.
ORDER = ("event_time", "source_partition", "offset", "event_type", "event_id")
# What decides between events of one time, and their portable types; the event type comes before the id.
TIES = {"source_partition": "string", "offset": "int64", "event_id": "string"}


def newest_first(events: pl.DataFrame, *within: str) -> pl.DataFrame:
    """Events of any event types; by the columns ``within`` first, ascending."""
    return events.sort([*within, *ORDER], descending=[False] * len(within) + [True] * len(ORDER))


def by_user_newest_first(events: pl.DataFrame) -> pl.DataFrame:
    """Events of one event type in file order: by user, and each user's newest first."""
    # Sorting by text costs most of the sort, so keys that cannot decide anything are left out.
    keys = [key for key in ORDER if key != "event_type"]
    if events["source_partition"].n_unique() <= 1:
        keys.remove("source_partition")
        if events["offset"].n_unique() == events.height:
            keys.remove("event_id")
    return events.sort(["user_id", *keys], descending=[False] + [True] * len(keys))


def among_equals(
    ties: pl.DataFrame, event_type: npt.NDArray[np.int64], run: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The places of rows in order, where rows of one ``run`` are of one time and runs are in order already.

    ``event_type`` has numbers in the order of the names.
    """
    partition, event_id = _ranks(ties["source_partition"]), _ranks(ties["event_id"])
    offset = ties["offset"].to_numpy()
    return np.lexsort((-event_id, -event_type, -offset, -partition, run))


def _ranks(texts: pl.Series) -> npt.NDArray[np.int64]:
    return np.asarray(texts.rank("dense").to_numpy(), np.int64)

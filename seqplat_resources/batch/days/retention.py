"""Which days are kept: what definitions say (``retention_days``), and which days `seqplat expire` has deleted.

A day is kept until its last instant is older than that: with 30 days, on June 1 the oldest is May 2. What nothing has
deleted is there and due, however old; what was deleted is missed by nobody, and no automation builds it again.
"""

import datetime as dt
from contextlib import closing, suppress

from seqplat_resources.batch.days.existing import table_of
from seqplat_resources.lake.expire import expired_before as expired_of
from seqplat_resources.lake.layout import ANSWERED, OBJECTS, SESSIONS, SHADOW_SEQUENCES, TRAINING
from seqplat_resources.online_store.errors import StoreDamagedError, StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Snapshot, Versioned


def kept_days(release: Release, name: str) -> int | None:
    """How many days are kept of a table, a log or a published event type (``events/click``); None: all.

    Rejects are rows of their source. Segments of a sequence are events: the shortest of its types' and its own counts,
    also for what was compared of it, and for which of them requests were answered with. Views outlive the events they
    are made of.
    """
    layer, of = name.split("/", 1)
    if layer in ("raw", "archive", "rejects", "log"):
        return release.sources[of].retention_days
    if layer == "enrichments":
        found = release.enrichments[of]
        return found.retention_days if isinstance(found, Versioned | Snapshot) else None
    if layer in ("sequences", SHADOW_SEQUENCES, ANSWERED):
        sequence = release.sequences[of]
        said = [sequence.retention_days, *(release.event_types[each].retention_days for each in sequence.event_types)]
        return min((days for days in said if days is not None), default=None)
    if layer in (SESSIONS, OBJECTS):
        view = release.sessions[of] if layer == SESSIONS else release.objects[of]
        return view.retention_days
    if layer == TRAINING:
        return None
    return release.event_types[of].retention_days


def kept_since(runtime: Runtime, name: str) -> dt.date | None:
    """The oldest day that is kept now; None where all are."""
    days, today = kept_days(runtime.release, name), runtime.clock.now().date()
    return None if days is None or days > (today - dt.date.min).days else today - dt.timedelta(days=days)


def expired_before(runtime: Runtime, asset: str) -> dt.date:
    """Days of an asset before this one were deleted and are kept no longer; the first of the calendar without any.

    Where a definition keeps days for longer than it did, those are due again.
    """
    since, done = kept_since(runtime, asset), _done(runtime, asset)
    return min(since, done) if since and done else dt.date.min


def _done(runtime: Runtime, asset: str) -> dt.date | None:
    layer, name = asset.split("/", 1)
    if layer == TRAINING:
        return None
    if layer != "online":
        return expired_of(table_of(runtime, layer, name))
    with (
        suppress(StoreDamagedError, StoreNotFoundError),
        closing(open_online_store(runtime.home, readonly=True)) as store,
    ):
        epoch = store.epoch(name)
        return dt.date.fromisoformat(epoch.expired_before) if epoch and epoch.expired_before else None
    return None

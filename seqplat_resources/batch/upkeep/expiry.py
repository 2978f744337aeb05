"""Delete what is kept no longer: days of the lake and of the online store, and messages of a file log.

    1. online   a new epoch without the days, so that no answer has them from here on; what no kept epoch shows goes
    2. lake     the days' buckets, some in a commit
    3. ledger   records of troubles with those days
    4. log      whole files of messages that are in the archive and were received before

Each step finds out by itself what is left to do, so one that was broken off is gone on with by the next run.

>>> [(report.name, report.kept_days, report.gone.days) for report in expiries(shop, dry_run=True)][:2]
[('online/click', 30, 0), ('online/purchase', None, 0)]
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from seqplat_resources.batch.days.retention import kept_days, kept_since
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.batch.upkeep.log_use import read_up_to
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.lake.compact import LeftBucket
from seqplat_resources.lake.expire import ExpiredDays, expire, expired_files
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import ANY_EPOCH
from seqplat_resources.online_store.errors import StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.records.lease import hold
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.file.folder import FileLogWriter
from seqplat_resources.sources.log.opening import log_kind, open_log_writer
from seqplat_resources.times import midnight, milliseconds

# As many as both stores keep by themselves, to be gone back to.
KEPT_EPOCHS = 4

# Of the oldest day that is kept, and whether nothing is to be changed.
_Step: TypeAlias = Callable[[dt.date, bool], Iterator[ExpiredDays | LeftBucket]]


class NothingWouldStay(Final):
    """All days of something would go, which a clock that is wrong would ask for as well."""


@dataclass(frozen=True)
class ExpiryReport:
    """What goes of one thing (``events/click``, ``online/click``, ``log/clicks``), or went.

    ``kept_days`` is its retention, ``since`` the oldest day that is kept; both None where all days are. ``gone`` of a
    log has no days: its files hold messages as they came. ``left`` says what stays until the next time, and why.
    """

    name: str
    kept_days: int | None
    since: dt.date | None
    gone: ExpiredDays = ExpiredDays()
    left: tuple[str, ...] = ()

    def and_then(self, found: ExpiredDays | LeftBucket) -> "ExpiryReport":
        """With one more commit, or what was left of one."""
        if isinstance(found, LeftBucket):
            return replace(self, left=(*self.left, found.why))
        return replace(self, gone=self.gone + found)


def expiries(runtime: Runtime, *, dry_run: bool, everything: bool = False) -> Iterator[ExpiryReport]:
    """Everything that can expire, in the order of the steps; each when it is done, or what would go of it.

    What cannot be looked at, or is being written, is left to the next time and costs no other. So is what would lose
    all of its days, unless ``everything`` says that this is meant.

    Raises:
        LeaseHeld: another process is at it.
    """
    with nullcontext() if dry_run else hold(runtime.home, "expire", clock=runtime.clock):
        steps: dict[str, _Step] = {
            f"online/{n}": partial(_online, runtime, n, everything) for n in runtime.release.event_types
        }
        steps |= {n: partial(_lake, runtime, n, layout.table, everything) for n, layout in layouts(runtime).items()}
        steps |= {f"log/{n}": partial(_log, runtime, n, everything) for n in _in_file_log(runtime)}
        for name, step in steps.items():
            yield _expiry(runtime, name, step, dry_run)


def _expiry(runtime: Runtime, name: str, step: _Step, dry_run: bool) -> ExpiryReport:
    since = kept_since(runtime, name)
    done = ExpiryReport(name, kept_days(runtime.release, name), since)
    if since is None:
        return done
    try:
        for found in step(since, dry_run):
            done = done.and_then(found)
    except Exception as error:
        done = replace(done, left=(*done.left, str(in_our_words(error) or error)))
    return done


def _online(
    runtime: Runtime, event_type: str, everything: bool, since: dt.date, dry_run: bool
) -> Iterator[ExpiredDays]:
    epoch, before = None, str(since)
    with suppress(StoreNotFoundError), closing(open_online_store(runtime.home, readonly=True)) as store:
        epoch = store.epoch(event_type)
    if epoch is None:
        return
    old = {day: bucket for day, bucket in epoch.buckets.items() if day < before}
    if not dry_run:
        _refuse_all(runtime, len(old), len(epoch.buckets), everything)
        with closing(open_online_store(runtime.home)) as store:
            if old or epoch.expired_before != before:
                said = partial(store.publish_many, event_type, [], release=epoch.release, expected_epoch=ANY_EPOCH)
                said(drop_days=old, expired_before=before)
            store.evict(event_type)
            store.prune(event_type, keep_epochs=KEPT_EPOCHS)
        _settle(runtime, f"online/{event_type}", since)
    first, last = (dt.date.fromisoformat(end(old)) if old else None for end in (min, max))
    yield ExpiredDays(len(old), first, last, sum(bucket.rows for bucket in old.values()))


def _lake(
    runtime: Runtime, name: str, table: LakeTable, everything: bool, since: dt.date, dry_run: bool
) -> Iterator[ExpiredDays | LeftBucket]:
    old = expired_files(table, since)
    if dry_run:
        yield ExpiredDays.of(old)
        return
    meant = everything or (name.startswith(("rejects/", "superseded/")) and _keeps_rows(runtime, name, since))
    _refuse_all(runtime, old.height, table.files().height, meant)
    yield from expire(table, since)
    _settle(runtime, name, since)


def _keeps_rows(runtime: Runtime, name: str, since: dt.date) -> bool:
    """Whether rows beside these stay, so that the clock is right: of rejects, messages and superseded rows all may be
    old.
    """
    layer, of = name.split("/", 1)
    if layer == "superseded":
        mine: list[LakeTable] = [tables.events(runtime, EventPlan.of(runtime.loaded, of))]
    else:
        source = runtime.release.sources[of]
        mine = [tables.raw(runtime, source), *([tables.archive(runtime, source)] if source.topic else [])]
    return any(table.exists() and (table.files()[DAY] >= str(since)).any() for table in mine)


def _refuse_all(runtime: Runtime, going: int, there: int, everything: bool) -> None:
    """
    Raises:
        NothingWouldStay
    """
    if going and going == there and not everything:
        now = runtime.clock.now()
        raise NothingWouldStay(
            f"all of its days would go, by the clock of {now:%Y-%m-%d %H:%M} UTC; if that is right, run "
            "`seqplat expire --everything`"
        )


def _settle(runtime: Runtime, asset: str, since: dt.date) -> None:
    """Days that are gone wait for nothing."""
    troubles = DayTroubles(runtime.home, runtime.clock)
    troubles.settle(asset, [day for day in troubles.of(asset) if day < since])


def _log(runtime: Runtime, name: str, everything: bool, since: dt.date, dry_run: bool) -> Iterator[ExpiredDays]:
    """Messages that everybody has got past who reads them, so that no stream asks for them again."""
    source, since_ms = runtime.release.sources[name], milliseconds(midnight(since))
    with closing(open_log_writer(runtime.home.environment, runtime.home)) as log:
        if not isinstance(log, FileLogWriter):
            return
        kept = {partition: log.offset_at(partition, since_ms) for partition in log.partitions(source.topic)}
        before = read_up_to(runtime, source, kept)
        before |= {partition: min(before[partition], at) for partition, at in kept.items() if at is not None}
        going = sum(log.trim(partition, at, dry_run=True).files for partition, at in before.items())
        if not dry_run and all(younger is None for younger in kept.values()):
            _refuse_all(runtime, going, going, everything or _keeps_rows(runtime, f"log/{name}", since))
        for partition, at in before.items():
            trimmed = log.trim(partition, at, dry_run=dry_run)
            yield ExpiredDays(rows=trimmed.rows, files=trimmed.files, bytes=trimmed.bytes)


def _in_file_log(runtime: Runtime) -> list[str]:
    """Sources whose messages lie in files of ours; of a broker's messages it knows itself how long they are kept."""
    if log_kind(runtime.home.environment) != "file":
        return []
    return [name for name, source in runtime.release.sources.items() if source.topic]

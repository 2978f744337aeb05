"""What checks said, in a table of our own: appended by whoever judges, read by whoever shows it.

One Delta table (``lake/checks``). A row is a verdict, or with a blank ``check`` a bucket that was built and its mark.
Rows are numbered by the append they came with, in the same commit: the highest number of a check and day counts, so no
clock decides which verdict is newer. ``month`` is that of the day which was judged, so that a window is few files.

What cannot be appended must not stop a build, and must not be lost in silence: ``unrecorded`` says so until it is.

>>> results = Results(home)
>>> results.record([CheckVerdict("events/click", "schema", dt.date(2024, 5, 1), "pass")], run=None, release="7f9ad790")
>>> results.newest(dt.date(2024, 5, 1)).verdicts.select("asset", "check", "status").rows()
[('events/click', 'schema', 'pass')]
"""

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import polars as pl
from deltalake import DeltaTable
from deltalake.transaction import RemoveAction

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.foreign_errors import Unreadable, in_our_words
from seqplat_resources.health.unrecorded import MOST_CHARS, Unrecorded, UnrecordedNotes
from seqplat_resources.health.view import Status
from seqplat_resources.home import Home
from seqplat_resources.lake.append import PositionMoved, append, position
from seqplat_resources.lake.damage import LogDamaged
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart, FileWriter
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.records.lease import LeaseHeld, hold
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.times import milliseconds
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column

_log = logging.getLogger(__name__)

TABLE = "lake/checks"
# Results of days this much older than the newest one of their asset go when files are merged. Not by the clock: one
# that is wrong would take everything along.
KEPT = dt.timedelta(days=400)
# A month with more files is merged by who appends next.
MOST_FILES = 32

_ORDER = "checks"
_WHOLE = "whole"  # the month of what is about all days together
_ATTEMPTS = 30
_KEY = ("asset", "check", "judged")
_COLUMNS = (
    Column(name="asset", dtype="string"),
    Column(name="check", dtype="string", description="blank: a bucket that was built"),
    Column(name="judged", dtype="date", description="null: all days together"),
    Column(name="status", dtype="string"),
    Column(name="value", dtype="float64"),
    Column(name="limit", dtype="float64"),
    Column(name="because", dtype="string"),
    Column(name="numbers", dtype="string", description="of the measure, as JSON"),
    Column(name="root", dtype="string", description="the asset with the cause, where it is another or not built"),
    Column(name="mark", dtype="int64", description="of the buckets that were judged, added up"),
    Column(name="definition", dtype="string", description="hash of what it was judged by"),
    Column(name="at", dtype="timestamp"),
    Column(name="run", dtype="string"),
    Column(name="release", dtype="string"),
    Column(name="number", dtype="int64", description="of the append"),
)

_PASSED = (pl.col("check") != "") & (pl.col("status") == "pass")
_SCHEMA = {column.name: storage_dtype(column.dtype) for column in _COLUMNS}


class ResultsDamaged(Final):
    """The table, or a file of it, is not what was written."""


@dataclass(frozen=True)
class CheckVerdict:
    """A verdict on an asset; ``day`` is None for all its days together. ``mark`` and ``definition`` (by what it was
    judged) are None where nobody looked.
    """

    asset: str
    check: str
    day: dt.date | None
    status: Status
    value: float | None = None
    limit: float | None = None
    because: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    root: str = ""
    mark: int | None = None
    definition: str | None = None


@dataclass(frozen=True)
class Built:
    """A bucket there is, and the number that is another one once it is built anew."""

    asset: str
    day: dt.date
    mark: int


@dataclass(frozen=True)
class NewestVerdicts:
    """The newest of everything. ``verdicts`` and ``buckets`` have the table's columns. Of days before the window as
    well: ``ran`` are pairs of asset and check that ever had a verdict, ``newest`` is by asset the last day it has.
    ``passed`` says of what passed ever ``at`` which time last, by ``asset``, ``check`` and ``judged``.
    """

    verdicts: pl.DataFrame
    buckets: pl.DataFrame
    ran: frozenset[tuple[str, str]]
    newest: Mapping[str, dt.date]
    unrecorded: tuple[Unrecorded, ...] = ()
    passed: pl.DataFrame = field(default_factory=lambda: _passed(pl.DataFrame(schema=_SCHEMA)))

    @classmethod
    def nothing(cls) -> "NewestVerdicts":
        """Of a home of which nothing is known."""
        rows = pl.DataFrame(schema=_SCHEMA)
        return cls(rows, rows, frozenset(), {})

    @property
    def as_of(self) -> dt.datetime | None:
        """When the last verdict was told; None before the first."""
        found = self.verdicts["at"].max()
        return found if isinstance(found, dt.datetime) else None


@dataclass(frozen=True)
class Results:
    """All of a home, for one thread at a time: what it has read of the table's log it does not read again."""

    home: Home
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def table(self) -> LakeTable:
        return LakeTable(self.home, TABLE, _COLUMNS, ("month",), clock=self.clock)

    @cached_property
    def unrecorded(self) -> UnrecordedNotes:
        """What could not be kept, until it is."""
        return UnrecordedNotes(self.home)

    def record(
        self,
        told: Iterable[CheckVerdict],
        *,
        built: Callable[[], Iterable[Built]] = tuple,
        run: str | None,
        release: str,
    ) -> None:
        """Keep verdicts, and buckets, in one commit.

        ``built`` looks at the buckets; it is called again where somebody else appended meanwhile, so that what is kept
        last of a bucket is what was there last.

        Raises:
            Retryable: others appended all the time. Whatever storage says.
        """
        verdicts, table = list(told), self.table
        for _ in range(_ATTEMPTS):
            start = position(table, _ORDER)
            number = (start or 0) + 1
            rows = _rows(verdicts, built(), number=number, at=self.clock.now(), run=run, release=release)
            if not rows.height:
                return
            with suppress(PositionMoved):
                append(table, _by_month(rows), {_ORDER: (start, number)}, metadata={"run": run or ""})
                break
        else:
            raise ConcurrentWrite(f"{TABLE}: {_ATTEMPTS} appends in a row were overtaken by others; run it again")
        for (asset,), mine in rows.group_by("asset"):
            self.unrecorded.settle(str(asset), mine["judged"])
        self._tidy(table, rows["month"].unique().sort().to_list())

    def newest(self, first: dt.date) -> NewestVerdicts:
        """Of every check, asset and day from ``first`` on, and of all days together.

        Raises:
            ResultsDamaged: it cannot be known. An older verdict in place of one that is lost might be a green one.
        """
        with self._damage_named():
            return self._newest(first)

    def _newest(self, first: dt.date) -> NewestVerdicts:
        table = self.table
        files = table.files()
        recent = files.filter((pl.col("month") == _WHOLE) | (pl.col("month") >= _month(first)))
        rows = table.read(recent["path"].to_list()) if recent.height else pl.DataFrame(schema=_SCHEMA)
        older = files.join(recent, on="path", how="anti")["path"].to_list()
        ran, newest = _told_of(rows)
        told = rows.filter(pl.col("judged").is_null() | (pl.col("judged") >= first))
        rows = _newest(told)
        is_bucket = pl.col("check") == ""
        for of, days in self._of_older(older):
            ran |= of
            newest = {**newest, **{asset: max(day, newest.get(asset, day)) for asset, day in days.items()}}
        return NewestVerdicts(
            rows.filter(~is_bucket),
            rows.filter(is_bucket),
            frozenset(ran),
            newest,
            tuple(self.unrecorded.all()),
            _passed(told),
        )

    def _of_older(self, paths: Sequence[str]) -> Iterator["_Known"]:
        """What files of days before the window say; each is read once."""
        known = self._known
        for gone in known.keys() - set(paths):
            del known[gone]
        for path in paths:
            if path not in known:
                known[path] = _told_of(_some(self.table, path, ["asset", "check", "status", "judged"]))
            yield known[path]

    @cached_property
    def _known(self) -> "dict[str, _Known]":
        return {}

    def history(self, asset: str, check: str, first: dt.date) -> pl.DataFrame:
        """The newest row of each day from ``first`` on, oldest first, or the one of all days; with every number.

        Shapes:
            Out: the table's columns.
        Raises:
            ResultsDamaged: it cannot be known.
        """
        with self._damage_named():
            return self._history(asset, check, first)

    def _history(self, asset: str, check: str, first: dt.date) -> pl.DataFrame:
        files = self.table.files()
        recent = files.filter((pl.col("month") == _WHOLE) | (pl.col("month") >= _month(first)))["path"].to_list()
        if not recent:
            return pl.DataFrame(schema=_SCHEMA)
        rows = self.table.read(recent)
        mine = rows.filter(pl.col("asset") == asset, pl.col("check") == check)
        return _newest(mine.filter(pl.col("judged").is_null() | (pl.col("judged") >= first))).sort("judged")

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # a panic of Polars is no Exception
            if not isinstance(told := in_our_words(error), LogDamaged | Unreadable):
                raise
            why, _, _ = str(told).partition(";")  # what it goes on with is for tables that cannot be made again
            raise ResultsDamaged(
                f"{self.table.uri} is damaged ({why}), so what checks said is not known; delete that folder: every "
                "run fills it again, and `seqplat materialize FIRST LAST` has days judged again"
            ) from error

    def _tidy(self, table: LakeTable, months: Sequence[str]) -> None:
        """Merge months of many files. Who is at it already, or faster, does it for this one."""
        counts = dict(table.files().group_by("month").len().iter_rows())
        for month in months:
            if counts.get(month, 0) > MOST_FILES:
                try:
                    merge(table, month)
                    vacuum(table, dry_run=False)
                except (LeaseHeld, ConcurrentWrite, RecordConflict):
                    continue
                except (Exception, pl.exceptions.PanicException) as error:
                    # What was told is kept, and somebody else may have more luck.
                    _log.warning("%s %s cannot be merged: %s", TABLE, month, in_our_words(error) or error)


def merge(table: LakeTable, month: str) -> None:
    """Write the newest rows of a month, and of each check the last that passed, as one file, in place of the very files
    that were read; what is appended meanwhile stays. Months that are kept no longer go with it.

    Raises:
        LeaseHeld, ConcurrentWrite: somebody else does.
    """
    with hold(table.home, f"{table.name}/{month}", clock=table.clock):
        files = table.files()
        mine = files.filter(pl.col("month") == month)
        told = table.read(mine["path"].to_list())
        kept = pl.concat([_newest(told), _newest(told.filter(_PASSED))])
        rows = kept.unique([*_KEY, "number"], maintain_order=True).sort(*_KEY, "number")
        writer = FileWriter(table.home, table.name, table.stats)
        added = writer.write({"month": month}, table.checked({"month": month}, FilePart(rows, label="merged")), 0)
        gone = pl.concat([mine, _expired(table, files)]).unique("path")

        def check(_: DeltaTable) -> None:
            if missing := set(gone["path"]) - set(table.files()["path"]):
                raise ConcurrentWrite(f"{table.name} {month}: {len(missing)} file(s) were merged by another")

        now_ms = milliseconds(table.clock.now())
        removed = [
            RemoveAction(path, True, now_ms, size, {"month": of})
            for path, size, of in gone.select("path", "bytes", "month").iter_rows()
        ]
        table.commit([added, *removed], check=check, written_ms=writer.verify([added]))


def _expired(table: LakeTable, files: pl.DataFrame) -> pl.DataFrame:
    """Files of which every row is about a day long before the newest of its asset: one whose days have ended stays
    known, whatever others go on.
    """
    old = files.filter(pl.col("month") < _oldest(files))
    if not old.height:
        return old
    days = pl.concat(
        [_some(table, path, ["asset", "judged"]).with_columns(path=pl.lit(path)) for path in files["path"]]
    )
    is_kept = pl.col("judged").is_null() | (pl.col("judged") >= pl.col("judged").max().over("asset") - KEPT)
    return old.join(days.filter(is_kept), on="path", how="anti")


def _oldest(files: pl.DataFrame) -> str:
    """Before this month a day may be kept no longer; ``whole`` comes after all of them."""
    newest = files.filter(pl.col("month") != _WHOLE)["month"].max()
    return _month(dt.date.fromisoformat(f"{newest}-01") - KEPT) if isinstance(newest, str) else ""


def _some(table: LakeTable, path: str, columns: list[str]) -> pl.DataFrame:
    """Some columns of one file."""
    options = table.home.storage_options or None
    return pl.read_parquet(f"{table.uri}/{path}", columns=columns, hive_partitioning=False, storage_options=options)


def _rows(
    told: Iterable[CheckVerdict], built: Iterable[Built], *, number: int, at: dt.datetime, run: str | None, release: str
) -> pl.DataFrame:
    verdicts = [
        (
            *(v.asset, v.check, v.day, v.status, v.value, v.limit),
            *(_text(v.because), _json(v.numbers), v.root, v.mark, v.definition),
        )
        for v in told
    ]
    buckets = [(b.asset, "", b.day, "pass", None, None, "", "{}", "", b.mark, None) for b in built]
    said = dict(list(_SCHEMA.items())[:11])
    frame = pl.DataFrame([*verdicts, *buckets], schema=said, orient="row")
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in ("value", "limit")]
    return frame.with_columns(
        *finite,
        pl.lit(at).cast(_SCHEMA["at"]).alias("at"),
        pl.lit(run, pl.String).alias("run"),
        pl.lit(release).alias("release"),
        pl.lit(number, pl.Int64).alias("number"),
        pl.col("judged").dt.strftime("%Y-%m").fill_null(_WHOLE).alias("month"),
    )


def _by_month(rows: pl.DataFrame) -> Iterator[tuple[dict[str, str], FilePart]]:
    for (month,), part in rows.group_by("month", maintain_order=True):
        yield {"month": str(month)}, FilePart(part, label="told")


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("number", maintain_order=True).unique(_KEY, keep="last", maintain_order=True)


def _passed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(_PASSED).group_by(_KEY).agg(pl.col("at").max())


_Known: TypeAlias = tuple[set[tuple[str, str]], dict[str, dt.date]]


def _told_of(rows: pl.DataFrame) -> _Known:
    """Which checks have a verdict (an unjudged one says that nobody could look), and the last day of each asset."""
    looked = rows.filter(pl.col("check") != "", pl.col("status") != "unjudged")
    newest = rows.filter(pl.col("check") == "").group_by("asset").agg(pl.col("judged").max())
    return set(looked.select("asset", "check").unique().iter_rows()), dict(newest.iter_rows())


def _text(said: str) -> str:
    # Halves of characters, as a file name may have, are no UTF-8.
    return said[:MOST_CHARS].encode(errors="replace").decode()


def _json(numbers: Mapping[str, float]) -> str:
    # NaN and infinity are no JSON; a number that is neither is none.
    return json.dumps({name: value for name, value in numbers.items() if value - value == 0})


def _month(day: dt.date) -> str:
    return f"{day:%Y-%m}"

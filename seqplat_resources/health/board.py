"""All checks of a release as rows of cells: what was promised beside what was found, and what nobody looked at."""

import datetime as dt
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import polars as pl

from seqplat_resources.batch.days.existing import GRACE, missed_days, ranges_of
from seqplat_resources.health.attention import Attention, AttentionState
from seqplat_resources.health.checks import STREAM, VERDICT, PromisedCheck, promised
from seqplat_resources.health.incidents import Broken, Kind, by_cause
from seqplat_resources.health.results import Found, Results
from seqplat_resources.health.view import Cell, CheckRow, Health, Incident, Status, rank
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.window import DAYS as VERDICT_DAYS

DAYS = 30
# A stream tells of itself far more often while it runs; what it said before that is no news of now.
STREAM_SILENT = dt.timedelta(hours=1)
# What a cell shows of a reason; ``Results.history`` has all of it.
SHOWN_CHARS = 600

NOTHING = "nothing has been checked"
_NOTHING_RAN = "no run of this home has told any result yet"
_NEVER = "it never ran"
_NOT_BUILT = "not built"
_NOT_JUDGED = "built, and not judged"
_BUILT_SINCE = "built anew since it was judged"
_SILENT = "the stream has said nothing since"
_NOT_KEPT = "the results of a later run could not be kept"

_Key: TypeAlias = tuple[str, str, dt.date | None]
_Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What a home has of its checks: everything that a view is made of."""

    found: Found
    said: AttentionState


def look(runtime: Runtime, *, days: int = DAYS) -> Seen:
    """Read the results of a window, and what people said of them.

    Raises:
        LogDamaged, CannotSay, and what storage says: what is there cannot be read.
    """
    found = Results(runtime.home, runtime.clock).newest(_window(runtime, days)[0])
    return Seen(found, Attention(runtime.home, runtime.clock).current())


def health(
    runtime: Runtime, seen: Seen, *, days: int = DAYS, channel: str | None = None, errors: Sequence[str] = ()
) -> Health:
    """The view of a window; reads nothing but the clock. ``errors`` are what could not be read since."""
    board = _Board(runtime, seen.found, days)
    causes = list(by_cause([each for _, _, broken in board.rows for each in broken], board.window[-1]))
    ids = {(b.asset, b.check, b.cell.day): incident.id for incident, found in causes for b in found}
    if not seen.found.ran and not seen.found.buckets.height:
        causes = [(replace(incident, title=NOTHING, because=_NOTHING_RAN), found) for incident, found in causes]
    today = board.now.date()
    incidents = {incident.id: seen.said.noted(incident, today) for incident, _ in causes}
    never = [key for key in board.promises if key not in seen.found.ran]
    rows = [_row(promise, cells, ids, incidents, {*never}) for promise, cells, _ in board.rows]
    assets, unwell = {row.asset for row in rows}, {row.asset for row in rows if row.worst != "pass"}
    lost = [f"{each.asset}: results could not be kept: {each.why}" for each in seen.found.unrecorded]
    return Health(
        release=runtime.loaded.id,
        channel=channel or runtime.channel,
        days=tuple(board.window),
        data_up_to=board.newest,
        rows=tuple(sorted(rows, key=lambda row: rank(row.worst))),
        incidents=tuple(sorted(incidents.values(), key=_worst_first)),
        assets=len(assets),
        healthy=len(assets - unwell),
        need_you=sum(each.needs_you for each in incidents.values()),
        never_ran=tuple(never),
        at=board.now,
        as_of=seen.found.as_of,
        errors=(*errors, *lost),
    )


def _worst_first(each: Incident) -> tuple[bool, int, int]:
    return not each.needs_you, rank(each.status), -len(each.touches)


def _row(
    promise: PromisedCheck,
    cells: Sequence[Cell],
    ids: Mapping[_Key, str],
    incidents: Mapping[str, Incident],
    never: Container[tuple[str, str]],
) -> CheckRow:
    """A row of which nothing was to be looked at is well, unless nobody ever did."""
    key = (promise.asset, promise.check.name)
    named = tuple(replace(cell, incident=found) if (found := ids.get((*key, cell.day))) else cell for cell in cells)
    due = [cell for cell in named if cell.is_due]
    worst = min(due, key=lambda cell: rank(cell.status), default=None)
    cause = incidents.get(worst.incident or "") if worst else None
    return CheckRow(
        asset=promise.asset,
        layer=promise.layer,
        name=promise.name,
        tenant=promise.of.tenant,
        owner=promise.of.owner,
        check=promise.check.name,
        description=promise.check.description,
        blocking=promise.check.blocking,
        cells=named,
        worst=worst.status if worst else "unjudged" if key in never else "pass",
        muted_until=cause.muted_until if cause else None,
    )


def _window(runtime: Runtime, days: int, newest: dt.date | None = None) -> list[dt.date]:
    """The ``days`` up to the last one that any asset should have; up to ``newest`` where that is later, for the clock
    may have been set back.
    """
    yesterday = (runtime.clock.now() - GRACE).date() - dt.timedelta(days=1)
    ranges = ranges_of(runtime).values()
    ends = [min(each.end - dt.timedelta(days=1), yesterday) if each.end else yesterday for each in ranges]
    last = max([*ends, *([newest] if newest else [])], default=yesterday)
    return [last - dt.timedelta(days=n) for n in reversed(range(days))]


class _Board:
    """Cells of every promise, as was found."""

    def __init__(self, runtime: Runtime, found: Found, days: int) -> None:
        self.runtime, self.found = runtime, found
        self.now = runtime.clock.now()
        self.promises = {(each.asset, each.check.name): each for each in promised(runtime)}
        newest = found.buckets["judged"].max()
        self.newest = newest if isinstance(newest, dt.date) else None
        self.window = _window(runtime, days, self.newest)

    @cached_property
    def rows(self) -> list[tuple[PromisedCheck, list[Cell], list[Broken]]]:
        """Each promise with its cells, in the order of days, and those that are broken."""
        return [(promise, *self._cells(promise)) for promise in self.promises.values()]

    @cached_property
    def _built(self) -> Mapping[str, set[dt.date]]:
        return {str(asset): set(days) for asset, days in self.found.buckets.group_by("asset").agg("judged").iter_rows()}

    @cached_property
    def _lost(self) -> set[tuple[str, dt.date | None]]:
        return {(each.asset, day) for each in self.found.unrecorded for day in (*each.days, None)}

    @cached_property
    def _verdicts(self) -> Mapping[_Key, _Row]:
        """With ``_mark``, what a verdict would be about now, and ``_built``, the append that said so last."""
        of = [(p.asset, p.check.name, bucket) for p in self.promises.values() for bucket in p.judges]
        judges = pl.DataFrame(of, schema={"asset": pl.String, "check": pl.String, "bucket": pl.String}, orient="row")
        buckets = self.found.buckets.select(pl.col("asset").alias("bucket"), "judged", "mark", "number")
        now = judges.join(buckets, on="bucket")
        by_day = now.group_by("asset", "check", "judged").agg(_mark=pl.col("mark").sum(), _built=pl.col("number").max())
        together = _together(now.filter(pl.col("check") == VERDICT))
        expected = pl.concat([by_day, together])
        rows = self.found.verdicts.join(
            expected, on=["asset", "check", "judged"], how="left", nulls_equal=True, maintain_order="left"
        )
        return {(row["asset"], row["check"], row["judged"]): row for row in rows.iter_rows(named=True)}

    def _cells(self, promise: PromisedCheck) -> tuple[list[Cell], list[Broken]]:
        days = self.window if promise.check.measure is not None else [None]
        missed = set[dt.date]()
        if promise.days is not None:
            missed = set(missed_days(promise.days, self._built.get(promise.asset, set()), self.now, dt.date.min))
        cells, broken = list[Cell](), list[Broken]()
        for day in days:
            cell, kind, root = self._cell(promise, day, missed)
            cells.append(cell)
            if cell.is_due and cell.status != "pass":
                broken.append(Broken(promise, cell, kind, root))
        return cells, broken

    def _cell(self, promise: PromisedCheck, day: dt.date | None, missed: set[dt.date]) -> tuple[Cell, Kind, str]:
        row = self._verdicts.get((promise.asset, promise.check.name, day))
        if row is None:
            return self._unlooked(promise, day, missed)
        status: Status = row["status"]
        cell = Cell(
            day,
            status,
            value=row["value"],
            limit=row["limit"],
            because=row["because"][:SHOWN_CHARS],
            at=row["at"],
            run=row["run"],
        )
        why, kind = self._outdated(promise, row, day, missed)
        if status == "unjudged" and not why:
            return cell, "refused", row["root"] or promise.asset
        if status == "unjudged":
            return replace(cell, because=f"{_NOT_JUDGED}; before that: {cell.because}"[:SHOWN_CHARS]), "unjudged", ""
        if not why:
            return cell, "judged", row["root"]
        told = f"{why}; it said: {cell.because}" if cell.because else why
        return replace(cell, status="stale", was=status, because=told[:SHOWN_CHARS]), kind, ""

    def _unlooked(self, promise: PromisedCheck, day: dt.date | None, missed: set[dt.date]) -> tuple[Cell, Kind, str]:
        if day is None:
            return Cell(None, "unjudged", because=_NEVER), "never", ""
        if day in self._built.get(promise.asset, ()):
            ran = (promise.asset, promise.check.name) in self.found.ran
            return Cell(day, "unjudged", because=_NOT_JUDGED), "unjudged" if ran else "never", ""
        return Cell(day, "unjudged", because=_NOT_BUILT if day in missed else ""), "missed", ""

    def _outdated(
        self, promise: PromisedCheck, row: _Row, day: dt.date | None, missed: set[dt.date]
    ) -> tuple[str, Kind]:
        """Why a verdict says nothing of what there is now; blank where it does."""
        is_other = row["_mark"] is not None and row["_mark"] != row["mark"]
        # One of a day that could not be looked at has no mark; it is out of date once the day was built.
        if is_other and (row["mark"] is not None or row["_built"] > row["number"]):
            return _BUILT_SINCE, "stale"
        if (promise.asset, day) in self._lost:
            return _NOT_KEPT, "stale"
        if promise.layer == STREAM and self.now - row["at"] > STREAM_SILENT:
            return _SILENT, "stale"
        if day is None and row["status"] == "pass" and missed:
            return f"{min(missed)} to {max(missed)} were not built", "missed"
        return "", "judged"


def _together(now: pl.DataFrame) -> pl.DataFrame:
    """For verdicts on days together: the marks of the newest days that there are, added up."""
    own = pl.col("bucket") == pl.col("asset")
    newest = pl.col("judged").filter(own).max().over("asset", "check")
    recent = now.filter(pl.col("judged") > newest - pl.duration(days=VERDICT_DAYS), pl.col("judged") <= newest)
    summed = recent.group_by("asset", "check").agg(_mark=pl.col("mark").sum(), _built=pl.col("number").max())
    return summed.select("asset", "check", pl.lit(None, pl.Date).alias("judged"), "_mark", "_built")

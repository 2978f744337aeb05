"""Build ``sessions/<name>``: a bucket has the sessions that began on its day, and those that once did and are gone.

A day's sessions are a function of the events there are, however these came and in whatever order days were built. To
begin, or to end, beyond the days that are built here, a session needs events of other days: they are read for its user
alone, day by day, until nothing before or after can join it. The bucket notes which days these were.

>>> [(str(result.day), result.rows) for result in build(shop, "visit", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.batch.days.ledger import ranges
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import by_day, spans
from seqplat_resources.batch.inputs.views import NAMES, EventsMissing, Reach, ViewEvents
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.sessions import FINAL, OWNER, PROVISIONAL, STANDS, folded, numbered, revised, state
from seqplat_resources.times import DAY_US, FIRST_DAY, LAST_DAY, date_of, end_us, microseconds, midnight, number_of

_DAY = dt.timedelta(days=1)
_BOUNDS = ("session_id", *OWNER, "start_time", "end_time")


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the session buckets of ``days``. What did not change keeps its revision.

    Raises:
        EventsMissing: an event type of the view has no bucket for a day inside its partitions.
    """
    plan = ViewPlan.of(runtime.loaded, f"sessions/{name}")
    table, events = tables.view(runtime, plan), ViewEvents.open(runtime, plan)
    for first, last in ranges(days):
        for span in spans(_days(first, last), events.rows_by_day, alike=lambda day: not events.missing(day)):
            if missing := events.missing(span[0]):
                raise EventsMissing.of(f"sessions/{name}", span[0], missing)
            yield from _built(runtime, plan, table, events, span)


def _built(
    runtime: Runtime, plan: ViewPlan, table: LakeTable, events: ViewEvents, span: list[dt.date]
) -> Iterator[BucketResult]:
    watch, rows, around = Stopwatch(), dict[dt.date, pl.DataFrame](), _Around(events, span[0], span[-1])

    def notes() -> dict[str, str]:
        # Under the leases, so that what the buckets have is what is revised.
        around.before = _before(table, plan, span)
        with watch("sessions"):
            around.found = around.sessions(runtime.clock.now())
        return events.notes(around.reach(span))

    def parts() -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
        day = pl.col("start_time").dt.date()
        mine = around.found.filter(day.is_between(span[0], span[-1])).drop("chain_us", "closes_us", "is_followed")
        for of, changed in by_day(revised(around.before, mine, around.found.select(_BOUNDS)), day):
            rows[of] = changed
            yield {DAY: of}, FilePart(changed.select(list(table.schema)))

    with watch("total"):
        commits = table.replace_many([{DAY: day} for day in span], parts(), notes=notes)
    for day, commit in zip(span, commits, strict=True):
        facts = _facts(rows.get(day))
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.share(len(span)))


def _before(table: LakeTable, plan: ViewPlan, span: Sequence[dt.date]) -> pl.DataFrame:
    """What the buckets have, as far as sessions were called as they are now."""
    schema = {**table.schema, "scope": table.schema.get("scope", pl.String())}
    same = [day for day in span if table.notes({DAY: day}).get(NAMES) == plan.namer.version]
    if not same:
        return pl.DataFrame(schema=schema)
    rows = table.scan().filter(pl.col(DAY).is_in(same)).drop(DAY).collect()
    return rows if "scope" in rows.columns else rows.with_columns(scope=pl.lit(None, pl.String))


def _facts(rows: pl.DataFrame | None) -> dict[str, int | float]:
    if rows is None or not rows.height:
        return {"sessions": 0, "gone": 0, "events": 0, "final": 0}
    stands = rows.filter(pl.col("op") == STANDS)
    return {
        "sessions": stands.height,
        "gone": rows.height - stands.height,
        "events": int(stands["events"].sum()),
        "final": stands.filter(pl.col("state") == FINAL).height,
    }


@dataclass
class _Around:
    """The sessions of the days ``first`` to ``last``, whole.

    ``before`` are those that the buckets had: what took the place of one that is gone may begin after its day.
    """

    events: ViewEvents
    first: dt.date
    last: dt.date
    before: pl.DataFrame = field(default_factory=pl.DataFrame)
    found: pl.DataFrame = field(default_factory=pl.DataFrame)
    _rootless: list[pl.Series] = field(default_factory=list)

    def sessions(self, now: dt.datetime) -> pl.DataFrame:
        """As ``rules.sessions.folded``, with their ``state``; with some that begin before or after the days."""
        plan = self.events.plan
        rows = self._with_later(self._with_earlier(self.events.read(_days(self.first, self.last))))
        found = folded(numbered(rows, plan.cut), plan.cut, plan.aggregates, plan.namer)
        said = found.with_columns(state(now, pl.lit(self._sealed_us())).alias("state"))
        if not self._rootless:
            return said
        # They may begin on days that are not there yet.
        is_first = pl.col("chain_us") == pl.col("chain_us").min().over(OWNER)
        is_rootless = pl.col("user_id").is_in(pl.concat(self._rootless).implode()) & is_first
        changes = is_rootless & (pl.col("state") == FINAL)
        return said.with_columns(pl.when(changes).then(pl.lit(PROVISIONAL)).otherwise("state").alias("state"))

    def reach(self, span: Sequence[dt.date]) -> dict[dt.date, Reach]:
        """By day of ``span`` the days whose events decide its sessions: no event elsewhere can touch them."""
        gap_us, day = self.events.plan.cut.gap_us, pl.col("start_time").dt.date().alias(DAY)
        start_us, end_us_ = (pl.col(name).dt.epoch("us") for name in ("start_time", "end_time"))
        of_now = self.found.select(day, a=pl.col("chain_us") - gap_us, b=pl.col("closes_us") - 1)
        bounds = pl.concat([of_now, self.before.select(day, a=start_us, b=end_us_)]).group_by(DAY)
        known = {of: (a // DAY_US, b // DAY_US) for of, a, b in bounds.agg(pl.col("a").min(), pl.col("b").max()).rows()}
        found = dict[dt.date, Reach]()
        for number, each in ((number_of(each), each) for each in span):
            first, last = known.get(each, (number, number))
            found[each] = (max(min(number, first), FIRST_DAY), min(max(number, last), LAST_DAY))
        return found

    def _with_earlier(self, rows: pl.DataFrame) -> pl.DataFrame:
        """And the events before the first day of whoever's session may have begun there."""
        cut, begin, midnight_us = self.events.plan.cut, self.first, microseconds(midnight(self.first))
        time_us, begins, ends = pl.col("event_time").dt.epoch("us"), pl.col("begins"), pl.col("ends")
        # Of the days themselves, only a user's first events may be of a chain that began before.
        left = rows.filter((time_us == time_us.min().over(OWNER)) & (time_us - midnight_us < cut.gap_us))
        while True:
            chains = (
                numbered(left, cut)
                .group_by("chain")
                .agg(pl.col("user_id", "is_boundary").first(), begins=time_us.first(), ends=time_us.last())
            )
            is_near = begins - microseconds(midnight(begin)) < cut.gap_us
            is_root = pl.col("is_boundary").fill_null(False)
            users = chains.filter(is_near & ~is_root & (ends >= midnight_us))["user_id"].unique().sort()
            if not users.len() or not self._any_before(begin):
                break
            begin -= _DAY
            if self.events.missing(begin):
                self._rootless.append(users)
                break
            more = self.events.read([begin], users)
            rows, left = pl.concat([more, rows]), pl.concat([more, _of(left, users)])
        if begin == self.first:
            return rows
        # Where a chain begins that is over before the first day, nobody asked.
        is_over = time_us.last().over("chain") < midnight_us
        return numbered(rows, cut).filter(~is_over).drop("session", "chain")

    def _with_later(self, rows: pl.DataFrame) -> pl.DataFrame:
        """And the events after the last day of whoever's session may go on there."""
        plan, cut, end = self.events.plan, self.events.plan.cut, self.last
        # What took the place of a session that is gone may begin there.
        beyond = self.before.filter(pl.col("end_time").dt.date() >= end)["user_id"]
        while True:
            # Only who did something just before the end may go on; whether so is looked at closely after the first day.
            is_late = pl.col("event_time").dt.epoch("us") > end_us(end) - cut.gap_us
            users = rows.filter(is_late)["user_id"].unique()
            if end > self.last:
                found = folded(numbered(_of(rows, users), cut), cut, {}, plan.namer)
                is_mine = pl.col("start_time").dt.date() <= self.last
                goes_on = is_mine & ~pl.col("is_followed") & (pl.col("closes_us") > end_us(end))
                users = found.filter(goes_on)["user_id"]
            users = pl.concat([users, beyond]).unique().sort()
            end += _DAY
            if not users.len() or not self._any_after(end) or self.events.missing(end):
                return rows
            more, beyond = self.events.read([end], users), beyond.clear()
            rows = pl.concat([rows, more])

    def _any_before(self, day: dt.date) -> bool:
        starts = [start for start, _ in self.events.ranges.values()]
        return any(start is None or start < day for start in starts)

    def _any_after(self, day: dt.date) -> bool:
        ends = [end for _, end in self.events.ranges.values()]
        return any(end is None or day < end for end in ends)

    def _sealed_us(self) -> int:
        """Up to when there are events of all types without a hole, as far as it matters."""
        day, furthest = self.last, end_us(self.last) + self.events.plan.cut.cap_us + 1
        while end_us(day) < furthest and not self.events.missing(day + _DAY):
            day += _DAY
        return end_us(day)


def _of(rows: pl.DataFrame, users: pl.Series) -> pl.DataFrame:
    return rows.filter(pl.col("user_id").is_in(users.unique().implode()))


def _days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [date_of(number) for number in range(number_of(first), number_of(last) + 1)]

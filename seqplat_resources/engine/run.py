"""The straight line every runtime calls: keep -> normalize -> identify -> deduplicate -> order -> enrich."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import polars as pl

from seqplat_resources.engine.contract import EXECUTOR_ERRORS, Lookup
from seqplat_resources.engine.deduplicate import Deduplicated, deduplicate
from seqplat_resources.engine.enrich import enrich
from seqplat_resources.engine.outcome import Counts, Outcome, no_rejects, rejects_of, tally
from seqplat_resources.engine.plan import POSITION, EventPlan
from seqplat_resources.engine.typing import problem, typed
from seqplat_resources.errors import Final
from seqplat_resources.rules.identity import event_id
from seqplat_resources.rules.order import SOURCE_ORDER, by_user_newest_first, source_order

# Rows an executor may fail on one by one before the executor itself is taken to be broken.
MAX_ISOLATED_FAILURES = 1000
_AT = ["_partition", "_offset"]


class ExecutorFailed(Final):
    """An executor that raises on nearly everything, or whose output breaks its contract."""


def run(
    plan: EventPlan,
    raw: pl.DataFrame,
    lookup: Lookup,
    *,
    complete: bool = True,
    standing: Callable[[pl.DataFrame], pl.DataFrame] = lambda events: events,
) -> Outcome:
    """Turn decoded raw rows into events of one event type.

    Shapes:
        In: ``plan.raw_columns``, at least, of one day or of several: no day has a say in another's events.
        Out: ``plan.columns``, sorted by user and newest first; each kept raw row gives events, a reject, or a
        duplicate that was dropped.
    ``complete``: the rows are all there are for their users and days (batch), so that expressions over several rows
    have their final value. ``standing`` leaves out events that rows beside these have moved to another day.

    Raises:
        ExecutorFailed: more rows fail than can be called bad data.
    """
    stage = _ExecutorStage(plan)
    typed_events, bad = _identified(stage, raw)
    found = deduplicate(typed_events, plan.identity, plan.payload, plan.horizon)
    # Ordered first: a sum over rows, and the first of them, must not depend on how the rows were read.
    events = enrich(by_user_newest_first(standing(found.events)), plan.attachments, lookup, complete=complete)
    rejects = pl.concat([*stage.rejects, bad])
    by_day = _counted(raw, stage, found, events, rejects)
    return Outcome(events.select(list(plan.schema)), rejects, by_day)


def _counted(
    raw: pl.DataFrame, stage: "_ExecutorStage", found: Deduplicated, events: pl.DataFrame, rejects: pl.DataFrame
) -> dict[dt.date, Counts]:
    read, rejected = tally(raw["_event_time"].dt.date()), tally(rejects["day"])
    withdrawn = tally(stage.withdrawn.unique(["source_partition", "offset"])["event_time"].dt.date())
    raised_on = tally(pl.concat([no_rejects(), *stage.rejects])["day"])
    unique, left = (tally(frame["event_time"].dt.date()) for frame in (found.events, events))
    return {
        day: Counts(
            read=rows,
            filtered=rows - stage.kept[day] - raised_on[day] - withdrawn[day],
            withdrawn=withdrawn[day],
            rejected=rejected[day],
            duplicates=found.exact[day],
            conflicts=found.conflicts[day],
            moved=unique[day] - left[day],
            events=left[day],
        )
        for day, rows in sorted(read.items())
    }


def identified(plan: EventPlan, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first half of ``run``: every typed event with its identity, and the rejects.

    Nothing is deduplicated, enriched or ordered, so what a bucket should hold can be counted apart from its build.

    Raises:
        ExecutorFailed: more rows fail than can be called bad data.
    """
    stage = _ExecutorStage(plan)
    events, bad = _identified(stage, raw)
    return events, pl.concat([*stage.rejects, bad])


def _identified(stage: "_ExecutorStage", raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    events, bad = _typed(stage.plan, stage.run(raw), raw)
    stage.withdrawn = _withdrawn(stage.plan, raw, events.clear())
    return pl.concat([events, stage.withdrawn]) if stage.withdrawn.height else events, bad


class _ExecutorStage:
    """The executor's two steps inside one boundary: what it raises on becomes rejects, its broken contract an error."""

    def __init__(self, plan: EventPlan) -> None:
        self.plan = plan
        self.kept: Counter[dt.date] = Counter()
        self.rejects: list[pl.DataFrame] = []
        self.withdrawn = pl.DataFrame()

    def run(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Normalized events; if the executor raises, halve the rows until those it raises on are alone."""
        try:
            return self._step(raw)
        except ExecutorFailed:
            raise
        except Exception as error:
            if raw.height == 0:
                event_type = self.plan.event_type
                raise ExecutorFailed(
                    f"executor {event_type.executor!r} of event type {event_type.name!r} fails even without rows "
                    f"({_said(error)}); mend its filter or columns"
                ) from error
            if raw.height == 1:
                self._reject(raw, error)
                return self.run(raw.clear())
            middle = raw.height // 2
            return pl.concat([self.run(raw[:middle]), self.run(raw[middle:])], how="vertical_relaxed")

    def _step(self, raw: pl.DataFrame) -> pl.DataFrame:
        plan = self.plan
        kept = raw.filter(plan.executor.keep(plan.event_type, plan.source))
        events = _normalized(plan, kept)
        self.kept += tally(kept["_event_time"].dt.date())
        return events

    def _reject(self, row: pl.DataFrame, error: Exception) -> None:
        event_type = self.plan.event_type
        if len(self.rejects) >= MAX_ISOLATED_FAILURES:
            raise ExecutorFailed(
                f"executor {event_type.executor!r} failed on more than {MAX_ISOLATED_FAILURES} rows of event type "
                f"{event_type.name!r} (last: {_said(error)}); mend its filter or columns and run the day again"
            ) from error
        reason = pl.lit(f"{event_type.name}: {_said(error)}")
        self.rejects.append(rejects_of(row, reason=reason, day=pl.col("_event_time").dt.date()))


def _normalized(plan: EventPlan, raw: pl.DataFrame) -> pl.DataFrame:
    # Eager at the boundary: an executor's error must surface here, where its rows are known.
    events = plan.executor.normalize(raw.lazy(), plan.event_type, plan.source).collect()
    carried = [name for name in (plan.source.user_id, plan.source.rev, plan.source.op, plan.source.order) if name]
    wanted = list(dict.fromkeys([*(c.name for c in plan.event_type.columns), *carried, *POSITION]))
    if missing := [name for name in wanted if name not in events.columns]:
        raise ExecutorFailed(
            f"executor {plan.event_type.executor!r} did not produce {missing} for event type "
            f"{plan.event_type.name!r}; it gave {events.columns}"
        )
    return events.select(wanted)


def _withdrawn(plan: EventPlan, raw: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Retractions by the corrections that the filter leaves out: what they correct is not wanted any more.

    Shapes:
        Out: as ``like``. A row that cannot be identified, or that the executor raises on, gives none: it was filtered
        out, and is no reject.
    """
    rev = plan.source.rev
    if rev is None or not raw.height or not (raw[rev] > 0).any():
        return like
    keys = tuple(column for column in plan.event_type.columns if column.name in plan.identity)
    lenient = replace(
        plan,
        event_type=plan.event_type.model_copy(update={"columns": keys}),
        source=plan.source.model_copy(update={"op": None}),
    )
    found, waiting = [like], [raw.filter(pl.col(rev) > 0)]
    while waiting:
        rows = waiting.pop()
        try:
            kept = rows.filter(plan.executor.keep(plan.event_type, plan.source))
            events = _normalized(plan, rows.join(kept, on=_AT, how="anti", maintain_order="left"))
        except ExecutorFailed:
            raise
        except EXECUTOR_ERRORS:
            middle = rows.height // 2
            waiting += [rows[:middle], rows[middle:]] if middle else []
            continue
        said, _ = _typed(lenient, events, rows)
        empty = (pl.lit(None, dtype).alias(name) for name, dtype in like.schema.items() if name not in said.columns)
        found.append(said.with_columns(*empty, op=pl.lit("retract")).select(like.columns))
    return pl.concat(found)


def _typed(plan: EventPlan, events: pl.DataFrame, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Declared types, system columns and identity; events that lack any of them are rejects with their raw row."""
    source, event_type = plan.source, plan.event_type
    op = pl.col(source.op).str.to_lowercase().fill_null("upsert") if source.op else pl.lit("upsert")
    reason = pl.coalesce(
        problem(event_type.columns, events, required=plan.identity),
        pl.when(~op.is_in(["upsert", "retract"])).then(pl.format("op: {} is neither upsert nor retract", op)),
    )
    checked = events.with_columns(_reason=reason)
    bad = checked.filter(pl.col("_reason").is_not_null())
    rejects = no_rejects()
    if bad.height:
        first = bad.unique(_AT, keep="first", maintain_order=True).select(*_AT, "_reason")
        rejects = rejects_of(
            raw.join(first, on=_AT, how="inner", maintain_order="left"),
            reason=pl.lit(f"{event_type.name}: ") + pl.col("_reason"),
            day=pl.col("_event_time").dt.date(),
        )
    good = checked.filter(pl.col("_reason").is_null())
    good = good.with_columns(typed(c, events.schema[c.name]).alias(c.name) for c in event_type.columns)
    rev = pl.col(source.rev).cast(pl.Int64) if source.rev else pl.lit(0, pl.Int64)
    order = {SOURCE_ORDER: source_order(source.order, events.schema[source.order])} if source.order else {}
    return good.select(
        *(column.name for column in event_type.columns),
        tenant=pl.lit(event_type.tenant),
        event_type=pl.lit(event_type.name),
        user_id=pl.col(source.user_id or ""),
        event_id=event_id(plan.identity, good.schema),
        event_time=pl.col("_event_time"),
        ingest_time=pl.col("_ingest_time"),
        available_time=pl.col("_ingest_time"),
        rev=rev.fill_null(0),
        op=op,
        source_partition=pl.col("_partition"),
        offset=pl.col("_offset"),
        release=pl.lit(plan.release),
        shard=pl.col("_shard"),
        **order,
    ), rejects


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"

"""The straight line every runtime calls: keep -> normalize -> identify -> deduplicate -> order -> enrich.

>>> from seqplat_resources.batch.inputs.rows import RawInputs
>>> from seqplat_resources.engine.contract import NoLookup
>>> plan = EventPlan.of(shop.loaded, "purchase")
>>> outcome = run(plan, RawInputs.open(shop, plan).rows(pl.col("_shard") == 0), NoLookup())
>>> outcome.events.select("user_id", "event_id", "product", "price").rows()
[('ann', '4', 'tea', None), ('ann', '3', 'bread', None), ('ann', '1', 'tea', None), ('bob', '2', 'jam', None)]
"""

import datetime as dt
from collections import Counter
from dataclasses import replace

import polars as pl

from seqplat_resources.engine.contract import Lookup
from seqplat_resources.engine.deduplicate import Deduplication, deduplicate
from seqplat_resources.engine.enrich import enrich
from seqplat_resources.engine.outcome import Counts, Outcome, no_rejects, rejects_of, tally
from seqplat_resources.engine.plan import POSITION, EventPlan
from seqplat_resources.engine.superseded import OtherRows
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.rules.identity import event_id
from seqplat_resources.rules.known import SUPERSEDED_TIME
from seqplat_resources.rules.order import SOURCE_ORDER, by_user_newest_first, source_order
from seqplat_resources.values.isolation import RAISED_BY_VALUES, isolated, one_line
from seqplat_resources.values.typing import problem, typed

# Rows an executor may fail on one by one before it is looked whether the executor itself is broken, and how many rows
# are tried for that.
MAX_ISOLATED_FAILURES, SAMPLE_ROWS = 1000, 64
_AT = ["_partition", "_offset"]


class ExecutorFailed(Final):
    """An executor that raises on nearly everything, or whose output breaks its contract."""


def run(
    plan: EventPlan,
    raw: pl.DataFrame,
    lookup: Lookup,
    *,
    complete: bool = True,
    beside: OtherRows | None = None,
) -> Outcome:
    """Turn decoded raw rows into events of one event type.

    Shapes:
        In: ``plan.raw_columns``, at least, of one day or of several: no day has a say in another's events.
        Out: ``plan.columns``, sorted by user and newest first; each kept raw row gives events, a reject, or a
        duplicate that was dropped.
    ``complete``: the rows are all there are for their users and days (batch), so that expressions over several rows
    have their final value. ``beside`` leaves out events that rows beside these have moved to another day, and knows
    when each was visible.

    Raises:
        ExecutorFailed: more rows fail than can be called bad data.
    """
    stage = _ExecutorStage(plan)
    typed_events, bad = _identified(stage, raw)
    if beside is not None and beside.stamped is not None:
        typed_events = beside.stamped(typed_events)
    found = deduplicate(typed_events, plan.identity, plan.payload, plan.horizon)
    left = found.events if beside is None else beside.standing(found.events, plan)
    # Ordered first: a sum over rows, and the first of them, must not depend on how the rows were read.
    events = enrich(by_user_newest_first(left), plan.attachments, lookup, complete=complete)
    rejects = pl.concat([*stage.rejects, bad])
    by_day = _counted(raw, stage, found, events, rejects)
    superseded = None if beside is None else _superseded(plan, beside, found, lookup)
    return Outcome(events.select(list(plan.schema)), rejects, by_day, superseded)


def _superseded(plan: EventPlan, beside: OtherRows, found: Deduplication, lookup: Lookup) -> pl.DataFrame | None:
    rows = beside.superseded(found.copies, found.events, plan)
    if rows is None:
        return None
    # They are not all rows of their users: what is said over several rows is not known of them.
    enriched = enrich(by_user_newest_first(rows), plan.attachments, lookup, complete=False)
    return enriched.select(*plan.schema, SUPERSEDED_TIME)


def _counted(
    raw: pl.DataFrame, stage: "_ExecutorStage", found: Deduplication, events: pl.DataFrame, rejects: pl.DataFrame
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
        self._raw, self._raised_on = pl.DataFrame(), 0

    def run(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Normalized events of the rows on which the executor does not raise; the others are rejects."""
        self._raw, self._raised_on = raw, 0
        try:
            found = isolated(raw, self._counted_step)
        except (Final, Retryable):
            raise
        except RAISED_BY_VALUES as error:
            event_type = self.plan.event_type
            raise ExecutorFailed(
                f"executor {event_type.executor!r} of event type {event_type.name!r} fails even without rows "
                f"({one_line(error)}); mend its filter or columns"
            ) from error
        if found.failed:
            reasons = pl.Series([f"{self.plan.event_type.name}: {error}" for error in found.failed.values()])
            bad = raw[list(found.failed)].with_columns(_reason=reasons)
            self.rejects.append(_rejects(self.plan, bad, pl.col("_reason")))
        return found.done

    def _counted_step(self, raw: pl.DataFrame) -> pl.DataFrame:
        try:
            return self._step(raw)
        except RAISED_BY_VALUES as error:
            self._raised_on += raw.height == 1
            if self._raised_on == MAX_ISOLATED_FAILURES and not isinstance(error, Final | Retryable):
                self._check_sample(error)
            raise

    def _check_sample(self, error: BaseException) -> None:
        """Bad data is some of the rows, however many; a broken executor raises on most of them.

        Raises:
            ExecutorFailed: it does on most of those that are tried, which lie evenly among all.
        """
        sample = self._raw.gather_every(max(1, self._raw.height // SAMPLE_ROWS))
        raised_on = 0
        for number in range(sample.height):
            try:
                self._made(sample[number : number + 1])
            except RAISED_BY_VALUES:
                raised_on += 1
        if 2 * raised_on > sample.height:
            event_type = self.plan.event_type
            raise ExecutorFailed(
                f"executor {event_type.executor!r} failed on more than {MAX_ISOLATED_FAILURES} rows of event type "
                f"{event_type.name!r} (last: {one_line(error)}); mend its filter or columns and run the day again"
            ) from error

    def _step(self, raw: pl.DataFrame) -> pl.DataFrame:
        events, kept = self._made(raw)
        self.kept += tally(kept["_event_time"].dt.date())
        return events

    def _made(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The events, and the raw rows that were kept for them."""
        plan = self.plan
        kept = raw.filter(plan.executor.keep(plan.event_type, plan.source))
        return _normalized(plan, kept), kept


def _rejects(plan: EventPlan, raw: pl.DataFrame, reason: pl.Expr) -> pl.DataFrame:
    """Raw rows that gave no event: the fields of their source, as they were typed."""
    fields = [column.name for column in plan.source.columns]
    return rejects_of(raw, reason=reason, day=pl.col("_event_time").dt.date(), fields=fields)


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

    def retractions(rows: pl.DataFrame) -> pl.DataFrame:
        kept = rows.filter(plan.executor.keep(plan.event_type, plan.source))
        events = _normalized(plan, rows.join(kept, on=_AT, how="anti", maintain_order="left"))
        made, _ = _typed(lenient, events, rows)
        empty = (pl.lit(None, dtype).alias(name) for name, dtype in like.schema.items() if name not in made.columns)
        return made.with_columns(*empty, op=pl.lit("retract")).select(like.columns)

    return pl.concat([like, isolated(raw.filter(pl.col(rev) > 0), retractions).done])


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
        of_bad = raw.join(first, on=_AT, how="inner", maintain_order="left")
        rejects = _rejects(plan, of_bad, pl.lit(f"{event_type.name}: ") + pl.col("_reason"))
    good = checked.filter(pl.col("_reason").is_null())
    types = events.schema
    good = good.with_columns(typed(c, types[c.name]).alias(c.name) for c in event_type.columns)
    rev = pl.col(source.rev).cast(pl.Int64) if source.rev else pl.lit(0, pl.Int64)
    order = {SOURCE_ORDER: source_order(source.order, types[source.order])} if source.order else {}
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

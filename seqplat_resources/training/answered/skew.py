"""How far what was served is from what ``as_known`` says: answer by answer and event by event, with causes.

>>> from seqplat_resources.times import instant
>>> from seqplat_resources.training.answered.write import RecordedAnswer, append_answers
>>> empty = RecordedAnswer("r1", "ann", 1_714_608_000_000_000, "{}", "a", 0, b"")
>>> append_answers(shop.home, shop.clock, shop.release, "basket", [empty])
>>> found = skew(shop, "basket", instant(0), shop.clock.now())
>>> found.answers, found.equal
(1, 1)
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.training.answered.match import ANSWER
from seqplat_resources.training.answered.served import ServedReader
from seqplat_resources.training.point_in_time import Span
from seqplat_resources.training.revisions import FROM, TIME, UNTIL, USER, RevisionReader
from seqplat_resources.training.shard import taken_of

MISSING: Final = "missing"
EXTRA: Final = "extra"
REVISED: Final = "revised"
# Rows of users that are looked at together: some 500 MB.
_ROWS_AT_ONCE = 1_000_000
_SHOWN = 5
_EVENT = ["_answer", "event_type", "event_id"]
_REVISION = [*_EVENT, "event_time", "rev"]
_TOLD = ["request", "at", "length", "partial", "degraded", "sealed_through"]


@dataclass
class Skew:
    """``equal`` of ``answers`` have the events of ``as_known`` in their revisions and order; ``reordered`` have them in
    another order.

    ``differences`` count, by what and cause, events and the answers that they are in. ``missing``: known, and not
    served; ``extra``: served, and not known; ``revised``: served in another revision. ``not_compared`` are answers, by
    why; ``dropped`` could not be recorded. ``examples`` are some of the differences.
    """

    sequence: str
    answers: int = 0
    equal: int = 0
    reordered: int = 0
    events: int = 0
    dropped: int = 0
    differences: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    not_compared: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of answers that differ in anything."""
        return 1 - self.equal / self.answers if self.answers else 0.0


def skew(runtime: Runtime, sequence: str, since: dt.datetime, until: dt.datetime) -> Skew:
    """Compare the answers that were recorded from ``since`` (inclusive) until ``until``.

    Raises:
        UnknownSequence: there is none of that name.
        QueryError: none of its answers are recorded, it divides users between two pipelines, or it collapses.
    Cost:
        Memory of some 500 MB, whatever the number of answers; events of the users who were answered are read once for
        each choice of events that requests made.
    """
    plan, found = SequencePlan.of(runtime.loaded, sequence), Skew(sequence)
    if plan.arms:
        what = f"users of {', '.join(plan.arms)} are divided between two pipelines, which as_known knows nothing of"
        raise QueryError("sequence", what, fix="compare once all have ours, or a sequence without these event types")
    if plan.collapse is not None:
        what = f"rows of sequence {sequence!r} stand for several events, which are not recorded"
        raise QueryError("sequence", what, fix="compare a sequence that does not collapse")
    columns = ["event_type", "event_id"]
    whole = RevisionReader.open(runtime, plan, Query(columns=columns), "as_known")
    served, users = ServedReader.open(runtime, whole, Query()), whole.everybody()
    is_wanted = pl.col("at").is_between(since, until, closed="left")
    said = served.table.scan().filter(is_wanted, pl.col("request").is_not_null()).select("user", "query", "length")
    mine = served.answers(users).filter(is_wanted).select(*ANSWER, "query", *_TOLD[2:]).unique(ANSWER).collect()
    recorded, empty = (said.select(pl.len()), said.filter(pl.col("length") == 0).select(pl.len()))
    known_empty = mine.filter(pl.col("length") == 0).height
    # Who has no event at all in the lake was rightly told of none.
    of_nobody = int(empty.collect().item()) - known_empty
    found.answers, found.equal = of_nobody, of_nobody
    if lost := int(recorded.collect().item()) - of_nobody - mine.height:
        found.not_compared["to users without any event in the lake"] = lost
    found.dropped = served.dropped()
    for (text,), answers in mine.sort("query", USER, "at").group_by("query", maintain_order=True):
        try:
            asked = query_of(str(text))
            reader = RevisionReader.open(runtime, plan, Query(columns, **asked), "as_known")
        except QueryError as error:
            found.not_compared[f"to {text}, which cannot be asked now ({error})"] += answers.height
            continue
        span = reader.span(Query(limit=asked.get("limit")), runtime.clock.now())
        for part in _parts(reader, answers, span):
            _compare(found, reader, served, span, part)
    return found


def query_of(text: str) -> dict[str, Any]:
    """What ``write.asked_of`` said, as fields of a query."""
    said: dict[str, Any] = json.loads(text)
    return said | {name: dt.datetime.fromisoformat(said[name]) for name in ("since", "until") if name in said}


def _days(answers: pl.DataFrame, span: Span) -> tuple[dt.date, dt.date]:
    """The first and the last day of which an answer should have anything."""
    return span.days(answers["at"].min(), answers["at"].max())  # type: ignore[arg-type]


def _parts(reader: RevisionReader, answers: pl.DataFrame, span: Span) -> Iterator[pl.DataFrame]:
    """Answers of users who together have so many rows."""
    counted = reader.users(answers[USER], *_days(answers, span))
    each = answers.group_by(USER, maintain_order=True).agg(pl.col("length").sum())
    sized = each.join(counted, on=USER, how="left", maintain_order="left").select(
        USER, (pl.col("rows").fill_null(0) + pl.col("length")).cum_sum().floordiv(_ROWS_AT_ONCE).alias("_part")
    )
    numbered = answers.join(sized, on=USER, maintain_order="left")
    for part in numbered.partition_by("_part", include_key=False):
        yield part.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("_answer"))


def _compare(found: Skew, reader: RevisionReader, served: ServedReader, span: Span, answers: pl.DataFrame) -> None:
    first, last = _days(answers, span)
    named = {"_event_type": "event_type", "_event_id": "event_id", TIME: "event_time", "_rev": "rev"}
    rows = reader.named(answers[USER].unique().sort(), first, last)
    places, counts = taken_of(rows, answers[USER], answers["at"], span, corrected=False).places(0, answers.height)
    rows = rows.select(USER, FROM, UNTIL, *(pl.col(name).alias(out) for name, out in named.items()))
    expected = _ranked(
        rows[places].with_columns(pl.Series("_answer", np.repeat(answers["_answer"].to_numpy(), counts)))
    )
    events = _ranked(served.events(answers.select("_answer", *ANSWER)))

    both = events.join(expected, on=_REVISION)
    more, less = (
        one.join(other, on=_REVISION, how="anti").join(answers.select("_answer", *_TOLD), on="_answer")
        for one, other in ((events, expected), (expected, events))
    )
    extra, missing = more.join(less, on=_EVENT, how="anti"), less.join(more, on=_EVENT, how="anti")
    revised = more.join(less, on=_EVENT, how="semi").unique(_EVENT, maintain_order=True)
    differing = [
        _told(_of_served(revised, rows, reader, span), REVISED),
        _told(_of_served(extra, rows, reader, span), EXTRA),
        _told(_of_missing(missing, events, span), MISSING),
    ]
    all_of = pl.concat(differing)
    differs, moved = (
        all_of["_answer"].unique(),
        both.filter(pl.col("_rank") != pl.col("_rank_right"))["_answer"].unique(),
    )
    reordered = moved.filter(~moved.is_in(differs.implode())).len()
    found.answers += answers.height
    found.events += events.height
    found.reordered += reordered
    found.equal += answers.height - differs.len() - reordered
    for what, cause, number, of_answers in (
        all_of.group_by("what", "cause")
        .agg(pl.len(), pl.col("_answer").n_unique().alias("of"))
        .sort("what", "cause")
        .iter_rows()
    ):
        before = found.differences.setdefault(what, {}).get(cause, (0, 0))
        found.differences[what][cause] = before[0] + number, before[1] + of_answers
    found.examples += all_of.drop("_answer").head(_SHOWN - len(found.examples)).to_dicts()


def _ranked(events: pl.DataFrame) -> pl.DataFrame:
    """With the place of each event in its answer."""
    return events.with_columns(pl.int_range(pl.len()).over("_answer").alias("_rank"))


def _told(events: pl.DataFrame, what: str) -> pl.DataFrame:
    return events.select("_answer", pl.lit(what).alias("what"), "cause", "request", "at", *_REVISION[1:])


def _of_served(events: pl.DataFrame, rows: pl.DataFrame, reader: RevisionReader, span: Span) -> pl.DataFrame:
    """With the cause why ``as_known`` has not what was served."""
    at = events["at"].to_physical().to_numpy()
    since = span.since(at)
    starts = pl.lit(None, pl.Int64) if since is None else pl.Series("_since", since)
    names = [USER, *_REVISION[1:]]
    known = rows.sort(FROM).unique(names, keep="first", maintain_order=True)
    built = pl.DataFrame(
        [(name, day) for name, days in reader.days_built().items() for day in days],
        schema={"event_type": pl.String, "_day": pl.Date},
        orient="row",
    ).with_columns(_is_built=True)
    looked_up = (
        events.with_columns(starts.alias("_since"), pl.col("event_time").dt.date().alias("_day"))
        .join(known, on=names, how="left", maintain_order="left")
        .join(built, on=["event_type", "_day"], how="left", maintain_order="left")
    )
    cause = (
        pl.when(pl.col("event_time") >= pl.col("at"))
        .then(pl.lit("ahead of its time"))
        .when(pl.col("event_time").to_physical() < pl.col("_since"))
        .then(pl.lit("before the window"))
        .when(pl.col("_is_built").is_null())
        .then(pl.lit("day not built"))
        .when(pl.col(FROM).is_null())
        .then(pl.lit("not in the lake"))
        .when(pl.col(FROM) > pl.col("at"))
        .then(pl.lit("known later"))
        .when(pl.col(UNTIL) <= pl.col("at"))
        .then(pl.lit("outranked before"))
        .otherwise(pl.lit("beyond the length"))
    )
    return looked_up.with_columns(cause.alias("cause"))


def _of_missing(events: pl.DataFrame, served: pl.DataFrame, span: Span) -> pl.DataFrame:
    """With the cause why an answer had not what was known."""
    oldest = served.group_by("_answer").agg(pl.col("event_time").min().alias("_oldest"))
    is_full = pl.lit(False) if span.length is None else pl.col("length") >= span.length
    damaged = pl.col("degraded").list.eval(pl.element().str.contains("damaged block", literal=True)).list.any()
    cause = (
        pl.when("partial")
        .then(pl.lit("cut short by the deadline"))
        .when(damaged)
        .then(pl.lit("damaged blocks"))
        .when(is_full & (pl.col("event_time") <= pl.col("_oldest")))
        .then(pl.lit("beyond the length"))
        .when((pl.col("event_time") >= pl.col("sealed_through")).fill_null(True))
        .then(pl.lit("not published yet"))
        .otherwise(pl.lit("unexplained"))
    )
    return events.join(oldest, on="_answer", how="left", maintain_order="left").with_columns(cause.alias("cause"))

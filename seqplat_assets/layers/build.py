"""The one body of all assets: run a build over the days of the run, tell Dagster what each day gave.

A day that cannot be built costs no other. The step ends with an error that names such days, after it has handed on the
others: what is made of those goes on (``preview.EXECUTOR``), and a re-execution from failure builds what is missing.

>>> from seqplat_resources.batch.days.result import BucketResult
>>> numbers(BucketResult("events/purchase", dt.date(2024, 5, 1), 2, 700, 3))
{'dagster/row_count': 2, 'dagster/size_bytes': 700, 'delta_version': 3}
"""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import dagster as dg

from seqplat_assets.layers.daybook import Daybook, not_built
from seqplat_assets.layers.days import days_of
from seqplat_assets.layers.recording import keep
from seqplat_assets.layers.unjudged import hold_up, say_days_built
from seqplat_assets.runs.liveness import say_process
from seqplat_assets.runs.preview import built_before, check_step, is_planned, of_days
from seqplat_resources.batch.backfill.rates import Sample, Step, note
from seqplat_resources.batch.days.outcomes import DayFailed, outcomes
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.errors import Retryable, SeqplatError
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.health.results import CheckVerdict

Build: TypeAlias = Callable[[Sequence[dt.date]], Iterator[BucketResult]]

# A held lease or a busy store clears within minutes; after 5, 10, 20, 40 and 80 s a person should look.
RETRIES = 5
FIRST_WAIT_S = 5

# The tag of a run that builds single columns: as JSON, by event type.
COLUMNS = "seqplat/columns"

# A long range run says where it is this often; each line costs a row in the event log.
REPORT_EVERY_S = 10


@dataclass
class _Done:
    """What became of the days of one attempt. ``problems`` are those that nothing may be made of.

    Where it ``goes_on`` without files, what is made of such a day waits for it cell by cell, and Dagster is told that
    it is there and empty; the ledger and its checks know better. Where it ``is_patient``, such a day is no problem.
    """

    built: list[BucketResult] = field(default_factory=list)
    awaited: dict[dt.date, str] = field(default_factory=dict)
    failed: dict[dt.date, BaseException] = field(default_factory=dict)
    waiting: dict[dt.date, str] = field(default_factory=dict)
    goes_on: bool = False
    is_patient: bool = False

    @property
    def passing(self) -> bool:
        """Whether any failure may pass by itself."""
        return any(isinstance(error, Retryable) for error in self.failed.values())

    @property
    def problems(self) -> dict[dt.date, str]:
        """Of its own; days that wait for another asset are not among them."""
        is_problem = not (self.goes_on or self.is_patient)
        awaited = {day: f"waits for files: {why}" for day, why in self.awaited.items() if is_problem}
        failed = {day: str(error).strip() or type(error).__name__ for day, error in self.failed.items()}
        return dict(sorted({**awaited, **failed}.items()))


def build(context: dg.AssetExecutionContext, run: Build, book: Daybook) -> Iterator[dg.MaterializeResult[Any]]:
    """Build the run's days and attach each day's numbers to its materialization.

    A day for which something it is made of is not well is not tried. If the run is cancelled, the days before are
    recorded: they are built.

    Raises:
        dg.Failure: some day was not built; the others are handed on. dg.RetryRequested: it may pass by itself.
    """
    say_process(context.instance, context.run.run_id)  # who waits for this run must not wait for one that is gone
    days = days_of(context)
    before = built_before(context) - set(map(str, book.troubles.of(book.asset)))
    done, told, began = _Done(goes_on=book.goes_on, is_patient=book.is_patient), list[CheckVerdict](), time.monotonic()
    if is_planned(context, check_step(book.asset)):
        with errors_told():
            book.troubles.begin(book.asset, context.run.run_id, days)
    try:
        yield from _built(context, run, book, [day for day in days if str(day) not in before], days, done, told)
    finally:
        keep(context, book.runtime, told, buckets=[book.asset], days=[result.day for result in done.built])
        step: Step = "columns" if columns_of(context.run, book.asset) else "build"
        note(book.runtime.home, book.asset, step, _sample(done.built, time.monotonic() - began))


def columns_of(run: dg.DagsterRun, asset: str) -> tuple[str, ...]:
    """The columns of an event type that the run is to build alone; none: it builds days as a whole."""
    by_type: dict[str, list[str]] = json.loads(run.tags.get(COLUMNS, "{}"))
    return tuple(by_type.get(asset.removeprefix("events/"), ()))


def _sample(built: Sequence[BucketResult], seconds: float) -> Sample:
    """What was published says its bytes once for all days."""
    published = built[0].facts.get("bytes_written", 0) if built else 0
    size = sum(each.bytes for each in built) or int(published)
    return Sample(len(built), sum(each.rows for each in built), size, seconds)


def _built(
    context: dg.AssetExecutionContext,
    run: Build,
    book: Daybook,
    wanted: Sequence[dt.date],
    days: Sequence[dt.date],
    done: _Done,
    told: list[CheckVerdict],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Build the ``wanted`` of the run's ``days``; what became of them is in ``done``, and what it means for checks in
    ``told``, also where this raises.
    """
    try:
        _attempt(context, run, book, wanted, done)
    except BaseException:
        _record(context, done.built, book)
        with suppress(Exception):  # what ended the attempt is what people should see
            _keep(book, done)
        raise
    with errors_told():
        _keep(book, done)
    if done.passing and context.retry_number < RETRIES:
        _record(context, done.built, book)
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=FIRST_WAIT_S) from _first(done)
    missing = {**done.waiting, **done.problems}
    if len(missing) == len(days):
        with errors_told():
            told += hold_up(context, book, missing, itself=True)
        book.troubles.end(book.asset, context.run.run_id)  # no check will look at any of them
    else:
        of_days(context, {str(result.day): numbers(result) for result in done.built})
        yield dg.MaterializeResult(metadata={"release": book.runtime.loaded.id[:12]})
    with suppress(SeqplatError):  # what cannot be judged is not worth more than what was built
        told.append(say_days_built(context, book))
    if missing:
        raise not_built(book.asset, days, done.problems, done.waiting) from _first(done)


def numbers(result: BucketResult) -> dict[str, Any]:
    """What the UI shows and plots for one day."""
    seconds = {f"seconds_{step}": round(taken, 4) for step, taken in result.seconds.items()}
    written = {"delta_version": result.version} if result.version >= 0 else {}
    size = {"dagster/size_bytes": result.bytes} if result.bytes else {}
    account = {"account": dg.MetadataValue.md(result.account)} if result.account else {}
    return {"dagster/row_count": result.rows, **size, **written, **result.facts, **seconds, **account}


@contextmanager
def errors_told() -> Iterator[None]:
    """Our errors in Dagster's words: retry what may pass by itself, fail at once on what will not.

    Raises:
        dg.RetryRequested, dg.Failure: anything else passes as it is.
    """
    try:
        yield
    except BaseException as error:  # a panic of Polars is no Exception
        told = in_our_words(error)
        if told is None:
            raise
        if told is not error:
            told.__cause__ = error  # the run's page shows both
        if isinstance(told, Retryable):
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=FIRST_WAIT_S) from told
        raise dg.Failure(str(told), metadata={"error": type(told).__name__}, allow_retries=False) from told


def _attempt(
    context: dg.AssetExecutionContext, run: Build, book: Daybook, days: Sequence[dt.date], done: _Done
) -> None:
    done.waiting = book.waiting(days)
    said = time.monotonic()
    for outcome in outcomes(run, [day for day in days if day not in done.waiting]):
        if isinstance(outcome, DayFailed):
            done.failed[outcome.day] = outcome.error
            context.log.error(f"{book.asset} {outcome.day}: {outcome.error}")
            continue
        if outcome.awaited:
            done.awaited[outcome.day] = outcome.awaited
            context.log.info(f"{book.asset} {outcome.day} is not built: {outcome.awaited}")
        if done.goes_on or not outcome.awaited:
            done.built.append(outcome)
        if time.monotonic() - said > REPORT_EVERY_S:
            said = time.monotonic()
            context.log.info(f"{book.asset} {outcome.day}: {len(done.built)} of {len(days)} days built")


def _keep(book: Daybook, done: _Done) -> None:
    """Write down how the days stand, so that whatever comes next knows, in this run and in others."""
    book.built(result.day for result in done.built if not result.awaited)
    book.note({day: str(error).strip() or type(error).__name__ for day, error in done.failed.items()}, "failed")
    book.note(done.awaited, "pending")
    book.waits(done.waiting)


def _first(done: _Done) -> BaseException | None:
    return next(iter(done.failed.values()), None)


def _record(context: dg.AssetExecutionContext, done: Sequence[BucketResult], book: Daybook) -> None:
    for result in done:
        event = dg.AssetMaterialization(
            context.asset_key,
            partition=result.day.isoformat(),
            metadata={**numbers(result), "release": book.runtime.loaded.id[:12]},
        )
        context.log_event(event)

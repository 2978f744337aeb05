"""The one body of all assets: run a build over the days of the run, tell Dagster what each day gave."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import dagster as dg

from seqplat_assets.days import days_of
from seqplat_assets.liveness import WORK, say_process
from seqplat_resources.batch.result import BucketResult
from seqplat_resources.errors import Retryable
from seqplat_resources.foreign_errors import in_our_words

Build: TypeAlias = Callable[[Sequence[dt.date]], Iterator[BucketResult]]

# A held lease or a busy store clears within minutes; after 5, 10, 20, 40 and 80 s a person should look.
RETRIES = 5
FIRST_WAIT_S = 5

# A long range run says where it is this often; each line costs a row in the event log.
REPORT_EVERY_S = 10


def build(context: dg.AssetExecutionContext, run: Build, *, release: str) -> dg.MaterializeResult[Any]:
    """Build the run's days and attach each day's numbers to its materialization.

    If a day fails for good, or the run is cancelled, the days before it are recorded as materialized: they are.
    """
    if WORK in context.run.tags:  # somebody waits for this run, and must not wait for a process that is gone
        say_process(context.instance, context.run.run_id)
    days = days_of(context)
    done: list[BucketResult] = []
    said = time.monotonic()
    try:
        with errors_told():
            for result in run(days):
                done.append(result)
                context.add_asset_metadata(numbers(result), partition_key=result.day.isoformat())
                if time.monotonic() - said > REPORT_EVERY_S:
                    said = time.monotonic()
                    context.log.info(f"{result.table} {result.day}: {len(done)} of {len(days)} days built")
    except BaseException as error:
        if not isinstance(error, dg.RetryRequested) or context.retry_number >= RETRIES:
            _record(context, done, release)
        raise
    return dg.MaterializeResult(metadata={"release": release[:12]})


def numbers(result: BucketResult) -> dict[str, Any]:
    """What the UI shows and plots for one day."""
    seconds = {f"seconds_{step}": round(taken, 4) for step, taken in result.seconds.items()}
    written = {"delta_version": result.version} if result.version >= 0 else {}
    size = {"dagster/size_bytes": result.bytes} if result.bytes else {}
    return {"dagster/row_count": result.rows, **size, **written, **result.facts, **seconds}


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


def _record(context: dg.AssetExecutionContext, done: Sequence[BucketResult], release: str) -> None:
    for result in done:
        event = dg.AssetMaterialization(
            context.asset_key,
            partition=result.day.isoformat(),
            metadata={**numbers(result), "release": release[:12]},
        )
        context.log_event(event)

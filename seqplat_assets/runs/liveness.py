"""Whether a stream has a run that reads it, decided from run storage alone. Pure, but for the look at a process.

>>> failed = Attempt("run 1", dg.DagsterRunStatus.FAILURE, created_at=100, started_at=101, ended_at=110)
>>> wants_another([failed], now=111, life_s=3_600), wants_another([failed], now=500, life_s=3_600)
(False, True)
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from seqplat_resources.records.process import is_gone, this_process

# Who executes a run, as the run itself says when it starts. The launcher of one host does not notice that a worker is
# gone when its code server went with it: such a run would count as alive for ever.
PROCESS = "seqplat/process"
# What kind of work a run is: ``stream`` before ``reseal`` before anything else, with limits of their own.
WORK = "seqplat/work"
# The tag of a run that Dagster made of a backfill of its own.
BACKFILL_ID = "dagster/backfill"

# The successor starts this long before a run ends: a run takes up to ten seconds to start.
HANDOVER_S = 20.0
# A run that was created and never launched belongs to a daemon that died; the next tick would wait for it in vain.
LAUNCH_S = 120.0
# Runs that fail sooner than this fail for the same reason, so the next one waits: twice as long each time.
SOON_S = 60.0
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0

_WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
IN_FLIGHT = (*_WAITING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True)
class Attempt:
    """One run of a stream; times are seconds since 1970."""

    run_id: str
    status: dg.DagsterRunStatus
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None

    @classmethod
    def of(cls, record: dg.RunRecord) -> "Attempt":
        created = record.create_timestamp.timestamp()
        return cls(record.dagster_run.run_id, record.dagster_run.status, created, record.start_time, record.end_time)


def wants_another(attempts: Sequence[Attempt], *, now: float, life_s: float) -> bool:
    """Whether to start a run, given those there were, newest first.

    No, while one waits to start or runs with more of its life left than a hand-over takes; nor right after failures.
    """
    handover_s = min(HANDOVER_S, life_s / 2)
    if any(_will_read(attempt, now, life_s - handover_s) for attempt in attempts):
        return False
    failures = 0
    for attempt in attempts:
        if not _failed_soon(attempt):
            break
        failures += 1
    if not failures:
        return True
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failures - 1))
    return now - (attempts[0].ended_at or attempts[0].created_at) >= wait


def _will_read(attempt: Attempt, now: float, fresh_s: float) -> bool:
    if attempt.status is dg.DagsterRunStatus.NOT_STARTED:
        return now - attempt.created_at < LAUNCH_S
    if attempt.status in _WAITING:
        return True
    began = now if attempt.started_at is None else attempt.started_at
    return attempt.status is dg.DagsterRunStatus.STARTED and now - began < fresh_s


def _failed_soon(attempt: Attempt) -> bool:
    if attempt.status is not dg.DagsterRunStatus.FAILURE:
        return False
    began = attempt.started_at or attempt.created_at
    return (attempt.ended_at or began) - began < SOON_S


def say_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on the run which process executes it: this one. A run that repeats another comes with a copy of its note."""
    instance.add_run_tags(run_id, {PROCESS: json.dumps({**this_process(), "run": run_id})})


def end_if_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report a started run as failed if its process is gone; whether it was. Of other hosts nothing is known."""
    noted = json.loads(run.tags.get(PROCESS, "{}"))
    if run.status is not dg.DagsterRunStatus.STARTED or noted.get("run") != run.run_id or not is_gone(noted):
        return False
    instance.report_run_failed(run, "the process that executed this run is gone")
    return True


def end_dead(instance: dg.DagsterInstance, work: str) -> None:
    """``end_if_dead`` of all runs of a kind of work: Dagster's daemon looks only after those that it launched, and one
    that was killed would hold a place of its limit for ever.
    """
    for run in instance.get_runs(dg.RunsFilter(tags={WORK: work}, statuses=list(IN_FLIGHT))):
        end_if_dead(instance, run)


def goes_first(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether a run in flight is one that a backfill waits for: of a re-seal, of today's days, of a person. Not another
    backfill, nor a stream, which never ends; nor one whose process is gone or unknown, nor one that nobody launches.
    """
    run, now = record.dagster_run, time.time()
    if run.tags.get(WORK) in ("stream", "backfill") or BACKFILL_ID in run.tags:
        return False
    if run.status in _WAITING:
        return now - record.create_timestamp.timestamp() < LAUNCH_S
    return PROCESS in run.tags and not end_if_dead(instance, run)

"""When a stream gets another run."""

import json
import subprocess
import sys

import dagster as dg
import pytest

from seqplat_assets.runs.liveness import (
    HANDOVER_S,
    LAUNCH_S,
    LONGEST_WAIT_S,
    PROCESS,
    WORK,
    Attempt,
    end_if_dead,
    goes_first,
    say_process,
    wants_another,
)
from seqplat_resources.records.process import this_process

NOW, LIFE = 100_000.0, 1800.0
S = dg.DagsterRunStatus


def attempt(status: dg.DagsterRunStatus, *, age_s: float = 10, took_s: float | None = None) -> Attempt:
    began = NOW - age_s
    started = None if status in (S.QUEUED, S.NOT_STARTED, S.STARTING) else began + 2
    return Attempt(f"run-{age_s}", status, began, started, None if took_s is None else began + 2 + took_s)


def wants(*attempts: Attempt, life_s: float = LIFE) -> bool:
    return wants_another(attempts, now=NOW, life_s=life_s)


def test_a_stream_without_any_run_gets_one() -> None:
    assert wants()


@pytest.mark.parametrize("status", [S.QUEUED, S.NOT_STARTED, S.STARTING, S.STARTED])
def test_one_that_reads_or_soon_will_is_enough(status: dg.DagsterRunStatus) -> None:
    assert not wants(attempt(status), attempt(S.SUCCESS, age_s=LIFE, took_s=LIFE))


def test_the_next_starts_before_the_life_of_the_one_before_ends() -> None:
    before = attempt(S.STARTED, age_s=LIFE - HANDOVER_S)
    assert not wants(before), "it was created earlier than it started"
    old = attempt(S.STARTED, age_s=LIFE - HANDOVER_S + 3)
    assert wants(old)
    assert not wants(attempt(S.QUEUED, age_s=1), old), "and only one next"
    short = attempt(S.STARTED, age_s=8)
    assert wants(short, life_s=10)
    assert not wants(short, life_s=20)


@pytest.mark.parametrize("status", [S.SUCCESS, S.CANCELED, S.CANCELING])
def test_one_that_ended_or_was_stopped_is_followed_at_once(status: dg.DagsterRunStatus) -> None:
    assert wants(attempt(status, took_s=5))


def test_a_run_that_was_never_launched_is_not_waited_for() -> None:
    assert wants(attempt(S.NOT_STARTED, age_s=LAUNCH_S + 1))


def test_failures_in_a_row_are_waited_for_longer_and_longer() -> None:
    def failed(age_s: float) -> Attempt:
        return attempt(S.FAILURE, age_s=age_s, took_s=1)

    assert not wants(failed(7))  # ended 4 s ago
    assert wants(failed(9))
    assert not wants(failed(9), failed(30))
    assert wants(failed(15), failed(30))
    assert wants(failed(15), attempt(S.CANCELED, age_s=30, took_s=1), failed(40)), "not in a row"
    many = [failed(LONGEST_WAIT_S + 4 + n) for n in range(20)]
    assert wants(*many)


def test_a_run_that_had_worked_for_long_is_followed_at_once_though_it_failed() -> None:
    assert wants(attempt(S.FAILURE, age_s=500, took_s=495))


def test_a_started_run_whose_process_is_gone_is_reported_as_failed() -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    said = "import json; from seqplat_resources.records.process import this_process; print(json.dumps(this_process()))"
    gone = json.loads(subprocess.run([sys.executable, "-c", said], check=True, capture_output=True).stdout)
    with dg.DagsterInstance.ephemeral() as instance:
        for noted, is_dead in ((gone, True), (this_process(), False), (None, False), ({**gone, "run": "of"}, False)):
            run = instance.create_run_for_job(job, status=S.STARTED)
            if noted:
                instance.add_run_tags(run.run_id, {PROCESS: json.dumps({"run": run.run_id, **noted})})
            run = instance.get_run_by_id(run.run_id) or run
            assert end_if_dead(instance, run) is is_dead
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            assert found.status is (S.FAILURE if is_dead else S.STARTED)
        starting = instance.create_run_for_job(job, status=S.STARTING)
        instance.add_run_tags(starting.run_id, {PROCESS: json.dumps({**gone, "run": starting.run_id})})
        assert not end_if_dead(instance, instance.get_run_by_id(starting.run_id) or starting)


@pytest.mark.parametrize(
    ("tags", "is_alive", "first"),
    [
        ({}, True, True),  # somebody's, or that of a day that is over since tonight
        ({WORK: "reseal"}, True, True),
        ({WORK: "reseal"}, False, False),
        ({WORK: "backfill"}, True, False),
        ({WORK: "stream"}, True, False),
        ({"dagster/backfill": "abc"}, True, False),
        ({}, None, False),  # of which nobody says what executes it
    ],
)
def test_a_backfill_lets_go_first_what_somebody_waits_for(
    tags: dict[str, str], is_alive: bool | None, first: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(_nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)
        if is_alive is not None:
            say_process(instance, run.run_id)
        if is_alive is False:
            noted = json.loads(instance.get_run_by_id(run.run_id).tags[PROCESS])  # type: ignore[union-attr]
            instance.add_run_tags(run.run_id, {PROCESS: json.dumps({**noted, "started": "1"})})
        (record,) = instance.get_run_records()
        assert goes_first(instance, record) == first


@dg.job
def _nothing() -> None:
    pass

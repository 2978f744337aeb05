"""A small table, and writers of it that run as processes of their own: `python -m tests.lake.numbers_table`."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Retryable
from seqplat_resources.home import Home
from seqplat_resources.lake import files
from seqplat_resources.lake.append import append, compact_appended
from seqplat_resources.lake.files import FilePart, FileWriter
from seqplat_resources.lake.table import Fenced, LakeTable
from sequence_defs.schema import Column

REPOSITORY = Path(__file__).parents[2]
DAY = dt.date(2024, 5, 1)
COLUMNS = (
    Column(name="user_id", dtype="int64"),
    Column(name="value", dtype="int64"),
    Column(name="note", dtype="string"),
)


def numbers_table(home: Home, *, columns: tuple[Column, ...] = COLUMNS, clock: Clock = SystemClock()) -> LakeTable:
    return LakeTable(home, "lake/numbers", columns, stats=("user_id",), clock=clock)


def rows(*values: int, note: str = "") -> pl.DataFrame:
    """One row per value, its user the same number."""
    schema = {"user_id": pl.Int64(), "value": pl.Int64(), "note": pl.String()}
    return pl.DataFrame([(value, value, note) for value in values], schema=schema, orient="row")


def values(table: LakeTable, day: dt.date = DAY) -> list[int]:
    """What a reader sees of a day, sorted."""
    return sorted(table.scan().filter(pl.col("day") == day).collect()["value"].to_list())


def stored_files(home: Home) -> set[str]:
    """Data files of the table, visible or not."""
    listed = [item["path"] for item in home.objects.list("lake/numbers").collect()]
    return {
        path.removeprefix("lake/numbers/") for path in listed if path.endswith(".parquet") and "_delta_log" not in path
    }


def start_child(home: Home, **task: Any) -> "subprocess.Popen[str]":
    """A writer process; see ``_main`` for its tasks."""
    given = json.dumps({"root": home.root, **task}, default=str)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lake.numbers_table", given],
        cwd=REPOSITORY,
        env={**os.environ, **home.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def appending(home: Home, shares: Iterable[tuple[dt.date, Sequence[int], Sequence[str]]]) -> list[dict[str, int]]:
    """A process per share, all at once: each adds its numbers to its day, with new columns in its declaration.

    Returns how often each was refused, by reason.
    """
    children = [start_child(home, do="append", day=day, numbers=[*share], new=[*new]) for day, share, new in shares]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()  # it is ready
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [finish(child) for child in children]


def finish(child: "subprocess.Popen[str]", *, status: int = 0) -> dict[str, Any]:
    """What the child printed last; it must have ended with ``status``."""
    output, errors = child.communicate(timeout=120)
    assert child.returncode == status, errors
    return json.loads(output.splitlines()[-1]) if output.strip() else {}


def wait_until_stopped(child: "subprocess.Popen[str]") -> None:
    """Return when the child has stopped itself; ``resume`` lets it go on."""
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        child.returncode = os.waitstatus_to_exitcode(status)
        raise AssertionError(child.communicate()[1])


def resume(child: "subprocess.Popen[str]") -> None:
    os.kill(child.pid, signal.SIGCONT)


def _main(task: dict[str, Any]) -> None:
    """``crash``: write values and die at a step. ``append``: add numbers one by one, each in its own replacement.
    ``pause``: ``replace``, ``log`` or ``compact``, and stop where it would commit.
    """
    environment = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    new = [Column(name=name, dtype="int64") for name in task.get("new", ())]
    table = numbers_table(Home(task["root"], environment), columns=(*COLUMNS, *new))
    day = dt.date.fromisoformat(task["day"])
    if task["do"] == "crash":

        def step(number: int) -> None:
            if number == task["at_step"]:
                os.kill(os.getpid(), signal.SIGKILL)

        files._SMALL_BYTES = -1  # otherwise small parts are written together, when all are made
        table.replace({"day": day}, _dying(task), step=step)
    elif task["do"] == "append":
        _say({"ready": os.getpid()})
        sys.stdin.readline()  # until every writer is ready, so that they really meet
        _say(_appended(table, day, task["numbers"]))
    elif task["do"] == "pause":
        _stop_in(LakeTable, task["before"])
        if task.get("aged"):
            _write_as_if(hours_ago=2)
        _say(_paused(table, day, task))


def _stop_in(of: type, method: str) -> None:
    """Make this process stop before the first call of a method."""
    original, stopped = getattr(of, method), []

    def stopping(*args: Any, **kwargs: Any) -> Any:
        if not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return original(*args, **kwargs)

    setattr(of, method, stopping)


def _write_as_if(*, hours_ago: float) -> None:
    """Give what this process writes the age it would have, had it been stopped for so long."""
    write = FileWriter.write

    def writing(self: FileWriter, *args: Any) -> Any:
        added = write(self, *args)
        at = time.time() - hours_ago * 3600
        os.utime(self.home.uri(f"{self.table}/{added.path}"), (at, at))
        return added

    FileWriter.write = writing  # type: ignore[method-assign]


def _paused(table: LakeTable, day: dt.date, task: dict[str, Any]) -> dict[str, Any]:
    try:
        if task["work"] == "replace":
            table.replace({"day": day}, [FilePart(rows(*task["values"]))])
        elif task["work"] == "log":
            start, end = task["move"]
            parts = [({"day": day}, FilePart(rows(*task["values"]), label="log"))]
            append(table, parts, {"log:0": (start, end)}, metadata={})
        else:
            done = compact_appended(table, split_by="user_id", sort_by=["value"], min_files=2)
            return {"done": [type(each).__name__ for each in done]}
    except Retryable as error:
        return {"refused": type(error).__name__, "why": str(error)}
    return {"refused": None}


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _dying(task: dict[str, Any]) -> Iterator[FilePart]:
    """Two parts; step 1.5 is between them, when one file is written and the other is not."""
    yield FilePart(rows(*task["values"]))
    if task["at_step"] == 1.5:
        os.kill(os.getpid(), signal.SIGKILL)
    yield FilePart(rows())


def _appended(table: LakeTable, day: dt.date, numbers: Iterable[int]) -> dict[str, int]:
    """Read the bucket and write it back with one number more, until each number is in; how often it was refused."""
    refused: dict[str, int] = {}
    for number in numbers:
        while True:
            try:
                table.replace({"day": day}, _with(table, day, number))
                break
            except (Retryable, Fenced) as error:
                refused[type(error).__name__] = refused.get(type(error).__name__, 0) + 1
                time.sleep(0.002)
    return refused


def _with(table: LakeTable, day: dt.date, number: int) -> Iterator[FilePart]:
    """Read lazily, so that it happens under the lease."""
    found = rows(*values(table, day), number)
    yield FilePart(
        found.with_columns(pl.lit(None, dtype).alias(n) for n, dtype in table.schema.items() if n not in found)
    )


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))

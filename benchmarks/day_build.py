"""The day-build benchmark: make the day, run each contestant, check that all wrote the same, record the costs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import contest, report, seqplat_day, synthetic, verify
from benchmarks.contest import Command, Contestant, WrongAnswerError
from benchmarks.spark_env import spark_python
from benchmarks.workload import NATURAL_KEY, OUTPUT_COLUMNS, DayInput

NAMES = ("seqplat", "seqplat-files", "seqplat-float16", "duckdb", "duckdb-3gb", "spark")
VARIANTS = ("spark-row-number",)  # not published: to see that the published formulation is the better one

# Values are compared in these types.
TYPES = dict.fromkeys(OUTPUT_COLUMNS, "BIGINT") | {
    "event_ts": "TIMESTAMP",
    "ingest_ts": "TIMESTAMP",
    "price": "DOUBLE",
    "list_price": "DOUBLE",
    "amount": "DOUBLE",
    "surface": "VARCHAR",
    "category": "VARCHAR",
    "brand": "VARCHAR",
    "embedding": "FLOAT[]",
}
# Vector items are within -1..1, where half floats lie at most 2**-11 apart: rounding is off by half of that.
FLOAT16_TOLERANCE = 2.0**-12
VECTORS_LOOKED_AT = 16  # those of one user in this many


def run(*, rows: int, names: Sequence[str], repeat: int, cache: Path, results: Path, keep: bool = False) -> Path:
    """Measure the named contestants `repeat` times each and return the file with the result.

    Raises:
        WrongAnswerError: an output is not the day the generator promises; nothing is recorded then.
        CommandFailedError: a contestant failed.
    """
    scratch = contest.scratch(cache)
    day = DayInput(scratch / f"day-{rows}")
    manifest = synthetic.ensure_day(day.root, raw_rows=rows)
    contestants = _contestants(names, day, rows, scratch)
    runs = contest.measure_rounds(contestants, repeat=repeat)
    checked = _check(contestants, expected_rows=manifest.kept_rows)
    if not keep:
        contest.discard(contestants)
    return report.save(report.Result.now("day-build", rows, checked, runs), results)


def _contestants(names: Sequence[str], day: DayInput, rows: int, scratch: Path) -> list[Contestant]:
    found = {each.name: each for each in seqplat_day.contestants(day, rows, scratch / "out")}
    spill = scratch / "spill"
    spill.mkdir(exist_ok=True)
    for name in names:
        out = scratch / "out" / name
        command: Command
        if name.startswith("spark"):
            module = (str(spark_python(scratch)), "-m", "benchmarks.peer_spark", str(day.root), str(out))
            dedupe = "row_number" if name == "spark-row-number" else "min_by"
            command = (*module, "--dedupe", dedupe, "--spill-dir", str(spill))
        elif name.startswith("duckdb"):
            memory = "3GB" if name == "duckdb-3gb" else "16GB"
            module = (sys.executable, "-m", "benchmarks.peer_duckdb", str(day.root), str(out))
            command = (*module, "--memory-limit", memory, "--spill-dir", str(spill))
        else:
            continue
        found[name] = Contestant(name, command, reads=day.files, clears=(out,), output=out, compared=out)
    return [found[name] for name in names]


def _check(contestants: Sequence[Contestant], *, expected_rows: int) -> str:
    """What all agree on, as a sentence."""
    first: verify.Fingerprint | None = None
    said = f"all outputs hold the same {expected_rows:,} rows, equal in every column bit by bit, in order."
    for each in sorted(contestants, key=_is_narrow):
        ours = each.name.startswith("seqplat")
        types = {name: dtype for name, dtype in TYPES.items() if not (_is_narrow(each) and name == "embedding")}
        with contest.comparable(each) as files:
            found = verify.fingerprint(files, types, order="descending" if ours else "ascending")
            first = first or replace(found, rows=expected_rows)
            problems = verify.differences(first, found)
            # Ours are shards, each of its own users: every file is in order, and their names say nothing.
            if not (found.is_sorted_within_files if ours else found.is_sorted):
                problems.append("rows are not in order of user and time")
            if _is_narrow(each):
                apart = _vectors_apart(contestants, files)
                said = f"{said[:-1]} ({each.name}: vectors within {apart:.6f})."
                if apart > FLOAT16_TOLERANCE:
                    problems.append(f"vectors are off by up to {apart}, more than rounding explains")
            if problems:
                raise WrongAnswerError(contestant=each.name, found=problems, output=each.output)
    return said


def _vectors_apart(contestants: Sequence[Contestant], narrow: Path) -> float:
    """How far narrow vectors are from exact ones; 0 where nobody has exact ones. Peers need no export."""
    exact = min((each for each in contestants if not _is_narrow(each)), key=lambda each: len(each.export), default=None)
    if exact is None:
        return 0.0
    with contest.comparable(exact) as files:
        return verify.largest_difference(files, narrow, vector="embedding", key=NATURAL_KEY, one_in=VECTORS_LOOKED_AT)


def _is_narrow(contestant: Contestant) -> bool:
    return contestant.name == "seqplat-float16"

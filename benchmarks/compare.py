"""The comparison benchmarks: two sides of events against DuckDB and datacompy, and two sides of sequences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import compare_data, contest, report
from benchmarks.compare_data import COLUMNS, TOLERANCES
from benchmarks.contest import Contestant, WrongAnswerError
from benchmarks.environments import DATACOMPY, python_with

PARTS = ("events", "datacompy", "sequences")
# Rows of the two parts with events, and users of the third.
SIZES = {"events": 10_000_000, "datacompy": 1_000_000, "sequences": 1_000_000}
QUICK_SIZES = {"events": 200_000, "datacompy": 50_000, "sequences": 20_000}
LENGTH = 200
PEERS = {"events": ("duckdb",), "datacompy": ("datacompy-polars", "datacompy-pandas"), "sequences": ()}


def run(*, parts: Sequence[str], quick: bool, repeat: int, cache: Path, results: Path) -> Iterator[Path]:
    """Measure each part and give the file with its result.

    Raises:
        WrongAnswerError: a contestant counts something else than what the generator planted.
        CommandFailedError: a contestant failed.
    """
    scratch = contest.scratch(cache)
    for part in parts:
        size = (QUICK_SIZES if quick else SIZES)[part]
        root = scratch / f"compare-{part}-{size}"
        if part == "sequences":
            planted, rows = compare_data.ensure_sequences(root, size, LENGTH), size * LENGTH
        else:
            planted, rows = compare_data.ensure_events(root, size), size
        contestants = [_contestant(name, part, root, scratch) for name in ("seqplat", *PEERS[part])]
        runs = contest.measure_rounds(contestants, repeat=repeat)
        for each in contestants:
            _check(each, part, planted)
        contest.discard(contestants)
        yield report.save(report.Result.now(f"compare-{part}", rows, _checked(part, planted), runs), results)


def _contestant(name: str, part: str, root: Path, scratch: Path) -> Contestant:
    out = scratch / "out" / f"compare-{name}"
    if name == "seqplat":
        what = "sequences" if part == "sequences" else "events"
        command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.seqplat_compare", what, str(root), str(out))
    else:
        python = sys.executable if name == "duckdb" else str(python_with(DATACOMPY, scratch))
        asked = (json.dumps(COLUMNS), json.dumps(TOLERANCES))
        command = (python, "-m", "benchmarks.peer_compare", name, str(root), str(out), *asked)
    return Contestant(name, command, reads=(root,), clears=(out,), output=out, compared=out)


def _check(contestant: Contestant, part: str, planted: Mapping[str, int]) -> None:
    found = json.loads((contestant.output / "counts.json").read_text())
    wanted = dict(planted)
    if part == "sequences":
        # Of a shuffled list some events are still in order; of 200 some 26.
        shuffled, edits = wanted.pop("shuffled"), wanted.pop("edits_without_shuffled")
        left = found["edits"] - edits
        if shuffled and not 1.5 * LENGTH < left / shuffled < 2 * LENGTH:
            raise WrongAnswerError(contestant=contestant.name, found=[f"{left} edits"], output=contestant.output)
    wrong = [f"{name} is {found.get(name)}, not {count}" for name, count in wanted.items() if found.get(name) != count]
    if wrong:
        raise WrongAnswerError(contestant=contestant.name, found=wrong, output=contestant.output)


def _checked(part: str, planted: Mapping[str, int]) -> str:
    if part == "sequences":
        differ, order = planted["users"] - planted["identical"], planted["other_order"]
        return f"{differ:,} of {planted['users']:,} users differ, {order:,} of them in the order alone, as planted."
    alone = planted["only_ours"] + planted["only_legacy"]
    columns = sum(count for name, count in planted.items() if name.startswith("differs_"))
    return f"all count the {alone:,} events of one side and the {columns:,} values that differ, as planted."

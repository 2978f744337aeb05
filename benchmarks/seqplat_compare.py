"""Contestant: the product's comparison, two shards at a time, with causes, sums by user and examples."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from importlib.metadata import version
from operator import add
from pathlib import Path
from typing import TypeAlias, TypeVar

import polars as pl

from benchmarks.compare_data import COLUMNS, TOLERANCES
from benchmarks.workload import THREADS
from seqplat_resources.comparison.causes.rules import explain, ledger
from seqplat_resources.comparison.contract import ColumnRule, Matching, Sums, merged
from seqplat_resources.comparison.counts import counted
from seqplat_resources.comparison.events import compare_events
from seqplat_resources.comparison.examples import examples, worst
from seqplat_resources.comparison.sequences import SequenceComparison, compare_sequences

Found = TypeVar("Found")
# What a shard has: counts, ledger, sums by metric, examples.
Counted: TypeAlias = tuple[dict[str, int], pl.DataFrame, dict[str, Sums], pl.DataFrame]
RULES = {name: ColumnRule(relative=TOLERANCES.get(name)) for name in COLUMNS}


def events(root: Path) -> dict[str, int]:
    """Counts of a day: per kind of difference, and per cause."""
    counts: dict[str, int] = {}
    ledgers, shown, sums = [], [], []
    for shard, causes, by_user, some in _of_shards(root, _events):
        counts = {name: counts.get(name, 0) + count for name, count in shard.items()}
        ledgers.append(causes)
        sums.append(by_user)
        shown.append(some)
    causes = pl.concat(ledgers).group_by("cause").agg(pl.col("count").sum()).sort("cause")
    assert worst(pl.concat(shown)).height
    assert merged(sums)["alone"].differing == counts["only_ours"] + counts["only_legacy"]
    return counts | {f"cause_{cause}": count for cause, count in causes.iter_rows()}


def sequences(root: Path) -> dict[str, int]:
    """Counts of users, and their edits."""
    found = reduce(add, _of_shards(root, _sequences))
    edits = found.metrics["edits"]
    return dict(found.kinds) | {"users": edits.users, "edits": edits.differing}


def _events(ours: pl.DataFrame, legacy: pl.DataFrame) -> Counted:
    found = compare_events(ours, legacy, RULES, Matching())
    differences = explain(found, rules=RULES)
    return found.counts(), ledger(differences), counted(found, differences), examples(found, differences)


def _sequences(ours: pl.DataFrame, legacy: pl.DataFrame) -> SequenceComparison:
    return compare_sequences(ours, legacy, (50, 100, 150, 199))


def _of_shards(root: Path, compare: Callable[[pl.DataFrame, pl.DataFrame], Found]) -> Iterator[Found]:
    """Shards have nothing to do with each other: as many at once as the peer has threads."""

    def of(path: Path) -> Found:
        return compare(pl.read_parquet(path), pl.read_parquet(path.with_name(path.name.replace("ours", "legacy"))))

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(of, sorted(root.glob("ours-*.parquet")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("events", "sequences"))
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    found = {"events": events, "sequences": sequences}[options.what](options.root)
    seconds = time.perf_counter() - started
    options.out.mkdir(parents=True)
    (options.out / "counts.json").write_text(json.dumps(found))
    versions = {name: version(name) for name in ("polars", "seqplat")}
    print(json.dumps({"work_s": round(seconds, 3), "versions": versions}))


if __name__ == "__main__":
    main()

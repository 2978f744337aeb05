"""Contestant: the product's comparison, shard after shard, with causes, counts by user and examples of what differs."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import reduce
from importlib.metadata import version
from operator import add
from pathlib import Path

import polars as pl

from benchmarks.compare_data import COLUMNS, TOLERANCES
from seqplat_resources.comparison.causes.rules import explain, ledger
from seqplat_resources.comparison.contract import ColumnRule, Matching, merged
from seqplat_resources.comparison.counts import counted
from seqplat_resources.comparison.events import compare_events
from seqplat_resources.comparison.examples import examples, worst
from seqplat_resources.comparison.sequences import compare_sequences

RULES = {name: ColumnRule(relative=TOLERANCES.get(name)) for name in COLUMNS}


def events(root: Path) -> dict[str, int]:
    """Counts of a day: per kind of difference, and per cause."""
    counts: dict[str, int] = {}
    ledgers, shown, sums = [], [], []
    for ours, legacy in _shards(root):
        found = compare_events(ours, legacy, RULES, Matching())
        differences = explain(found, rules=RULES)
        counts = {name: counts.get(name, 0) + count for name, count in found.counts().items()}
        ledgers.append(ledger(differences))
        sums.append(counted(found, differences))
        shown.append(examples(found, differences))
    causes = pl.concat(ledgers).group_by("cause").agg(pl.col("count").sum()).sort("cause")
    assert worst(pl.concat(shown)).height
    assert merged(sums)["alone"].differing == counts["only_ours"] + counts["only_legacy"]
    return counts | {f"cause_{cause}": count for cause, count in causes.iter_rows()}


def sequences(root: Path) -> dict[str, int]:
    """Counts of users, and their edits."""
    found = reduce(add, (compare_sequences(ours, legacy, (50, 100, 150, 199)) for ours, legacy in _shards(root)))
    edits = found.metrics["edits"]
    return dict(found.kinds) | {"users": edits.users, "edits": edits.differing}


def _shards(root: Path) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    for path in sorted(root.glob("ours-*.parquet")):
        yield pl.read_parquet(path), pl.read_parquet(path.with_name(path.name.replace("ours", "legacy")))


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

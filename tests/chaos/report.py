"""A campaign's facts as JSON, and as the table of docs/chaos.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of the verdict: what has to be zero.
FAULTS = (
    "lost",
    "should not be there",
    "half-visible or doubled",
    "messages not kept",
    "messages kept twice",
    "rejects with other bytes",
    "served twice",
    "served without a raw row",
    "now batches left",
    "dirty buckets left",
    "users whose offers are missing",
)
_AMOUNTS = ("messages in the log", "raw rows", "rejects", "visits expected")


def is_clean(facts: Mapping[str, Any]) -> bool:
    """Whether nothing at all was found."""
    faults = sum(facts["verdict"].get(name, 1) for name in FAULTS)
    return not (faults or facts["violations"] or facts["failures"])


def table(facts: Mapping[str, Any]) -> str:
    """Two columns of Markdown."""
    done = "; ".join(f"{name} {count}" for name, count in sorted(facts["disturbances"].items()))
    rows = [
        ("log", facts["log"]),
        ("online store", facts["store"]),
        ("disturbances", f"{sum(facts['disturbances'].values())} ({done})"),
        ("time", f"{facts['seconds']} s, of which {facts['storm_seconds']} s under disturbances"),
        ("messages produced", f"{facts['messages']:,}"),
        *((name, f"{facts['verdict'].get(name, 0):,}") for name in _AMOUNTS),
        ("rounds of batch", f"{facts['batches']:,}"),
        ("rounds of compaction and vacuum", f"{facts['kept']:,}"),
        ("answers checked while it went on", f"{facts['checks']:,}"),
        *((f"answers over HTTP, {how}", f"{count:,}") for how, count in sorted(facts["calls"].items())),
        ("answers that no reader may see", f"**{len(facts['violations'])}**"),
        ("processes that ended by an error", f"**{len(facts['failures'])}**"),
        *((name, f"**{facts['verdict'].get(name, '?')}**") for name in FAULTS),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def write(facts: Mapping[str, Any], document: Path, marker: str) -> None:
    """Put the table between the document's ``marker`` comments, and the facts beside it as JSON."""
    begin, end = f"<!-- {marker} -->", f"<!-- end {marker} -->"
    text = document.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{table(facts)}\n{end}{after}")
    document.with_name(f"{document.stem}-{marker}.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")

"""Cases with what came out, written where nothing, or something else, was said; all else of the file stays as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from seqplat_resources.cases.reading import CaseDumper, Row, nodes_of

_SYSTEM = ("tenant", "ingest_time", "available_time", "source_partition", "offset", "release", "shard", "source_order")
_DEFAULTS: Mapping[str, Any] = {"rev": 0, "op": "upsert", "event_type": None}


@dataclass(frozen=True)
class Snapped:
    """What a case shall say: its events with the columns it names, and reasons of rejects."""

    events: Sequence[Row]
    rejects: Sequence[str]


def named_by(expected: Sequence[Row] | None, row: Row) -> list[str]:
    """The columns a case has been naming; of a new one those that the definitions give."""
    said = list(dict.fromkeys(name for each in expected or () for name in each))
    return said or [
        name
        for name, value in row.items()
        if name not in _SYSTEM and not name.endswith("__status") and _DEFAULTS.get(name, value is None) != value
    ]


def case_text(case: Mapping[str, Any]) -> str:
    """A new case as YAML, below ``cases:``; its rows a line each."""
    said = [f"{key}: {_flow(value)}\n" for key, value in case.items() if key != "rows"]
    rows = ["rows:\n", *(f"  - {_flow(row)}\n" for row in case["rows"])]
    return "".join(("  - " if number == 0 else "    ") + line for number, line in enumerate([*said, *rows]))


def _flow(value: Any) -> str:
    """In one line."""
    text = yaml.dump(
        value, Dumper=CaseDumper, default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True
    )
    return str(text).removesuffix("...\n").strip()


def updated(text: str, outcomes: Mapping[int, Snapped]) -> str:
    """``text`` with the outcomes of its cases, by their number."""
    lines, cases = text.splitlines(keepends=True), list(nodes_of(text))
    for number in sorted(outcomes, reverse=True):
        node, said = cases[number]
        indent = " " * node.start_mark.column
        for key in ("rejects", "events"):
            value = getattr(outcomes[number], key)
            if key == "rejects" and not value and key not in said:
                continue
            block = _block(key, value, indent)
            old = next((pair for pair in node.value if pair[0].value == key), None)
            if old is None:
                lines[_end(node) : _end(node)] = block
            else:
                lines[old[0].start_mark.line : _end(old[1])] = block
    return "".join(lines)


def _end(node: Any) -> int:
    """The line after the last of a node: the mark of a block is behind blank lines and comments."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return int(node.end_mark.line) + 1
    last = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return _end(last)


def _block(key: str, rows: Sequence[Any], indent: str) -> list[str]:
    if not rows:
        return [f"{indent}{key}: []\n"]
    return [f"{indent}{key}:\n", *(f"{indent}  - {_flow(row)}\n" for row in rows)]

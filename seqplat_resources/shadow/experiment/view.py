"""A readout as pages and programs show it: plain numbers from the record that is kept, nothing decided anew."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.layout import DAY
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.decide import Direction, Guardrail
from seqplat_resources.shadow.experiment.readout import State
from seqplat_resources.shadow.routing import WHOLE


@dataclass(frozen=True)
class MetricView:
    """One metric. ``change`` is ours less legacy's by the size of legacy's value; ``least`` and ``most`` bound it at
    every look, and ``shows_from`` is the change that would be shown with a probability of 80 %. ``margin`` is the
    guardrail's. ``users`` are those whose window is over, ``waiting`` the others.
    """

    name: str
    event_type: str
    kind: str
    better: str
    direction: Direction
    because: str
    users: int
    waiting: int
    capped: int
    unusable: int
    legacy: float | None = None
    ours: float | None = None
    change: float | None = None
    least: float | None = None
    most: float | None = None
    shows_from: float | None = None
    guardrail: Guardrail | None = None
    margin: float | None = None


@dataclass(frozen=True)
class ReadoutView:
    """The readout at the end of ``day``. ``share`` of users with our events should be ``declared``; ``ratio`` says in
    words what is wrong with that. ``moved`` users were in the other arm in an earlier step.
    """

    event_type: str
    day: dt.date
    step: str
    state: State
    because: tuple[str, ...]
    since: dt.datetime
    ours: int
    legacy: int
    declared: float
    moved: int
    dropped: int
    sample: float
    at: dt.datetime
    metrics: tuple[MetricView, ...]
    ratio: str = ""
    until: dt.datetime | None = None
    share: float | None = None
    p: float | None = None


def newest_view(runtime: Runtime, name: str) -> ReadoutView | None:
    """That of the newest day that was kept; None where there is none. A request or two, and one file."""
    table = tables.readout(runtime, name)
    kept = table.scan().filter(pl.col("record").is_not_null()).select(DAY, "record").sort(DAY).tail(1).collect()
    return view_of(msgspec.json.decode(kept["record"][0])) if kept.height else None


def view_of(record: Mapping[str, Any]) -> ReadoutView:
    """Of a record as ``Readout.record`` writes it."""
    ratio = record["ratio"]
    ours, users = ratio["ours"], ratio["ours"] + ratio["legacy"]
    shown = {
        **record,
        "ours": ours,
        "legacy": ratio["legacy"],
        "share": ours / users if users else None,
        "declared": ratio["declared"] / WHOLE,
        "p": ratio["p"],
        "ratio": ratio["says"],
        "moved": record["moved_ours"] + record["moved_legacy"],
        "metrics": [_metric(each) for each in record["metrics"]],
    }
    return msgspec.convert(shown, ReadoutView)


def _metric(each: Mapping[str, Any]) -> dict[str, Any]:
    definition, arms = each["metric"], (each["legacy"], each["ours"])
    legacy, ours = (_value(arm) for arm in arms)
    found = each["difference"] or {"relative_value": None, "relative": {"lower": None, "upper": None}}
    size = found.get("detectable")
    return {
        **{name: definition[name] for name in ("name", "event_type", "kind", "better")},
        **{name: each[name] for name in ("direction", "because", "waiting", "guardrail")},
        **{name: sum(arm[name] for arm in arms) for name in ("users", "capped", "unusable")},
        "legacy": legacy,
        "ours": ours,
        "change": found["relative_value"],
        "least": found["relative"]["lower"],
        "most": found["relative"]["upper"],
        "shows_from": size / abs(legacy) if size is not None and legacy else None,
        "margin": definition["guardrail"],
    }


def _value(arm: Mapping[str, Any]) -> float | None:
    """As ``Arm.value``; of numbers that were too large there is nothing left."""
    if not arm["users"] or not arm["mean_x"] or arm["mean_y"] is None:
        return None
    return float(arm["mean_y"] / arm["mean_x"])

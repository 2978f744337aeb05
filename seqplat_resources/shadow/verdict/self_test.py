"""Whether a gate would notice: seeded defects put into a copy of one side, and judged like the real thing.

>>> import datetime as dt
>>> from seqplat_resources.shadow.verdict.decide import Case, Window, decide
>>> from seqplat_resources.shadow.verdict.metrics import Metric
>>> ids = [str(n) for n in range(4_000)]
>>> visits = pl.DataFrame({"user_id": ["ann", "bob"] * 2_000, "event_id": ids, "page": "home"})
>>> visits = visits.with_columns(event_time=pl.datetime(2024, 5, 1, time_zone="UTC"))
>>> def blind(side):  # a gate that looks at nothing
...     day, metric = dt.date(2024, 5, 1), Metric("mismatch", "event", 0.01, 0, 4_000, 4_000)
...     return decide(Case(Window(day, day, (day,)), (metric,), decided_on=day, gate_days=1))
...
>>> self_test(visits, blind).missed
('drop 0.1 %', 'shift 1 ms')
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from seqplat_resources.shadow.verdict.decide import Decision

# What the judge makes of a side. It is ours to compare with legacy, or the other way round.
Judge: TypeAlias = Callable[[pl.DataFrame], Decision]
# ``untold``: the gate holds with the defect and without it, so nothing is shown. ``absent``: the frame has nothing
# that the defect could be put into.
Outcome: TypeAlias = Literal["caught", "missed", "untold", "absent"]

# The damaged copy and how many rows were hit; null where none can be.
Damaged: TypeAlias = tuple[pl.DataFrame, int] | None
Defect: TypeAlias = Callable[[pl.DataFrame, np.random.Generator], Damaged]

# The shares of events, or of users, that a defect is put into: such as a gate with the default bands has to notice.
_DROPPED, _SHIFTED, _STALE, _SWAPPED = 0.001, 0.001, 0.01, 0.05


@dataclass(frozen=True)
class Probe:
    """What became of one defect. ``injected`` rows have it; ``because`` is what the gate said."""

    defect: str
    outcome: Outcome
    injected: int
    because: str


@dataclass(frozen=True)
class SelfTest:
    """All defects. ``state`` is the gate's without any."""

    state: str
    probes: tuple[Probe, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The defects that the gate passes."""
        return tuple(each.defect for each in self.probes if each.outcome == "missed")


def self_test(side: pl.DataFrame, judge: Judge, *, seed: int = 0) -> SelfTest:
    """Put each defect into a copy of a side and ask the gate.

    Shapes:
        In: a side of events (``event_time`` and other columns) or of sequences (``event_ids`` and other lists); it is
        not changed. The same seed puts the same defects into the same rows.
    """
    sound = judge(side)
    defects = _OF_SEQUENCES if "event_ids" in side.columns else _OF_EVENTS
    return SelfTest(sound.state, tuple(_probe(*each, side, judge, sound, seed) for each in defects.items()))


def _probe(name: str, inject: Defect, side: pl.DataFrame, judge: Judge, sound: Decision, seed: int) -> Probe:
    damaged = inject(side, np.random.default_rng(seed))
    if damaged is None:
        return Probe(name, "absent", 0, "nothing in the frame that it could be put into")
    frame, injected = damaged
    found = judge(frame)
    caught = found.state == "FAIL" if sound.state != "PASS" else found.state != "PASS"
    if sound.state == "FAIL":
        return Probe(name, "untold", injected, "the gate fails without any defect")
    outcome: Outcome = "caught" if caught else "missed" if found.state == "PASS" else "untold"
    return Probe(name, outcome, injected, "; ".join(found.because))


def _drop(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    hit = _some(side.height, _DROPPED, rng)
    return _if_any(side.filter(~hit), hit)


def _drop_newest(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """As many events are gone, one a user; whoever has more events is hit more often."""
    upto = np.cumsum(side["event_ids"].list.len().fill_null(0).to_numpy())
    events = int(upto[-1]) if len(upto) else 0
    hit = np.zeros(side.height, np.bool_)
    hit[np.searchsorted(upto, np.flatnonzero(_some(events, _DROPPED, rng).to_numpy()), side="right")] = True
    return _each_list(side, pl.Series(hit), lambda column: column.list.slice(1))


def _shift(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """Times later by a millisecond."""
    if "event_time" not in side.columns:
        return None
    hit, time = _some(side.height, _SHIFTED, rng), pl.col("event_time")
    return _if_any(side.with_columns(pl.when(hit).then(time + pl.duration(milliseconds=1)).otherwise(time)), hit)


def _stale(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """A vector as it was for another event: that of the row before."""
    name = next((name for name, dtype in side.schema.items() if isinstance(dtype, pl.Array)), None)
    if name is None:
        return None
    before = side[name].shift(1)
    other = before.is_not_null() & side[name].is_not_null() & before.ne_missing(side[name])
    hit = _some(side.height, _STALE, rng, among=other)
    return _if_any(side.with_columns(pl.when(hit).then(before).otherwise(pl.col(name)).alias(name)), hit)


def _swap(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """The first two events of a sequence change places, with all that belongs to them."""
    hit = _some(side.height, _SWAPPED, rng, among=(side["event_ids"].list.len() > 1).fill_null(False))

    def swapped(column: pl.Expr) -> pl.Expr:
        return pl.concat_list(column.list.slice(1, 1), column.list.head(1), column.list.slice(2))

    return _each_list(side, hit, swapped)


def _truncate(side: pl.DataFrame, _: np.random.Generator) -> Damaged:
    """The longest sequences lose their last event: cut to N - 1."""
    length = side["event_ids"].list.len().fill_null(0)
    hit = (length == (length.max() or 0)) & (length > 0)
    return _each_list(side, hit, lambda column: column.list.head(column.list.len() - 1))


def _each_list(side: pl.DataFrame, hit: pl.Series, change: Callable[[pl.Expr], pl.Expr]) -> Damaged:
    """The lists of a sequence lie side by side, so all of them change alike."""
    lists = [pl.col(name) for name, dtype in side.schema.items() if isinstance(dtype, pl.List)]
    changed = [pl.when(hit).then(change(column)).otherwise(column).alias(column.meta.output_name()) for column in lists]
    return _if_any(side.with_columns(changed), hit)


def _some(height: int, share: float, rng: np.random.Generator, *, among: pl.Series | None = None) -> pl.Series:
    """A share of rows, one at least, drawn from those that can have the defect."""
    rows = np.arange(height) if among is None else np.flatnonzero(among.to_numpy())
    hit = np.zeros(height, dtype=np.bool_)
    hit[rng.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return pl.Series("hit", hit)


def _if_any(frame: pl.DataFrame, hit: pl.Series) -> Damaged:
    return (frame, int(hit.sum())) if hit.any() else None


_OF_EVENTS: Mapping[str, Defect] = {"drop 0.1 %": _drop, "shift 1 ms": _shift, "stale vector": _stale}
_OF_SEQUENCES: Mapping[str, Defect] = {"drop 0.1 %": _drop_newest, "swap two": _swap, "truncate N-1": _truncate}

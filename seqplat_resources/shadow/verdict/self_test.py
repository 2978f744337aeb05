"""Whether a gate would notice: seeded defects put into a copy of one side, and judged like the real thing."""

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
_TIMES = ("event_time", "event_times")


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
        In: a side of events (``user_id``, ``event_time``, ...) or of sequences (``user_id``, ``event_ids``,
        ``event_times`` and lists); it is not changed. The same seed puts the same defects into the same rows.
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


def _shift(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """Times later by a millisecond; of a sequence all of the user's."""
    name = next((each for each in _TIMES if each in side.columns), None)
    if name is None:
        return None
    hit, millisecond = _some(side.height, _SHIFTED, rng), pl.duration(milliseconds=1)
    later = pl.col(name).list.eval(pl.element() + millisecond) if name == "event_times" else pl.col(name) + millisecond
    return _if_any(side.with_columns(pl.when(hit).then(later).otherwise(pl.col(name)).alias(name)), hit)


def _swap(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """The first two events of a sequence change places, with all that belongs to them."""
    long = (side["event_ids"].list.len() > 1).fill_null(False)
    hit = _some(side.height, _SWAPPED, rng, among=long)
    lists = [name for name, dtype in side.schema.items() if isinstance(dtype, pl.List)]
    swapped = [
        pl.when(hit & (pl.col(name).list.len() > 1))
        .then(pl.concat_list(pl.col(name).list.slice(1, 1), pl.col(name).list.head(1), pl.col(name).list.slice(2)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in lists
    ]
    return _if_any(side.with_columns(swapped), hit)


def _stale(side: pl.DataFrame, rng: np.random.Generator) -> Damaged:
    """Vectors as they were for another event: that of the row before, or of the place before in a sequence."""
    name = next((name for name, dtype in side.schema.items() if _is_vector(dtype)), None)
    if name is None:
        return None
    column = pl.col(name)
    in_list = isinstance(side.schema[name], pl.List)
    before = (
        pl.concat_list(column.list.head(1), column.list.head(column.list.len() - 1)) if in_list else column.shift(1)
    )
    other = side.select(before.is_not_null() & column.is_not_null() & before.ne_missing(column)).to_series()
    hit = _some(side.height, _STALE, rng, among=other.fill_null(False))
    return _if_any(side.with_columns(pl.when(hit).then(before).otherwise(column).alias(name)), hit)


def _truncate(side: pl.DataFrame, _: np.random.Generator) -> Damaged:
    """The longest sequences lose their last event: cut to N - 1."""
    length = side["event_ids"].list.len()
    hit = (length == (length.max() or 0)) & (length > 0)
    lists = [name for name, dtype in side.schema.items() if isinstance(dtype, pl.List)]
    shorter = [pl.when(hit).then(pl.col(n).list.head(pl.col(n).list.len() - 1)).otherwise(pl.col(n)) for n in lists]
    return _if_any(side.with_columns(shorter), hit.fill_null(False))


def _some(height: int, share: float, rng: np.random.Generator, *, among: pl.Series | None = None) -> pl.Series:
    """A share of rows, one at least, drawn from those that can have the defect."""
    rows = np.arange(height) if among is None else np.flatnonzero(among.to_numpy())
    hit = np.zeros(height, dtype=np.bool_)
    hit[rng.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return pl.Series("hit", hit)


def _is_vector(dtype: pl.DataType) -> bool:
    return isinstance(dtype.inner if isinstance(dtype, pl.List) else dtype, pl.Array)


def _if_any(frame: pl.DataFrame, hit: pl.Series) -> Damaged:
    return (frame, int(hit.sum())) if hit.any() else None


_OF_EVENTS: Mapping[str, Defect] = {"drop 0.1 %": _drop, "shift 1 ms": _shift, "stale vector": _stale}
_OF_SEQUENCES: Mapping[str, Defect] = {
    "shift 1 ms": _shift,
    "swap two": _swap,
    "truncate N-1": _truncate,
    "drop 0.1 %": _drop,
    "stale vector": _stale,
}

"""What is known of events that one side alone has: marks that the rules of causes look at."""

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seqplat_resources.comparison.causes.shifts import QUARTER, WIDEST, is_zone, usual_shift
from seqplat_resources.comparison.causes.versions import OtherVersions
from seqplat_resources.comparison.contract import EVENT_TIME, INGEST_TIME, LEGACY, USER, Matching
from seqplat_resources.comparison.events import EventComparison
from seqplat_resources.comparison.pairing.pairs import paired
from seqplat_resources.times import EPOCH

LATE, FILTERED, COPY, LEFT_OUT, ELSEWHERE, REFUSED = "late", "filtered", "copy", "left_out", "elsewhere", "refused"


@dataclass(frozen=True)
class Known:
    """What is known beyond the two sides. Whatever is left out explains nothing.

    ``legacy_waits`` and ``ours_waits``: how long after its time an event still counts on a side. ``filtered``,
    ``left_out`` (as a copy) and ``refused``: rows of ours that became no event. ``ours_elsewhere`` and
    ``legacy_elsewhere``: events of the days around. Frames have the columns of ``Matching`` and ``event_time``.
    """

    legacy_waits: dt.timedelta | None = None
    ours_waits: dt.timedelta | None = None
    filtered: pl.DataFrame | None = None
    left_out: pl.DataFrame | None = None
    refused: pl.DataFrame | None = None
    ours_elsewhere: pl.DataFrame | None = None
    legacy_elsewhere: pl.DataFrame | None = None
    versions: tuple[OtherVersions, ...] = ()


def with_marks(found: EventComparison, known: Known, *, is_ours: bool) -> pl.DataFrame:
    """A boolean per mark for each event that one side alone has.

    Evidence is paired with events as the two sides are, so no row of it explains two events.
    """
    side, others = (found.only_ours, found.only_legacy) if is_ours else (found.only_legacy, found.only_ours)
    elsewhere, waits = (
        (known.legacy_elsewhere, known.legacy_waits) if is_ours else (known.ours_elsewhere, known.ours_waits)
    )
    frames = {} if is_ours else {FILTERED: known.filtered, LEFT_OUT: known.left_out, REFUSED: known.refused}
    return pl.DataFrame(
        {
            LATE: _is_late(side, waits),
            COPY: _is_copy(side, found, is_ours=is_ours),
            ELSEWHERE: _is_elsewhere(side, others, elsewhere, found.matching),
            **{name: _is_among(side, frames.get(name), found.matching) for name in (FILTERED, LEFT_OUT, REFUSED)},
        }
    )


def _flags(height: int, rows: pl.Series | None = None) -> pl.Series:
    flags = np.zeros(height, np.bool_)
    if rows is not None:
        flags[rows.to_numpy()] = True
    return pl.Series(flags, dtype=pl.Boolean())


def _is_late(side: pl.DataFrame, waits: dt.timedelta | None) -> pl.Series:
    if waits is None or INGEST_TIME not in side.columns:
        return _flags(side.height)
    return side.select((pl.col(INGEST_TIME) - pl.col(EVENT_TIME) > waits).fill_null(False)).to_series()


def _is_among(side: pl.DataFrame, evidence: pl.DataFrame | None, matching: Matching) -> pl.Series:
    return _flags(side.height, None if evidence is None else paired(side, evidence, matching).ours)


def _is_copy(side: pl.DataFrame, found: EventComparison, *, is_ours: bool) -> pl.Series:
    """Whether the side has the same key, and time where time counts, in a pair, or in a row before."""
    key = found.matching.columns
    by_time = found.matching.within_s is not None
    time = pl.col(EVENT_TIME if is_ours else f"{LEGACY}{EVENT_TIME}")
    columns = [*key, EVENT_TIME] if by_time else key
    taken = found.pairs.select(*key, *([time.alias(EVENT_TIME)] if by_time else []))
    # Few, where few are alone; by user first, as numbers are looked up faster than ids.
    taken = taken.filter(pl.col(USER).is_in(side[USER].unique().implode())).join(side, on=columns, how="semi")
    rows = pl.concat([taken, side.select(columns)])
    nth = rows.select(pl.int_range(pl.len()).over(columns) > 0, whole=pl.all_horizontal(pl.col(columns).is_not_null()))
    return nth.select(pl.nth(0) & pl.col("whole")).to_series()[taken.height :]


def _is_elsewhere(
    side: pl.DataFrame, others: pl.DataFrame, elsewhere: pl.DataFrame | None, matching: Matching
) -> pl.Series:
    """Whether the other side has the event at a time that a clock explains, alone on this day or on another one."""
    columns = [*matching.columns, EVENT_TIME]
    if EVENT_TIME not in side.columns or not side.height:
        return _flags(side.height)
    candidates = pl.concat([frame.select(columns) for frame in (others, elsewhere) if frame is not None])
    by_key = paired(side, candidates, replace(matching, within_s=None))
    shifts = side[EVENT_TIME].gather(by_key.ours) - candidates[EVENT_TIME].gather(by_key.legacy)
    usual = usual_shift(shifts)
    if matching.within_s is None:
        is_usual = pl.col("shift") == pl.lit(usual, pl.Duration("us"))
        explained = shifts.to_frame("shift").select((is_zone(pl.col("shift")) | is_usual).fill_null(False))
        return _flags(side.height, by_key.ours.filter(explained.to_series()))
    return _by_moved_times(side.select(columns), candidates, matching, usual)


def _by_moved_times(
    side: pl.DataFrame, candidates: pl.DataFrame, matching: Matching, usual: dt.timedelta | None
) -> pl.Series:
    """As above where keys repeat: times are paired as if clocks were the same, taken modulo a quarter of an hour."""
    time, half = pl.col(EVENT_TIME), QUARTER / 2
    in_quarter = [time - (time + offset).dt.truncate(QUARTER) for offset in (dt.timedelta(0), half)]
    epoch = pl.lit(EPOCH.replace(tzinfo=None))
    ways = [(epoch + each, epoch + each, half) for each in in_quarter]
    ways += [] if usual is None else [(time, time + usual, dt.timedelta(0))]
    mine, its, found = side.with_row_index("_mine"), candidates, [pl.Series(dtype=pl.UInt32)]
    for one, other, least in ways:
        moved = mine.with_columns(one.alias(EVENT_TIME)), its.with_columns(other.alias(EVENT_TIME))
        pairs = paired(*moved, matching)
        shift = mine[EVENT_TIME].gather(pairs.ours) - its[EVENT_TIME].gather(pairs.legacy)
        # Less than half a quarter is no zone at all: both are near each other, and others were nearer.
        is_shifted = shift.abs().is_between(least, WIDEST)
        found.append(mine["_mine"].gather(pairs.ours.filter(is_shifted)))
        mine = mine.filter(~_flags(mine.height, pairs.ours.filter(is_shifted)))
        its = its.filter(~_flags(its.height, pairs.legacy.filter(is_shifted)))
    return _flags(side.height, pl.concat(found))

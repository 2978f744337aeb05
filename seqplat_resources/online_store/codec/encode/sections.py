"""One stream of a bucket -> its section in every block, chosen per user for the fewest bytes."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.encode.parts import Body, Numbers, Strings, shortest
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets, Words
from seqplat_resources.online_store.codec.schema import StreamKind
from seqplat_resources.online_store.codec.series import are_constant

# Differences up to here are exact: their zigzag code fits 60 bits, as many as 15 units have.
_LARGEST_STEP = 1 << 58
# What a float64 holds exactly, so that dividing is the only rounding; and the decimals that prices and rates have.
_LARGEST_WHOLE = 1 << 53
_MOST_DECIMALS = 6


def section(values: pl.Series, counts: Ints, kind: StreamKind, *, sectioned: bool = False) -> Body:
    """Encode one stream; in the ways of format 1, or also in those that ``sectioned`` blocks know.

    Shapes:
        ``values`` has one entry per row, users end to end; ``counts`` says how many rows each user has (0 is fine).
    """
    bitmap, present = _validity(values, counts)
    values = values.drop_nulls()
    # Reductions over runs need runs that are not empty; users without a value keep EMPTY and no bytes.
    active = np.flatnonzero(present)
    make = {(False, False): _string_body, (False, True): _shortest_strings}
    make |= {(True, False): _number_body, (True, True): _shortest_numbers}
    body = make[kind == "ints", sectioned](values, present[active]) if active.size else Body(np.zeros(0, np.uint8), [])
    tags = np.full(counts.size, layout.EMPTY, np.uint8)
    tags[active] = body.tags
    tags[(present > 0) & (present < counts)] |= layout.NULLS
    return Body(tags, [bitmap, *(part.spread(active, counts.size) for part in body.parts)])


def _validity(values: pl.Series, counts: Ints) -> tuple[Strings, Ints]:
    """The bitmaps of the users that have both values and nulls, and how many values each user has."""
    nothing = Strings(np.zeros(0, np.uint8), np.zeros_like(counts), np.zeros_like(counts))
    if not values.null_count():
        return nothing, counts
    valid: Flags = values.is_not_null().to_numpy()
    present = ragged.count_true(valid, counts)
    mixed = (present > 0) & (present < counts)
    rows = counts[mixed]
    if not rows.size:
        return nothing, present
    bit = ragged.position_in_run(rows) & 7
    shifted = valid[np.repeat(mixed, counts)].astype(np.uint8) << bit.astype(np.uint8)
    octets = np.bitwise_or.reduceat(shifted, np.flatnonzero(bit == 0))
    sizes = np.where(mixed, (counts + 7) >> 3, 0)
    return Strings(octets, ragged.starts_of(sizes), sizes), present


def _number_body(values: pl.Series, counts: Ints) -> Body:
    return _plain_numbers(_bits(values), counts)


def _plain_numbers(numbers: Ints, counts: Ints) -> Body:
    """Deltas from the smallest value, or from 0 where that is no longer: whichever is fewer bytes."""
    starts = ragged.starts_of(counts)
    low, high = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    delta_width = ragged.width_of(high.view(np.uint64) - low.view(np.uint64))
    base_width = ragged.signed_width_of(low)
    plain_width = np.where(low < 0, 8, ragged.width_of(high.view(np.uint64)))
    plain = counts * plain_width <= base_width + counts * delta_width
    base = np.where(plain, 0, low).view(np.uint64)
    widths = np.where(plain, plain_width, delta_width)
    deltas = numbers.view(np.uint64) - np.repeat(base, counts)
    bases = Numbers(base, np.ones_like(counts), np.where(plain, 0, base_width))
    return Body((layout.INTS | widths).astype(np.uint8), [bases, Numbers(deltas, counts, widths)])


def _shortest_numbers(values: pl.Series, counts: Ints) -> Body:
    numbers = _bits(values)
    plain = _plain_numbers(numbers, counts)
    bodies, allowed = [plain], list[Flags | None]([None])
    if values.dtype.is_integer() or values.dtype.is_temporal():
        steps, exact = _steps_body(numbers, counts)
        bodies.append(steps)
        allowed.append(exact)
    if values.dtype == pl.Float64:
        decimals, exact = _decimals_body(numbers, counts)
        bodies.append(decimals)
        allowed.append(exact)
    if _may_gain(plain, counts):
        first = _first_of_equals(pl.Series(numbers), counts)
        bodies.append(_indexed_body(first, counts, lambda kept, some: _plain_numbers(numbers[kept], some)))
        allowed.append(None)
    return shortest(bodies, allowed)


def _steps_body(numbers: Ints, counts: Ints) -> tuple[Body, Flags]:
    """Differences between neighbours in their largest common unit; and for which users they are exact."""
    starts = ragged.starts_of(counts)
    steps = np.diff(numbers, prepend=numbers[:1])
    steps[starts] = 0
    sizes = np.abs(steps)
    # NOTE: a difference that wrapped around may look small, so the span of the values counts, not its steps.
    low, high = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    exact = (high.view(np.uint64) - low.view(np.uint64)) <= np.uint64(_LARGEST_STEP)
    unit = np.gcd.reduceat(sizes, starts)
    unit[(unit == 0) | ~exact] = 1
    scaled = steps // np.repeat(unit, counts)
    words = ((scaled << 1) ^ (scaled >> 63)).view(np.uint64)
    widths = (ragged.bits_of(words) + 3) >> 2
    widths[np.repeat(~exact, counts)] = 0
    ones, eights = np.ones_like(counts), np.full_like(counts, 8)
    return Body(
        np.full(counts.size, layout.STEPS, np.uint8),
        [
            Numbers(numbers[starts].view(np.uint64), ones, eights),
            Numbers(unit.view(np.uint64), ones, eights),
            _packed(widths.view(np.uint64), np.ones_like(widths), counts, 4),
            _packed(words, widths, counts, 4),
        ],
    ), exact


def _decimals_body(numbers: Ints, counts: Ints) -> tuple[Body, Flags]:
    """Whole numbers over the smallest power of ten that gives back every bit; and for which users there is one."""
    starts, floats = ragged.starts_of(counts), numbers.view(np.float64)
    whole, exact = np.zeros_like(numbers), np.zeros(counts.size, np.bool_)
    places = np.zeros_like(counts)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(_MOST_DECIMALS + 1):
            scaled = np.rint(floats * 10.0**k)
            fits = (np.abs(scaled) < _LARGEST_WHOLE) & ((scaled / 10.0**k).view(np.int64) == numbers)
            found = np.logical_and.reduceat(fits, starts) & ~exact
            rows = np.repeat(found, counts)
            whole[rows] = scaled[rows].astype(np.int64)
            places[found], exact = k, exact | found
    values, ones = _plain_numbers(whole, counts), np.ones_like(counts)
    tags = Numbers(values.tags.astype(np.uint64), ones, ones)
    return Body((layout.DECIMALS | places).astype(np.uint8), [tags, *values.parts]), exact


def _packed(words: Words, widths: Ints, counts: Ints, unit_bits: Literal[1, 4]) -> Strings:
    """Numbers of ``widths`` units each, closely packed; each user's from a whole byte on."""
    units = ragged.sum_runs(widths, counts)
    sizes = (units * unit_bits + 7) >> 3
    starts, before = ragged.starts_of(sizes), np.cumsum(widths) - widths
    at = before + np.repeat(starts * (8 // unit_bits) - ragged.starts_of(units), counts)
    return Strings(ragged.pack_units(words, at, widths, int(sizes.sum()), unit_bits), starts, sizes)


def _string_body(values: pl.Series, counts: Ints) -> Body:
    """One string where all are equal, else equal lengths unsaid, else lengths first."""
    lengths, data = _octets(values)
    starts = ragged.starts_of(counts)
    constant = are_constant(values, starts)
    shortest, longest = np.minimum.reduceat(lengths, starts), np.maximum.reduceat(lengths, starts)
    fixed = ~constant & (shortest == longest)
    variable = ~constant & ~fixed
    width = np.where(variable, ragged.width_of(longest.view(np.uint64)), 0)
    tags = np.select([constant, fixed], [layout.CONST, layout.FIXED], layout.VAR | width).astype(np.uint8)
    listed = np.where(variable, counts, 0)
    sizes = np.where(constant, longest, ragged.sum_runs(lengths, counts))
    said = lengths[np.repeat(variable, counts)].view(np.uint64)
    return Body(tags, [Numbers(said, listed, width), Strings(data, ragged.starts_of(lengths)[starts], sizes)])


def _shortest_strings(values: pl.Series, counts: Ints) -> Body:
    plain = _string_body(values, counts)
    if not _may_gain(plain, counts):
        return plain
    first = _first_of_equals(values, counts)
    indexed = _indexed_body(first, counts, lambda kept, some: _string_body(values.gather(kept), some))
    return shortest([plain, indexed], [None, None])


def _may_gain(plain: Body, counts: Ints) -> bool:
    """Whether indexes, of a bit at least, could be shorter for any user."""
    return bool((plain.sizes > counts >> 3).any())


def _first_of_equals(values: pl.Series, counts: Ints) -> Ints:
    """For each value the place of the first one that equals it among those of its user."""
    owners = pl.Series("owner", np.repeat(np.arange(counts.size), counts))
    frame = pl.DataFrame([owners, values.alias("value")]).with_row_index("place")
    return frame.select(pl.col("place").min().over("owner", "value")).to_series().to_numpy().astype(np.int64)


def _indexed_body(first: Ints, counts: Ints, plain: Callable[[Ints, Ints], Body]) -> Body:
    """Indexes into each user's distinct values, in the order of their first places; ``plain`` encodes the values at
    some places, so many of each user."""
    is_first = first == np.arange(first.size)
    distinct = ragged.count_true(is_first, counts)
    number = np.cumsum(is_first) - 1
    index = number[first] - np.repeat(ragged.starts_of(distinct), counts)
    width = np.maximum(ragged.bits_of((distinct - 1).view(np.uint64)), 1)
    values, ones = plain(np.flatnonzero(is_first), distinct), np.ones_like(counts)
    return Body(
        np.full(counts.size, layout.DICT, np.uint8),
        [
            Numbers(width.view(np.uint64), ones, ones),
            _packed(index.view(np.uint64), np.repeat(width, counts), counts, 1),
            Numbers(values.tags.astype(np.uint64), ones, ones),
            *values.parts,
        ],
    )


def _bits(values: pl.Series) -> Ints:
    """Every fixed-width value as int64; floats as their bit pattern."""
    dtype = values.dtype
    if dtype == pl.Float64:
        return np.ascontiguousarray(values.to_numpy()).view(np.int64)
    if dtype == pl.Float32:
        return np.ascontiguousarray(values.to_numpy()).view(np.int32).astype(np.int64)
    return np.ascontiguousarray(values.to_physical().cast(pl.Int64).to_numpy())


def _octets(values: pl.Series) -> tuple[Ints, Octets]:
    """Byte lengths, and all bytes end to end."""
    if values.dtype == pl.String:
        joined, lengths = values.str.join("").cast(pl.Binary).item(), values.str.len_bytes()
    else:
        joined, lengths = b"".join(values.to_list()), values.bin.size()
    return lengths.to_numpy().astype(np.int64), np.frombuffer(joined, np.uint8)

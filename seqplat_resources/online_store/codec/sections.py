"""One stream of a bucket -> its section in every block, chosen per user for the fewest bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets, Words
from seqplat_resources.online_store.codec.schema import StreamKind


@dataclass(frozen=True)
class Numbers:
    """``counts[u]`` unsigned numbers of ``widths[u]`` bytes for user u; ``words`` holds all users' end to end."""

    words: Words
    counts: Ints
    widths: Ints

    @cached_property
    def sizes(self) -> Ints:
        return self.counts * self.widths

    def write(self, out: Octets, at: Ints) -> None:
        widths = np.repeat(self.widths, self.counts)
        places = np.repeat(at, self.counts) + ragged.position_in_run(self.counts) * widths
        ragged.write_words(out, places, self.words, widths)


@dataclass(frozen=True)
class Strings:
    """``data[starts[u] : starts[u] + sizes[u]]`` for user u."""

    data: Octets
    starts: Ints
    sizes: Ints

    def write(self, out: Octets, at: Ints) -> None:
        ragged.copy_runs(out, at, self.data, self.starts, self.sizes)


# Some bytes of every block's section: ``sizes`` per user, and ``write`` puts each user's at ``out[at[user]]``.
Part = Numbers | Strings


@dataclass(frozen=True)
class Section:
    """One stream in all blocks: a tag per user and the parts that follow each other in its section."""

    tags: Octets
    parts: Sequence[Part]

    @cached_property
    def sizes(self) -> Ints:
        return np.asarray(np.sum([part.sizes for part in self.parts], axis=0), dtype=np.int64)

    def write(self, out: Octets, at: Ints) -> None:
        for part in self.parts:
            part.write(out, at)
            at = at + part.sizes


def section(values: pl.Series, counts: Ints, kind: StreamKind) -> Section:
    """Encode one stream.

    Shapes:
        ``values`` has one entry per row, users end to end; ``counts`` says how many rows each user has (0 is fine).
    """
    bitmap, present = _validity(values, counts)
    values = values.drop_nulls()
    # Reductions over runs need runs that are not empty; users without a value keep EMPTY and no bytes.
    active = np.flatnonzero(present)
    body = _number_body if kind == "ints" else _string_body
    tags, parts = body(values, present[active]) if active.size else (np.zeros(0, np.uint8), [])
    all_tags = np.full(counts.size, layout.EMPTY, np.uint8)
    all_tags[active] = tags
    all_tags[(present > 0) & (present < counts)] |= layout.NULLS
    return Section(all_tags, [bitmap, *(_spread(part, active, counts.size) for part in parts)])


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


def _number_body(values: pl.Series, counts: Ints) -> tuple[Octets, list[Part]]:
    """Deltas from the smallest value, or from 0 where that is no longer: whichever is fewer bytes."""
    numbers = _bits(values)
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
    return (layout.INTS | widths).astype(np.uint8), [bases, Numbers(deltas, counts, widths)]


def _string_body(values: pl.Series, counts: Ints) -> tuple[Octets, list[Part]]:
    """One string where all are equal, else equal lengths unsaid, else lengths first."""
    lengths, data = _octets(values)
    starts = ragged.starts_of(counts)
    differs = (values != values.shift(1)).fill_null(False).to_numpy().copy()
    differs[starts] = False
    constant = ~np.logical_or.reduceat(differs, starts)
    shortest, longest = np.minimum.reduceat(lengths, starts), np.maximum.reduceat(lengths, starts)
    fixed = ~constant & (shortest == longest)
    variable = ~constant & ~fixed
    width = np.where(variable, ragged.width_of(longest.view(np.uint64)), 0)
    tags = np.select([constant, fixed], [layout.CONST, layout.FIXED], layout.VAR | width).astype(np.uint8)
    listed = np.where(variable, counts, 0)
    sizes = np.where(constant, longest, ragged.sum_runs(lengths, counts))
    said = lengths[np.repeat(variable, counts)].view(np.uint64)
    return tags, [Numbers(said, listed, width), Strings(data, ragged.starts_of(lengths)[starts], sizes)]


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


def _spread(part: Part, active: Ints, users: int) -> Part:
    """From one entry per active user to one entry per user."""

    def everyone(entries: Ints) -> Ints:
        if active.size == users:
            return entries
        spread = np.zeros(users, np.int64)
        spread[active] = entries
        return spread

    if isinstance(part, Numbers):
        return Numbers(part.words, everyone(part.counts), everyone(part.widths))
    return Strings(part.data, everyone(part.starts), everyone(part.sizes))

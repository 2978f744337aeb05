"""Bodies of sections -> their values: the numbers themselves, or where the byte strings are. No rows, no nulls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.decode.directory import SECTIONED, BlockBatch
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets, Words

# As many as number MAX_ROWS values.
MAX_INDEX_BITS = 22
MOST_DECIMALS = 15


@dataclass(frozen=True)
class SectionBodies:
    """Bodies of some sections of a batch: ``of`` is the section's place among streams x blocks, ``counts`` how many
    values it has; arrays of one entry per body. ``tags`` are without NULLS, and EMPTY where ``counts`` is 0."""

    batch: BlockBatch
    of: Ints
    tags: Octets
    begins: Ints
    sizes: Ints
    counts: Ints

    def only(self, chosen: Flags) -> "SectionBodies":
        parts: Sequence[Ints] = (self.of, self.begins, self.sizes, self.counts)
        of, begins, sizes, counts = (part[chosen] for part in parts)
        return SectionBodies(self.batch, of, self.tags[chosen], begins, sizes, counts)

    def replaced(self, chosen: Flags, others: "SectionBodies") -> "SectionBodies":
        """With ``others`` in place of the chosen ones."""
        tags, begins, sizes, counts = self.tags.copy(), self.begins.copy(), self.sizes.copy(), self.counts.copy()
        tags[chosen], begins[chosen], sizes[chosen] = others.tags, others.begins, others.sizes
        counts[chosen] = others.counts
        return SectionBodies(self.batch, self.of, tags, begins, sizes, counts)

    def refuse(self, bad: Flags, what: str) -> None:
        self.batch.refuse_some(self.of, bad, what)

    @property
    def widths(self) -> Ints:
        return (self.tags & layout.WIDTH_MASK).astype(np.int64)

    def with_kind(self, kind: int) -> "SectionBodies | None":
        """Those of a kind that format 2 added; None where there are none.

        Raises:
            CorruptBlockError: one is in a block of format 1.
        """
        chosen = (self.tags & layout.KIND_MASK) == kind
        if not chosen.any():
            return None
        found = self.only(chosen)
        batch = self.batch
        found.refuse(batch.form[found.of % batch.rows.size] != SECTIONED, "a tag is not of format 1")
        return found


def numbers(bodies: SectionBodies) -> Ints:
    """All values, body after body, as int64."""
    if not bodies.batch.sectioned:
        return _plain(bodies)
    kinds = bodies.tags & layout.KIND_MASK
    values = np.empty(int(bodies.counts.sum()), np.int64)
    values[np.repeat(kinds < layout.DICT, bodies.counts)] = _plain(bodies.only(kinds < layout.DICT))
    for kind, decode in ((layout.DICT, _indexed), (layout.STEPS, _steps), (layout.DECIMALS, _decimals)):
        if some := bodies.with_kind(kind):
            values[np.repeat(kinds == kind, bodies.counts)] = decode(some)
    return values


def _plain(bodies: SectionBodies) -> Ints:
    kinds, widths, counts = bodies.tags & layout.KIND_MASK, bodies.widths, bodies.counts
    bodies.refuse(((kinds != layout.INTS) & (bodies.tags != layout.EMPTY)) | (widths > 8), "a tag is not of a number")
    base_widths = bodies.sizes - counts * widths
    bodies.refuse((base_widths < 0) | (base_widths > 8), "the size of a number section does not fit its values")
    octets = bodies.batch.octets
    base = ragged.sign_extend(ragged.read_words(octets, bodies.begins, base_widths), base_widths)
    row_widths = np.repeat(widths, counts)
    at = np.repeat(bodies.begins + base_widths, counts) + ragged.position_in_run(counts) * row_widths
    deltas = ragged.read_words(octets, at, row_widths).view(np.int64)
    return np.repeat(base, counts) + deltas


def _indexed(bodies: SectionBodies) -> Ints:
    index, distinct = dictionaries(bodies)
    return _plain(distinct)[index]


def _decimals(bodies: SectionBodies) -> Ints:
    bodies.refuse((bodies.sizes == 0) | (bodies.widths > MOST_DECIMALS), "a section of decimals is too short")
    tags = bodies.batch.octets[bodies.begins]
    bodies.refuse((tags & layout.KIND_MASK) != layout.INTS, "decimals are not of whole numbers")
    whole = _plain(SectionBodies(bodies.batch, bodies.of, tags, bodies.begins + 1, bodies.sizes - 1, bodies.counts))
    return (whole / np.repeat(10.0**bodies.widths, bodies.counts)).view(np.int64)


def _steps(bodies: SectionBodies) -> Ints:
    counts, octets = bodies.counts, bodies.batch.octets
    nibbles = (counts + 1) >> 1
    said = 16 + nibbles
    bodies.refuse((bodies.widths != 0) | (said > bodies.sizes), "a section of steps is too short")
    eight = np.full_like(counts, 8)
    base = ragged.read_words(octets, bodies.begins, eight).view(np.int64)
    unit = ragged.read_words(octets, bodies.begins + 8, eight).view(np.int64)
    within = ragged.position_in_run(counts)
    widths = _fours(octets, 2 * np.repeat(bodies.begins + 16, counts) + within, np.ones_like(within)).view(np.int64)
    units = ragged.sum_runs(widths, counts)
    bodies.refuse((units + 1) >> 1 != bodies.sizes - said, "steps do not add up to their section")
    first = ragged.starts_of(counts)
    before = np.cumsum(widths) - widths
    words = _fours(octets, before + np.repeat(2 * (bodies.begins + said) - before[first], counts), widths)
    signed = (words >> np.uint64(1)).view(np.int64) ^ -(words & np.uint64(1)).view(np.int64)
    # NOTE: sums wrap around, as the encoder's differences do.
    total = np.cumsum(signed * np.repeat(unit, counts))
    return total + np.repeat(base - total[first], counts)


def _fours(octets: Octets, at: Ints, widths: Ints) -> Words:
    return ragged.read_units(octets, at, widths, 4)


def dictionaries(bodies: SectionBodies) -> tuple[Ints, SectionBodies]:
    """Of bodies of kind DICT: per value the place of its distinct value (in all that follow each other), and those."""
    counts, octets = bodies.counts, bodies.batch.octets
    bodies.refuse(bodies.sizes == 0, "a section of indexes is too short")
    widths = octets[bodies.begins].astype(np.int64)
    listed = 1 + ((counts * widths + 7) >> 3)
    bad = (bodies.widths != 0) | (widths < 1) | (widths > MAX_INDEX_BITS) | (listed >= bodies.sizes)
    bodies.refuse(bad, "a section of indexes is too short")
    row_widths = np.repeat(widths, counts)
    at = np.repeat(8 * (bodies.begins + 1), counts) + ragged.position_in_run(counts) * row_widths
    index = ragged.read_units(octets, at, row_widths, 1).view(np.int64)
    distinct = np.maximum.reduceat(index, ragged.starts_of(counts)) + 1
    bodies.refuse(distinct > counts, "an index is impossible")
    begins = bodies.begins + listed
    tags = octets[begins]
    bodies.refuse(
        ((tags & layout.KIND_MASK) > layout.VAR) | (tags & layout.NULLS != 0), "a dictionary's tag is unknown"
    )
    found = SectionBodies(bodies.batch, bodies.of, tags, begins + 1, bodies.sizes - listed - 1, distinct)
    bodies.refuse(tags == layout.EMPTY, "a dictionary is empty")
    return index + np.repeat(ragged.starts_of(distinct), counts), found


@dataclass(frozen=True)
class Extents:
    """Where byte strings are: the distinct ones, or each; ``index`` says which is each value's (None: in order)."""

    at: Ints
    sizes: Ints
    index: Ints | None

    @property
    def each(self) -> tuple[Ints, Ints]:
        """Where each value is, and its size."""
        if self.index is None:
            return self.at, self.sizes
        return self.at[self.index], self.sizes[self.index]


def extents(bodies: SectionBodies) -> Extents:
    """Where the byte strings of all values are, body after body."""
    kinds = bodies.tags & layout.KIND_MASK
    indexed = bodies.with_kind(layout.DICT) if bodies.batch.sectioned else None
    pools, places = bodies, None
    if indexed is not None:
        places, distinct = dictionaries(indexed)
        chosen = kinds == layout.DICT
        pools = bodies.replaced(chosen, distinct)
    at, sizes, entries = _places(pools)
    if places is None and at.size == int(bodies.counts.sum()):
        return Extents(at, sizes, None)
    starts = np.repeat(ragged.starts_of(entries), bodies.counts)
    within = ragged.position_in_run(bodies.counts)
    if places is not None:
        within[np.repeat(chosen, bodies.counts)] = places - np.repeat(
            ragged.starts_of(distinct.counts), bodies.counts[chosen]
        )
    return Extents(at, sizes, starts + np.where(np.repeat(entries == 1, bodies.counts), 0, within))


def _places(bodies: SectionBodies) -> tuple[Ints, Ints, Ints]:
    """Where each string of bodies of format 1 is, its size, and how many each body has: one where all are equal."""
    tags, sizes, widths = bodies.tags, bodies.sizes, bodies.widths
    kinds = tags & layout.KIND_MASK
    variable, fixed, constant = kinds == layout.VAR, kinds == layout.FIXED, kinds == layout.CONST
    shaped = np.where(variable, (widths >= 1) & (widths <= 4), widths == 0)
    known = variable | fixed | constant | (tags == layout.EMPTY)
    bodies.refuse(~known | ~shaped, "a tag is not of a byte string")
    counts = np.where(constant, np.minimum(bodies.counts, 1), bodies.counts)
    divisor = np.maximum(counts, 1)
    bodies.refuse(fixed & (sizes % divisor != 0), "equal lengths do not divide a section")
    said = np.where(variable, counts * widths, 0)
    bodies.refuse(said > sizes, "the lengths are longer than their section")
    step = np.where(fixed, sizes // divisor, 0)
    within = ragged.position_in_run(counts)
    lengths = np.repeat(np.where(fixed, step, sizes), counts)
    at = np.repeat(bodies.begins, counts) + within * np.repeat(step, counts)
    if variable.any():
        rows = np.repeat(variable, counts)
        row_widths = np.repeat(widths, counts)[rows]
        listed = ragged.read_words(bodies.batch.octets, at[rows] + within[rows] * row_widths, row_widths)
        found, some = listed.view(np.int64), counts[variable]
        added = np.zeros(counts.size, np.int64)
        added[variable] = ragged.sum_runs(found, some)
        bodies.refuse(variable & (added != sizes - said), "lengths do not add up to their section")
        lengths[rows] = found
        first = ragged.starts_of(found)
        at[rows] += np.repeat(said[variable], some) + first - np.repeat(first[ragged.starts_of(some)], some)
    return at, lengths, counts

"""Numpy on many short runs at once: the loops of the codec, without a Python step per event or per column.

A *run* is a stretch of consecutive items that belong together (one user's rows). ``counts`` gives their lengths.
"""

from typing import Literal

import numpy as np

from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets, Words

_POWERS = np.array([256**k for k in range(8)], dtype=np.uint64)
_WIDTH_MASKS = np.array([(1 << 8 * w) - 1 for w in range(9)], dtype=np.uint64)
_BIT_POWERS = np.array([1 << k for k in range(64)], dtype=np.uint64)
_BIT_MASKS = np.array([(1 << k) - 1 for k in range(65)], dtype=np.uint64)
# Below this mean length an index per byte is cheaper than a Python step per run (measured: about 40 bytes).
_LONG_RUN_BYTES = 48


def starts_of(counts: Ints) -> Ints:
    """Where each run begins when they lie end to end."""
    starts = np.cumsum(counts)
    starts -= counts
    return starts


def position_in_run(counts: Ints) -> Ints:
    """0, 1, 2, ... anew in every run."""
    return np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(starts_of(counts), counts)


def count_true(flags: Flags, counts: Ints) -> Ints:
    """How many flags of each run are set; 0 for an empty run."""
    return sum_runs(flags.astype(np.int64), counts)


def sum_runs(values: Ints, counts: Ints) -> Ints:
    """Sum of each run; 0 for an empty run."""
    totals = np.concatenate(([0], np.cumsum(values)))
    starts = starts_of(counts)
    return np.asarray(totals[starts + counts] - totals[starts], dtype=np.int64)


def width_of(values: Words) -> Ints:
    """Bytes that hold each unsigned number: 0 for 0, up to 8."""
    return np.searchsorted(_POWERS, values, side="right").astype(np.int64)


def signed_width_of(values: Ints) -> Ints:
    """Bytes that hold each signed number in two's complement: 0 for 0, up to 8."""
    magnitude = (values ^ (values >> 63)).view(np.uint64) << np.uint64(1)
    return np.where(values == 0, 0, width_of(magnitude | np.uint64(1)))


def write_words(out: Octets, at: Ints, words: Words, widths: Ints) -> None:
    """Put the low ``widths[i]`` bytes of ``words[i]`` at ``out[at[i]]``; width 0 writes nothing."""
    for width, found in enumerate(np.bincount(widths, minlength=9).tolist()):
        if width == 0 or found == 0:
            continue
        chosen = slice(None) if found == widths.size else widths == width
        octets = words[chosen].view(np.uint8).reshape(-1, 8)[:, :width]
        if width == 1:
            out[at[chosen]] = octets[:, 0]
        else:
            # An overlapping view with one element per byte: one assignment copies ``width`` bytes per word.
            window = np.ndarray((out.size - width + 1,), f"V{width}", buffer=out.data, strides=(1,))
            window[at[chosen]] = np.ascontiguousarray(octets).view(f"V{width}")[:, 0]


def read_words(data: Octets, at: Ints, widths: Ints) -> Words:
    """The unsigned numbers of ``widths[i]`` bytes at ``data[at[i]]``; ``data`` ends with 8 spare bytes."""
    window = np.ndarray((data.size - 7,), "V8", buffer=data.data, strides=(1,))
    return np.asarray(window[at].view("<u8") & _WIDTH_MASKS[widths], dtype=np.uint64)


def pack_units(words: Words, at: Ints, widths: Ints, size_bytes: int, unit_bits: Literal[1, 4]) -> Octets:
    """Put the low ``widths[i]`` units of ``words[i]`` from unit ``at[i]`` on; lowest unit of a byte first."""
    units = np.zeros(size_bytes * (8 // unit_bits), np.uint8)
    for k in range(int(widths.max(initial=0))):
        chosen = np.flatnonzero(widths > k)
        units[at[chosen] + k] = (words[chosen] >> np.uint64(k * unit_bits)) & np.uint64((1 << unit_bits) - 1)
    if unit_bits == 1:
        return np.packbits(units, bitorder="little")
    return np.asarray(units[0::2] | units[1::2] << 4, dtype=np.uint8)


def read_units(data: Octets, at: Ints, widths: Ints, unit_bits: Literal[1, 4]) -> Words:
    """The unsigned numbers of ``widths[i]`` units from unit ``at[i]`` on, of at most 56 bits (60 where a unit has 4);
    ``data`` ends with 8 spare bytes."""
    bits = at * unit_bits
    window = np.ndarray((data.size - 7,), "V8", buffer=data.data, strides=(1,))
    shifted = window[bits >> 3].view("<u8") >> (bits & 7).view(np.uint64)
    return np.asarray(shifted & _BIT_MASKS[widths * unit_bits], dtype=np.uint64)


def bits_of(values: Words) -> Ints:
    """Bits that hold each unsigned number: 0 for 0, up to 64."""
    return np.searchsorted(_BIT_POWERS, values, side="right").astype(np.int64)


def sign_extend(words: Words, widths: Ints) -> Ints:
    """Two's complement numbers of ``widths[i]`` bytes as int64."""
    shift = (8 * (8 - np.maximum(widths, 1))).astype(np.int64)
    return (words.view(np.int64) << shift) >> shift


def copy_runs(out: Octets, at: Ints, data: Octets, starts: Ints, sizes: Ints) -> None:
    """``out[at[i] : at[i] + sizes[i]] = data[starts[i] : starts[i] + sizes[i]]`` for every run i."""
    total = int(sizes.sum())
    if total >= _LONG_RUN_BYTES * max(1, int(np.count_nonzero(sizes))):
        target, source = out.data, data.data
        for to, begin, size in zip(at.tolist(), starts.tolist(), sizes.tolist(), strict=True):
            target[to : to + size] = source[begin : begin + size]
    elif total:
        within = position_in_run(sizes)
        out[np.repeat(at, sizes) + within] = data[np.repeat(starts, sizes) + within]

"""Sections of all users -> their blocks, in either format."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from seqplat_resources.online_store.codec import layout, ragged
from seqplat_resources.online_store.codec.encode.parts import Body
from seqplat_resources.online_store.codec.layout import Ints, Octets
from seqplat_resources.online_store.codec.sectioned import head_size


def plain_blocks(sections: Sequence[Body], schema_id: int, counts: Ints) -> Iterator[bytes]:
    """Blocks of format 1, of users whose sections are small."""
    ends = np.cumsum([part.sizes for part in sections], axis=0, dtype=np.int64)
    head = layout.HEADER.size + 3 * len(sections)
    out, at, sizes = _laid_out(sections, ends, head, layout.CHECKSUM_BYTES)
    heads = _heads(layout.FORMAT_VERSION, schema_id, counts)
    _write_rows(out, at, _joined(heads, _tags(sections), _matrix(ends.T, "<u2")))
    begins, closes = at.tolist(), (at + sizes - layout.CHECKSUM_BYTES).tolist()
    view = out.data
    checksums = np.array([layout.seal(view[a:b]) for a, b in zip(begins, closes, strict=True)], dtype="<u4")
    _write_rows(out, at + sizes - layout.CHECKSUM_BYTES, checksums.view(np.uint8).reshape(-1, 4))
    return _cut(out, at, sizes)


def sectioned_blocks(sections: Sequence[Body], schema_id: int, counts: Ints) -> Iterator[bytes]:
    """Blocks of format 2."""
    ends = np.cumsum([part.sizes for part in sections], axis=0, dtype=np.int64)
    head = head_size(len(sections))
    out, at, sizes = _laid_out(sections, ends, head, 0)
    bounds = np.vstack((np.zeros_like(at), ends)).T + (at + head)[:, None]
    view = out.data
    checksums = np.array([[zlib.crc32(view[a:b]) for a, b in pairwise(places)] for places in bounds.tolist()])
    heads = _heads(layout.SECTIONED_VERSION, schema_id, counts)
    checked = _joined(heads, _tags(sections), _matrix(ends.T, "<u4"), _matrix(checksums, "<u4"))
    seals = np.array([layout.seal(row.data) for row in checked])
    _write_rows(out, at, _joined(checked, _matrix(seals[:, None], "<u4")))
    return _cut(out, at, sizes)


def _laid_out(sections: Sequence[Body], ends: Ints, head: int, tail: int) -> tuple[Octets, Ints, Ints]:
    """Room for all blocks with the sections in place; where each block begins, and its size."""
    sizes = head + ends[-1] + tail
    at = ragged.starts_of(sizes)
    out = np.zeros(int(sizes.sum()), np.uint8)
    for part, end in zip(sections, ends, strict=True):
        part.write(out, at + head + end - part.sizes)
    return out, at, sizes


def _heads(version: int, schema_id: int, counts: Ints) -> Octets:
    heads = np.zeros(counts.size, layout.HEADER_DTYPE)
    heads["magic"], heads["version"], heads["schema"], heads["rows"] = layout.MAGIC, version, schema_id, counts
    return heads.view(np.uint8).reshape(counts.size, -1)


def _tags(sections: Sequence[Body]) -> Octets:
    return np.column_stack([part.tags for part in sections])


def _matrix(numbers: Ints, dtype: str) -> Octets:
    """Each row's numbers as bytes."""
    typed: npt.NDArray[np.uint8] = np.ascontiguousarray(numbers.astype(dtype)).view(np.uint8)
    return typed


def _joined(*parts: Octets) -> Octets:
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _write_rows(out: Octets, at: Ints, rows: Octets) -> None:
    """Row i of a byte matrix to ``out[at[i]]``."""
    if rows.size:
        width = rows.shape[1]
        window = np.ndarray((out.size - width + 1,), f"V{width}", buffer=out.data, strides=(1,))
        window[at] = np.ascontiguousarray(rows).view(f"V{width}")[:, 0]


def _cut(out: Octets, at: Ints, sizes: Ints) -> Iterator[bytes]:
    finished = out.tobytes()
    return (finished[begin:end] for begin, end in zip(at.tolist(), (at + sizes).tolist(), strict=True))

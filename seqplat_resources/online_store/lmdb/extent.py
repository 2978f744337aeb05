"""How far into its file an LMDB store reaches, read without mapping it: a page behind the file's end ends the process.

The layout is that of LMDB 0.9: 16 bytes of head per page; the first two pages say where the trees begin.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("<QHHHH")  # number, -, flags, lower, upper
_META = struct.Struct("<IIQQ")  # magic, version, -, map size; then two trees, the last page and the transaction
_TREE = struct.Struct("<IHHQQQQQ")  # page size in the first, -, depth, -, -, -, -, root
_END = struct.Struct("<QQ")
_NODE = struct.Struct("<HHHH")  # low and high of a size, or of a page's number; flags or its highest bits; key size
_MAGIC, _NO_ROOT = 0xBEEFC0DE, (1 << 64) - 1
_BRANCH, _LEAF, _BIG = 0x01, 0x02, 0x01
# At a file that others commit to.
_LOOKS = 10


@dataclass(frozen=True)
class _Meta:
    page_bytes: int
    roots: tuple[int, ...]
    last_page: int
    transaction: int
    map_bytes: int


def missing_bytes(data: Path) -> int:
    """By how much the file is too short for what it holds; 0 for one that is whole, empty, or none of LMDB's.

    Cost:
        Two small reads. Only where pages lie behind the end of the file, which may be ones that nobody uses, are all
        pages looked at.
    """
    with open(data, "rb") as file:
        meta = _meta(file.fileno())
        for _ in range(_LOOKS):
            # In this order: a file only grows under whoever commits to it.
            size = os.fstat(file.fileno()).st_size
            if meta is None or size >= (meta.last_page + 1) * meta.page_bytes:
                return 0
            missing = max(0, _reach(file.fileno(), meta, size) - size)
            before, meta = meta, _meta(file.fileno())
            if not missing or meta == before:
                return missing
    return 0  # somebody commits to it, again and again, which nobody can to one that was cut


def map_bytes(data: Path) -> int | None:
    """How much address space the file says that it needs; 0 for one that is away or empty, None for none of LMDB's."""
    try:
        with open(data, "rb") as file:
            meta = _meta(file.fileno())
            return meta.map_bytes if meta else None if os.fstat(file.fileno()).st_size else 0
    except OSError:
        return 0


def _reach(file: int, meta: _Meta, size: int) -> int:
    """Where the last page ends that the trees name. A page whose children would have to be read, but which is not
    there, is enough to know."""
    reach = 2 * meta.page_bytes
    waiting = [root for root in meta.roots if root != _NO_ROOT]
    for _ in range(meta.last_page + 1):  # no more, should damaged pages name each other
        if not waiting:
            break
        number = waiting.pop()
        reach = max(reach, (number + 1) * meta.page_bytes)
        if reach > size:
            break
        page = os.pread(file, meta.page_bytes, number * meta.page_bytes)
        for child, pages in _children(page):
            if pages:
                reach = max(reach, (child + pages) * meta.page_bytes)
            else:
                waiting.append(child)
    return reach


def _meta(file: int) -> _Meta | None:
    first = _meta_at(file, 0)
    second = _meta_at(file, first.page_bytes) if first else None
    return max(filter(None, (first, second)), key=lambda meta: meta.transaction, default=None)


def _meta_at(file: int, place: int) -> _Meta | None:
    found = os.pread(file, _HEAD.size + _META.size + 2 * _TREE.size + _END.size, place)
    trees = _HEAD.size + _META.size
    if len(found) < trees + 2 * _TREE.size + _END.size or _META.unpack_from(found, _HEAD.size)[0] != _MAGIC:
        return None
    free, main = _TREE.unpack_from(found, trees), _TREE.unpack_from(found, trees + _TREE.size)
    last_page, transaction = _END.unpack_from(found, trees + 2 * _TREE.size)
    mapped = _META.unpack_from(found, _HEAD.size)[3]
    return _Meta(free[0], (free[-1], main[-1]), last_page, transaction, mapped)


def _children(page: bytes) -> Iterator[tuple[int, int]]:
    """Pages that a page names, and how many of them hold one large value; 0 for another page of the tree."""
    _, _, flags, lower, _ = _HEAD.unpack_from(page)
    for at in range(_HEAD.size, lower, 2):
        node = int.from_bytes(page[at : at + 2], "little")
        low, high, node_flags, key_bytes = _NODE.unpack_from(page, node)
        if flags & _BRANCH:
            yield low | high << 16 | node_flags << 32, 0
        elif flags & _LEAF and node_flags & _BIG:
            start = node + _NODE.size + key_bytes
            size = low | high << 16
            yield int.from_bytes(page[start : start + 8], "little"), -(-(_HEAD.size + size) // len(page))

"""Which batches the now view has and what each reaches, oldest first; found again where the server has lost it."""

import json
import logging
import math
from collections.abc import Iterator
from typing import Any

from seqplat_resources.online_store.now_view import Reach
from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records.damage import reading
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.scripts import now

_log = logging.getLogger(__name__)

# Users, or batches, that are written, read or deleted at once.
STRIDE = 1 << 12


def every(catalog: Catalog, event_type: str) -> Iterator[tuple[int, Reach]]:
    """Oldest first."""
    key, after, listed = catalog.names.batches(event_type), 0, True
    while listed:
        listed = catalog.link.one("ZRANGEBYSCORE", key, f"({after}", "+inf", "LIMIT", 0, STRIDE, repeatable=True)
        for text in listed:
            after, record = parsed(text)
            yield after, record["reach"]


def list_again(catalog: Catalog) -> tuple[int, int]:
    """Have all batches listed; how many are not, because the server has lost all that says what covers them, and the
    first number that one may have. What is not listed is read on, and not evicted."""
    names, link = catalog.names, catalog.link
    types = catalog.pin().streamed_types()
    where = [names.pin, names.live, *map(names.batches, types)]
    missing, floor, last = map(int, link.one(*now.RELIST(where, *map(type_name, types)), repeatable=True))
    if missing <= 0:
        return 0, floor
    _log.warning("the server has lost which %d batches of the now view there are; they are looked for", missing)
    for start in range(floor, last + 1, STRIDE):
        places = [(of, number) for number in range(start, min(start + STRIDE, last + 1)) for of in types]
        copies = link.run([("GET", names.record(*place)) for place in places], repeatable=True)
        found = [(place, copy) for place, copy in zip(places, copies, strict=True) if copy]
        link.run(
            [("ZADD", names.batches(of), number, b"%d " % number + copy) for (of, number), copy in found],
            repeatable=True,
        )
    again = link.one(*now.RELIST(where, *map(type_name, types)), repeatable=True)
    return max(0, int(again[0])), floor


def record_again(catalog: Catalog, event_type: str) -> None:
    """Batches whose records the server has lost are recorded again, or they would be read for ever."""
    names, missing = catalog.names, sorted(_unrecorded(catalog, event_type))
    copies = catalog.link.run([("GET", names.record(event_type, number)) for number in missing], repeatable=True)
    key = names.batches(event_type)
    found = [(number, copy) for number, copy in zip(missing, copies, strict=True) if copy]
    catalog.link.run([("ZADD", key, number, b"%d " % number + copy) for number, copy in found], repeatable=True)


def first_unrecorded(catalog: Catalog, event_type: str) -> int | float:
    """The first batch of which the server has lost all that says what covers it."""
    return min(_unrecorded(catalog, event_type), default=math.inf)


def _unrecorded(catalog: Catalog, event_type: str) -> set[int]:
    # In this order: a batch that is committed in between makes for a look in vain, not for one too few.
    asked = [("ZCARD", catalog.names.batches(event_type)), ("ZRANGE", catalog.names.live, 0, -1)]
    recorded, live = catalog.link.run(asked, repeatable=True)
    mine = {int(number) for number, _, of in (entry.partition(b" ") for entry in live) if of == type_name(event_type)}
    if len(mine) <= recorded:
        return set()
    return mine - {number for number, _ in every(catalog, event_type)}


def beside(catalog: Catalog, event_type: str, sequence: int) -> tuple[bytes, bytes]:
    """What is kept of a batch besides its blocks and its record. They share a slot."""
    return catalog.names.users(event_type, sequence), catalog.names.record(event_type, sequence)


def parsed(listed: bytes) -> tuple[int, dict[str, Any]]:
    with reading("a now batch", listed):
        sequence, _, record = listed.partition(b" ")
        return int(sequence), json.loads(record)

"""Batches leave the now view, oldest first, once every kept epoch covers them."""

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.errors import EpochGoneError, StoreDamagedError
from seqplat_resources.online_store.now_view import Eviction, Reach
from seqplat_resources.online_store.redis import arrivals, batch_list
from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records import rosters
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.scripts import now
from seqplat_resources.online_store.redis.wire.pipeline import Command


def evict(catalog: Catalog, event_type: str) -> Eviction:
    """As the contract says; blocks are deleted before their batch is forgotten, so that a crash leaves none behind."""
    eviction = _covered_ones(catalog, event_type)
    _note_covered(catalog, event_type)
    return eviction


def _covered_ones(catalog: Catalog, event_type: str) -> Eviction:
    names, link = catalog.names, catalog.link
    blocks = batches = 0
    batch_list.list_again(catalog)
    batch_list.record_again(catalog, event_type)
    epochs = [view.epoch for view in catalog.kept_views(event_type)]
    while True:
        listed, left = link.run(
            [("ZRANGE", names.batches(event_type), 0, 0), ("ZCARD", names.batches(event_type))], repeatable=True
        )
        if not listed:
            return Eviction(blocks, batches, 0, None)
        sequence, record = batch_list.parsed(listed[0])
        if held_by := rules.first_uncovered(record["reach"], epochs):
            return Eviction(blocks, batches, left, held_by)
        gone, was_mine = _batch(catalog, event_type, sequence, record["reach"])
        blocks, batches = blocks + gone, batches + was_mine


def _note_covered(catalog: Catalog, event_type: str) -> None:
    """How far the current epoch covers the batches that are left."""
    pin = catalog.pin()
    if (head := pin.head(event_type)) is None:
        return
    try:
        epoch = catalog.view(event_type, head.number).epoch
    except (EpochGoneError, StoreDamagedError):  # others publish meanwhile or will have to, and evict after that
        return
    found = rules.covered(batch_list.every(catalog, event_type), epoch, pin.settled_below)
    unlisted, floor = batch_list.list_again(catalog)
    below = min(found.below, floor if unlisted else found.below, batch_list.first_unrecorded(catalog, event_type))
    noted = b"%d %s %d" % (found.epoch, head.nonce, below)
    catalog.link.one("HSET", catalog.names.pin, b"c" + type_name(event_type), noted, repeatable=True)


def _batch(catalog: Catalog, event_type: str, sequence: int, reach: Reach) -> tuple[int, int]:
    """Blocks deleted, and whether the batch left by this (another eviction may have been faster)."""
    names, link = catalog.names, catalog.link
    listed = link.one("GET", names.users(event_type, sequence), repeatable=True)
    users = rosters.unpacked_users(listed) if listed else []
    days = [keys.ordinal(day) for day in reach]
    where = [names.pin, names.open, names.live, names.batches(event_type), names.days(event_type)]
    where += [names.totals(event_type)]

    def finish(blocks: int, size: int, is_last: int) -> Command:
        return now.EVICT(where, type_name(event_type), sequence, blocks, size, is_last, *days)

    count = 0
    for start in range(0, len(users), batch_list.STRIDE):
        arrivals.leave(catalog, event_type, sequence, users[start : start + batch_list.STRIDE], below=sequence)
        mine = [names.now(event_type, user) for user in users[start : start + batch_list.STRIDE]]
        answers = link.run(
            [
                command
                for key in mine
                for command in (("HSTRLEN", key, sequence), ("HDEL", key, sequence, f"f{sequence}"))
            ]
        )
        # What another eviction deletes meanwhile, it counts: a size counts for whoever's deletion found the block.
        sizes = [size for size, found in zip(answers[::2], answers[1::2], strict=True) if found and size]
        count += len(sizes)
        link.one(*finish(len(sizes), sum(sizes), 0))
    was_mine = link.one(*finish(0, 0, 1))[1]
    link.one("UNLINK", *batch_list.beside(catalog, event_type, sequence))
    return count, int(was_mine)

"""What every store checks before it changes a now view, and when a batch of it may go. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.online_store.contract import Epoch
from seqplat_resources.online_store.errors import FencedStreamError, InvalidNowWriteError, StreamPositionError
from seqplat_resources.online_store.now_view import Advance, EvictionMark, NowWrite, Reach, StreamPosition


def check_partitions(partitions: Mapping[str, Advance], *, has_writes: bool) -> None:
    """
    Raises:
        InvalidNowWriteError: blocks without a partition they come from, or a partition that goes backwards.
        InvalidKeyError: a partition that cannot be a key.
    """
    if has_writes and not partitions:
        raise InvalidNowWriteError(
            "blocks come from no source partition",
            where="an advance",
            fix="say from where to where each partition was consumed, or nothing keeps them from being written twice",
        )
    for partition, advance in partitions.items():
        keys.position(partition)
        if advance.end < advance.start:
            raise InvalidNowWriteError(
                f"{partition} ends at {advance.end}, before its start {advance.start}",
                where="an advance",
                fix="say the first offset consumed, and the one after the last",
            )


def check_position(partition: str, stored: StreamPosition | None, advance: Advance) -> None:
    """
    Raises:
        FencedStreamError, StreamPositionError: as the contract says. The token is looked at first: a writer that was
        replaced must learn that, not try again.
    """
    if stored and stored.token > advance.token:
        raise FencedStreamError(partition, mine=advance.token, theirs=stored.token)
    if stored and stored.next_offset != advance.start:
        raise StreamPositionError(partition, stored=stored.next_offset, start=advance.start)
    if stored is None and advance.resumes:
        raise StreamPositionError(partition, stored=None, start=advance.start)


def by_user(write: NowWrite) -> dict[str, bytes]:
    """A write's blocks by user, read once.

    Raises:
        InvalidNowWriteError: a user comes twice, or the blocks have no reach.
        InvalidKeyError: a day of the reach is none.
    """
    where = f"the now blocks of {write.event_type}"
    listed = list(write.blocks)
    blocks = dict(listed)
    if len(blocks) != len(listed):
        raise InvalidNowWriteError("a user comes twice", where=where, fix="encode all rows of a user as one block")
    for day in write.reach:
        keys.ordinal(day)
    if blocks and not any(write.reach.values()):
        raise InvalidNowWriteError(
            "rows have no reach", where=where, fix="say by day and partition the offset after the last of their rows"
        )
    return blocks


def check_once(writes: Sequence[NowWrite]) -> None:
    """
    Raises:
        InvalidNowWriteError: an event type comes twice.
    """
    names = [write.event_type for write in writes]
    if len(set(names)) != len(names):
        raise InvalidNowWriteError(
            f"of {', '.join(names)} one comes twice", where="an advance", fix="put an event type's users into one write"
        )


def schema_ids(blocks: Iterable[bytes]) -> set[int]:
    """The schemas of many blocks. Their headers begin alike where the schema is the same, so few are looked into."""
    return {schema_id(block) for block in {block[:8]: block for block in blocks}.values()}


def covered(batches: Iterable[tuple[int, Reach]], head: Epoch, end: int) -> EvictionMark:
    """How far the current epoch covers the batches, oldest first, that are numbered below ``end``."""
    below = next((number for number, reach in batches if number < end and first_uncovered(reach, [head])), end)
    return EvictionMark(head.epoch, below)


def first_uncovered(reach: Reach, epochs: Sequence[Epoch]) -> tuple[str, str] | None:
    """The oldest day, and its first partition, that some epoch has not read far enough; without epochs, any."""
    for day, offsets in sorted(reach.items()):
        for partition, next_offset in sorted(offsets.items()):
            buckets = [epoch.buckets.get(day) for epoch in epochs if day >= epoch.expired_before]
            if not epochs or not all(bucket and bucket.covers(partition, next_offset - 1) for bucket in buckets):
                return day, partition
    return None

"""Folding: an active user's many now blocks become one, so that reading them costs one block again."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from seqplat_resources.online_store import Fold, NowBlock, OnlineStore, decode_blocks, encode_bucket
from seqplat_resources.online_store.codec import is_sound, row_count, schema_id

# Users taken at once: some 10 MB of blocks where each has a hundred.
_USERS = 1 << 10


def fold_crowded(store: OnlineStore, event_type: str, *, more_than: int) -> int:
    """Fold the blocks of every user with ``more_than`` of them; how many users were folded.

    May run beside streams, readers and evictions: blocks that come meanwhile stay beside the folded one, and a user
    whose blocks leave meanwhile is passed over. Rows are kept, all of them, also those that history covers.
    """
    crowded = store.crowded(event_type, more_than)
    return sum(
        store.fold_many(event_type, folds(store, event_type, crowded[start : start + _USERS]))
        for start in range(0, len(crowded), _USERS)
    )


def folds(store: OnlineStore, event_type: str, users: Sequence[str]) -> Iterator[Fold]:
    """What would replace the blocks of each of the users; nothing for those with one block or none.

    Only blocks of the newest one's schema go together: columns of an older schema must not be lost. A user with a block
    that is damaged is left as he is: a fold over it would hide that it is missing.
    """
    together: dict[int, list[tuple[str, list[NowBlock]]]] = defaultdict(list)
    with store.snapshot() as view:
        for user in users:
            blocks = view.now_blocks(event_type, user)[::-1]
            if not all(is_sound(block.payload, view.schema) for block in blocks):
                continue
            alike = [block for block in blocks if schema_id(block.payload) == schema_id(blocks[0].payload)]
            if len(alike) > 1:
                together[schema_id(alike[0].payload)].append((user, alike))
    for found in together.values():
        yield from _joined(store, event_type, found)


def _joined(store: OnlineStore, event_type: str, found: Sequence[tuple[str, list[NowBlock]]]) -> Iterator[Fold]:
    """Newest block first, as the rows inside each are; all users in one pass through the codec."""
    payloads = [block.payload for _, blocks in found for block in blocks]
    schema = store.schema(schema_id(payloads[0]))
    rows = decode_blocks(payloads, store.schema, where=f"the now blocks of {event_type}")
    counts = [sum(row_count(block.payload) for block in blocks) for _, blocks in found]
    users = pl.Series("_user", [user for user, _ in found], dtype=pl.String)[np.repeat(np.arange(len(found)), counts)]
    if schema is not None:  # decoding has refused blocks of an unknown one
        encoded = encode_bucket(rows.hstack([users]), schema, user_column="_user", where=f"now/{event_type}")
        for (user, blocks), (_, payload) in zip(found, encoded, strict=True):
            yield Fold(user, tuple(block.sequence for block in blocks), payload)

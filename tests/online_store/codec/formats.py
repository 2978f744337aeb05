"""Writing blocks in the format that a test wants."""

from collections.abc import Iterator
from contextlib import contextmanager

from seqplat_resources.online_store.codec import layout


@contextmanager
def sectioned_from(size_bytes: int) -> Iterator[None]:
    """Blocks of a larger payload are of format 2 meanwhile; -1 is all of them."""
    before, layout.SECTIONED_FROM_BYTES = layout.SECTIONED_FROM_BYTES, size_bytes
    try:
        yield
    finally:
        layout.SECTIONED_FROM_BYTES = before

"""Room that is kept for what vacuum has to write before it deletes: a disk that is full of left-overs has no other.

One file of a local home. A home on object storage needs none.
"""

import os
from contextlib import suppress

from seqplat_resources.home import Home

# A note in a table's log takes a block or two of it, and so do the names of both.
SIZE_BYTES = 64 << 10
_NAME = "leases/room"


def keep_room(home: Home) -> None:
    """Take it, if that was not done yet. Raises OSError where there is none."""
    take_room(home, _NAME, SIZE_BYTES)


def take_room(home: Home, name: str, size: int) -> None:
    """Let a file of ``size`` bytes be at ``name`` of a local home, whose blocks are there already; one that is there
    stays as it is.

    Raises:
        OSError: there is no room for it, or something else is in its place.
    """
    if not home.is_local or os.path.exists(path := home.uri(name)):
        return
    with suppress(FileExistsError):  # a file in the folder's place is told by what follows
        os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.{os.getpid()}"
    try:
        with open(draft, "wb") as file:
            file.write(b" " * size)
        os.replace(draft, path)
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
        raise


def give_up_room(home: Home) -> bool:
    """Whether there was any."""
    try:
        os.unlink(home.uri(_NAME))
    except OSError:  # of a home on object storage, too
        return False
    return True

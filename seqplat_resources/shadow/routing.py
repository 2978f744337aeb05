"""Which arm a user is in: a pure function of event type, user and share, equal in every process and language.

    digest   = SHA-256 of the UTF-8 bytes of "<event type>\\n<user>"
    position = the first 8 bytes of it as an unsigned number, most significant byte first
    ours     = position * 10,000 < share * 2^64        (share in hundredths of a percent)

Of whom exposures are written down is told by the next 8 bytes, so that it says nothing of the arm.

So a user who is ours at one share is ours at every larger one, and event types move independently of one another.

>>> [user for user in ("1", "2", "3", "4", "5") if is_ours("purchase", user, share=5_000)]
['2', '3']
"""

import hashlib
from typing import Final

WHOLE: Final = 10_000
_POSITIONS: Final = 1 << 64


def position(event_type: str, user: str) -> int:
    """Where a user stands among all, evenly spread over 0 .. 2^64 - 1."""
    return positions(event_type, user)[0]


def positions(event_type: str, user: str) -> tuple[int, int]:
    """That, and where the user stands among those whose exposures are sampled; neither tells anything of the other."""
    digest = hashlib.sha256(f"{event_type}\n{user}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:16])


def is_ours(event_type: str, user: str, *, share: int) -> bool:
    """Whether the user's events of the type come from this platform, where ``share`` (of 10,000) of users do."""
    if share in (0, WHOLE):
        return share == WHOLE
    return stands_below(position(event_type, user), share)


def stands_below(place: int, share: int) -> bool:
    """Whether a position is among the first ``share`` of 10,000."""
    return place * WHOLE < share * _POSITIONS

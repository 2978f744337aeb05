"""Keys of the online store as ordered bytes, and the checks that make any name safe to put into one. Pure.

    block    b  type  user  day  version   -> block, or nothing where the user left the bucket
    rolled   r  type  user  day            -> a block of several days, of which this is the newest
    digest   d  type  day   user           -> 16-byte digest of the user's newest block of that day
    epoch    e  type  epoch                -> the epoch record
    head     h  type                       -> number of the current epoch
    lease    l  type  day                  -> write version that may write the bucket
    version  v  type                       -> last write version given out
    rolled?  m  type                       -> JSON: day -> bucket version at which it was rolled up
    schema   s  id                         -> schema JSON

    now      n  type  user  sequence       -> now block
    batch    q  type  sequence             -> reach and time of a now batch
    users    u  type  sequence             -> users of the batch whose blocks may be there, end to end as in ``now``
    day      y  type  day                  -> how many batches have rows of the day
    totals   t  type                       -> batches, blocks and bytes of the now view
    position p  source partition           -> stream position
    covered  x  type                       -> an epoch, and below which sequence it covers all batches
    layout   a                             -> which layout all this is
    sequence c                             -> last sequence number given out

Now blocks lie by user, so that reading a user's is one walk; that writing them touches a page per user is its price.

``type`` and ``user`` are UTF-8 behind their length, so that no name is a prefix of another's key. Days and versions
ascend and readers walk backwards: LMDB fills its pages to 72% when each day is appended to its users' runs, and to 41%
when it is put in front of them (700-byte blocks, 42 days).
"""

from collections.abc import Collection

from seqplat_resources.online_store.errors import InvalidKeyError
from seqplat_resources.times import FIRST_DAY, LAST_DAY, day_number, day_text

# LMDB keys end at 511 bytes; these leave room for the rest of a block key (15 bytes) and are more than real ids need.
MAX_USER_BYTES = 256
MAX_EVENT_TYPE_BYTES = 128

# A day in keys is its number plus this: they sort as unsigned numbers. Never change it, stored keys depend on it.
_SHIFT = 1 - FIRST_DAY
FIRST_ORDINAL, LAST_ORDINAL = FIRST_DAY + _SHIFT, LAST_DAY + _SHIFT

_DAY, _VERSION = 4, 8
_TAIL = _DAY + _VERSION
# How each length that a user id may have stands in front of it.
_LENGTHS = {length: length.to_bytes(2, "big") for length in range(1, MAX_USER_BYTES + 1)}


def user_bytes(user: str) -> bytes:
    """A user id as it stands in keys.

    Raises:
        InvalidKeyError: it is empty, longer than 256 bytes of UTF-8, or has no UTF-8 form.
    """
    return _encoded(user, "user id", MAX_USER_BYTES)


def type_bytes(event_type: str) -> bytes:
    """An event type's name behind its length.

    Raises:
        InvalidKeyError: it is empty, longer than 128 bytes of UTF-8, or has no UTF-8 form.
    """
    name = _encoded(event_type, "event type", MAX_EVENT_TYPE_BYTES)
    return bytes([len(name)]) + name


def ordinal(day: str) -> int:
    """A day ``YYYY-MM-DD`` as keys hold it: 0001-01-01 is 1.

    Raises:
        InvalidKeyError: the text is not such a day.
    """
    try:
        number = day_number(day)
        if day_text(number) == day:  # also 20240102 and 2024-W01-2 are days, which sort and compare differently
            return number + _SHIFT
    except ValueError:
        pass
    raise InvalidKeyError(f"{day!r} is not a day", where="a bucket key", fix="write it as YYYY-MM-DD")


def checked_day(day: str | None) -> str | None:
    """A day that may be none (None or empty), as it is. Raises: as ``ordinal``."""
    if day:
        ordinal(day)
    return day


def between(since_day: str | None, until_day: str | None) -> tuple[int, int]:
    """Inclusive bounds as ``ordinal``; None is no bound. Raises: as ``ordinal``."""
    return ordinal(since_day) if since_day else FIRST_ORDINAL, ordinal(until_day) if until_day else LAST_ORDINAL


def iso(ordinal_of_day: int) -> str:
    return day_text(ordinal_of_day - _SHIFT)


def blocks_of_type(event_type: bytes) -> bytes:
    return b"b" + event_type


def blocks_of_user(event_type: bytes, user: bytes) -> bytes:
    return b"b" + event_type + len(user).to_bytes(2, "big") + user


def blocks_of_day(event_type: bytes, user: bytes, day: int) -> bytes:
    return blocks_of_user(event_type, user) + day.to_bytes(_DAY, "big")


def block(event_type: bytes, user: bytes, day: int, version: int) -> bytes:
    return blocks_of_day(event_type, user, day) + version.to_bytes(_VERSION, "big")


def day_and_version(block_key: bytes) -> tuple[int, int]:
    """The day and write version at the end of a block key."""
    return int.from_bytes(block_key[-_TAIL:-_VERSION], "big"), int.from_bytes(block_key[-_VERSION:], "big")


def user_of(block_key: bytes, event_type: bytes) -> bytes:
    """The user in a block key of a known event type."""
    return block_key[1 + len(event_type) + 2 : -_TAIL]


def stem(block_key: bytes) -> bytes:
    """What the versions of one user's day have in common."""
    return block_key[:-_VERSION]


def rolled_of_type(event_type: bytes) -> bytes:
    return b"r" + event_type


def rolled_of_user(event_type: bytes, user: bytes) -> bytes:
    return b"r" + event_type + len(user).to_bytes(2, "big") + user


def rolled(event_type: bytes, user: bytes, day: int) -> bytes:
    return rolled_of_user(event_type, user) + day.to_bytes(_DAY, "big")


def rolled_day(rolled_key: bytes) -> int:
    return int.from_bytes(rolled_key[-_DAY:], "big")


def user_of_rolled(rolled_key: bytes, event_type: bytes) -> bytes:
    """The user in a rolled key of a known event type."""
    return rolled_key[1 + len(event_type) + 2 : -_DAY]


def rolled_days(event_type: bytes) -> bytes:
    return b"m" + event_type


def past(prefix: bytes) -> bytes:
    """A key after every block or rolled key that begins so: a whole event type and user, or those and a day."""
    return prefix + b"\xff" * (_TAIL + 1)


def digests_of_day(event_type: bytes, day: int) -> bytes:
    return b"d" + event_type + day.to_bytes(_DAY, "big")


def epoch(event_type: bytes, number: int) -> bytes:
    return epochs_of_type(event_type) + number.to_bytes(_VERSION, "big")


def epochs_of_type(event_type: bytes) -> bytes:
    return b"e" + event_type


def head(event_type: bytes) -> bytes:
    return HEADS + event_type


HEADS = b"h"


def lease(event_type: bytes, day: int) -> bytes:
    return leases_of_type(event_type) + day.to_bytes(_DAY, "big")


def leases_of_type(event_type: bytes) -> bytes:
    return b"l" + event_type


def last_version(event_type: bytes) -> bytes:
    return b"v" + event_type


def schema(schema_id: int) -> bytes:
    return b"s" + schema_id.to_bytes(4, "big")


def now_of_type(event_type: bytes) -> bytes:
    return b"n" + event_type


def now_user(user: bytes) -> bytes:
    """A user as it stands in now keys and in the list of a batch's users: behind its length."""
    return len(user).to_bytes(2, "big") + user


def now_users(users: Collection[str]) -> list[bytes]:
    """``now_user`` of each, for a batch of tens of thousands: the usual ids are checked all at once.

    Raises:
        InvalidKeyError: as ``user_bytes``.
    """
    try:
        encoded = [user.encode() for user in users]
        return [_LENGTHS[len(user)] + user for user in encoded]
    except (UnicodeEncodeError, KeyError):
        return [now_user(user_bytes(user)) for user in users]  # names the one at fault


def split_users(listed: bytes) -> list[bytes]:
    """The list of a batch's users, as ``now_user`` made them."""
    users, at = [], 0
    while at < len(listed):
        end = at + 2 + int.from_bytes(listed[at : at + 2], "big")
        users.append(listed[at:end])
        at = end
    return users


def sequence_of(key: bytes) -> int:
    """The sequence number at the end of a now block's or batch's key."""
    return int.from_bytes(key[-_VERSION:], "big")


def without_sequence(key: bytes) -> bytes:
    return key[:-_VERSION]


def numbered(prefix: bytes, sequence: int) -> bytes:
    return prefix + sequence.to_bytes(_VERSION, "big")


def batches_of_type(event_type: bytes) -> bytes:
    return b"q" + event_type


def users_of_batches(event_type: bytes) -> bytes:
    return b"u" + event_type


def now_day(event_type: bytes, day: int) -> bytes:
    return now_days_of_type(event_type) + day.to_bytes(_DAY, "big")


def now_days_of_type(event_type: bytes) -> bytes:
    return b"y" + event_type


def now_totals(event_type: bytes) -> bytes:
    return b"t" + event_type


def now_covered(event_type: bytes) -> bytes:
    return b"x" + event_type


POSITIONS = b"p"
LAST_SEQUENCE = b"c"
LAYOUT = b"a"


def position(source_partition: str) -> bytes:
    """
    Raises:
        InvalidKeyError: as ``user_bytes``, for the partition's name.
    """
    return POSITIONS + _encoded(source_partition, "source partition", MAX_USER_BYTES)


def _encoded(name: str, what: str, limit: int) -> bytes:
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"{what} {name!r} has no UTF-8 form", where="an online store key", fix="reject it before it gets here"
        ) from error
    if not 0 < len(encoded) <= limit:
        raise InvalidKeyError(
            f"{what} {name[:40]!r} has {len(encoded)} bytes of UTF-8",
            where="an online store key",
            fix=f"use 1 to {limit} bytes; hash longer ids before they enter the platform",
        )
    return encoded

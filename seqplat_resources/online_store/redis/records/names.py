"""Every key and field of the store in Redis, and what their values say. Pure.

The text in braces decides the slot of a cluster that a key lies in, so keys that change together share it:

    {m}   pin        hash    what a snapshot begins with: ``h<type>`` kept epochs, ``p<partition>`` stream position,
                             ``d<type>`` newest day of the now view, ``s`` which now batches are visible, ``c<type>``
                             an epoch, its nonce, and below which sequence it covers all batches, ``n<type>`` that
                             it has a census, ``m<type>`` that this lists now blocks, ``w<type>`` as ``versions``,
                             ``l`` how many batches there are, ``v`` layout
          schemas    hash    id -> schema JSON
          versions   hash    type -> last write version given out
          epochs     hash    per type: number -> epoch record
          leases     hash    per type: day -> who may write it, and what was written (``leases.Lease``)
          open       hash    sequence -> an advance that has not been committed
          live       zset    all batches in the now view, by sequence
          batches    zset    per type: batch records by sequence
          days       hash    per type: day -> how many batches have rows of it
          totals     hash    per type: batches, blocks, bytes of the now view
          rolled     hash    per type: day -> bucket version at which it was rolled up
          lost       hash    per type: users whose index was lost and is not whole again
    {u:<type>:<user>}
          index      hash    which blocks there are (``entries``), and when it began (``census``)
          data       hash    the blocks: one field each, or one for the head and one per section
          now        hash    sequence -> now block; ``f<sequence>`` -> the oldest sequence that was folded into it
    {r:<type>:<day>}
          roster     hash    per write version: users of the bucket and digests of their blocks, in chunks
          journal    list    per write version: users that a publisher was about to write, until it has committed
          left       list    per write version: users who left the bucket after it was rolled up
    {c:<type>:<number>}
          census     hash    user -> when his index began; ``\\xff<user>`` -> his now blocks (``arrivals``)
    {b:<type>:<sequence>}
          users      string  users of a now batch
          record     string  what ``batches`` says of it, should that be lost

>>> Names("seqplat:").index("purchase", b"ann")
b'seqplat:index{u:8:purchase:ann}'
"""

from dataclasses import dataclass
from functools import cached_property

from seqplat_resources.online_store import keys

LAYOUT = b"3"


@dataclass(frozen=True)
class Names:
    """The keys under one prefix. Event types and users are checked where they become part of a key."""

    prefix: str

    @cached_property
    def _start(self) -> bytes:
        return self.prefix.encode()

    @cached_property
    def pin(self) -> bytes:
        return self._start + b"pin{m}"

    @cached_property
    def schemas(self) -> bytes:
        return self._start + b"schemas{m}"

    @cached_property
    def versions(self) -> bytes:
        return self._start + b"versions{m}"

    @cached_property
    def open(self) -> bytes:
        return self._start + b"open{m}"

    @cached_property
    def live(self) -> bytes:
        return self._start + b"live{m}"

    def epochs(self, event_type: str) -> bytes:
        return self._start + b"epochs{m}" + type_name(event_type)

    def leases(self, event_type: str) -> bytes:
        return self._start + b"leases{m}" + type_name(event_type)

    def batches(self, event_type: str) -> bytes:
        return self._start + b"batches{m}" + type_name(event_type)

    def days(self, event_type: str) -> bytes:
        return self._start + b"days{m}" + type_name(event_type)

    def totals(self, event_type: str) -> bytes:
        return self._start + b"totals{m}" + type_name(event_type)

    def rolled(self, event_type: str) -> bytes:
        return self._start + b"rolled{m}" + type_name(event_type)

    def lost(self, event_type: str) -> bytes:
        return self._start + b"lost{m}" + type_name(event_type)

    def census(self, event_type: str, number: int) -> bytes:
        return self._start + b"census" + _tag(b"c", event_type, b"%d" % number)

    def index(self, event_type: str, user: bytes) -> bytes:
        return self._start + b"index" + _tag(b"u", event_type, user)

    def data(self, event_type: str, user: bytes) -> bytes:
        return self._start + b"data" + _tag(b"u", event_type, user)

    def now(self, event_type: str, user: bytes) -> bytes:
        return self._start + b"now" + _tag(b"u", event_type, user)

    def roster(self, event_type: str, day: int, version: int) -> bytes:
        return self._start + b"roster" + _tag(b"r", event_type, b"%d" % day) + b"%d" % version

    def journal(self, event_type: str, day: int, version: int) -> bytes:
        return self._start + b"journal" + _tag(b"r", event_type, b"%d" % day) + b"%d" % version

    def left(self, event_type: str, day: int) -> bytes:
        return self._start + b"left" + _tag(b"r", event_type, b"%d" % day)

    def users(self, event_type: str, sequence: int) -> bytes:
        return self._start + b"users" + _tag(b"b", event_type, b"%d" % sequence)

    def record(self, event_type: str, sequence: int) -> bytes:
        return self._start + b"record" + _tag(b"b", event_type, b"%d" % sequence)


def type_name(event_type: str) -> bytes:
    """
    Raises:
        InvalidKeyError: no store can hold this name.
    """
    return keys.type_bytes(event_type)[1:]


def _tag(kind: bytes, event_type: str, rest: bytes) -> bytes:
    # The length keeps type and user apart whatever signs they have. A brace in them makes the tag end early: then more
    # keys than needed share a slot, never fewer.
    name = type_name(event_type)
    return b"{%s:%d:%s:%s}" % (kind, len(name), name, rest)

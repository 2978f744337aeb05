"""Which now blocks a user should have, kept apart from them: a server that lost them must not make him look idle.

The list of a user lies in the census, so readers have it with the command they send anyway. It is written before the
batch commits, and shortened before blocks are deleted; so what is listed and visible is there, or lost. A part of the
census that was lost says, once it is made anew, from which batch on it knows: what came before is taken for lost until
history covers it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.census import NOW, SHARDS, shard
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import Pin
from seqplat_resources.online_store.redis.wire.pipeline import Command
from seqplat_resources.online_store.redis.wire.script import Script

# KEYS a part of the census; ARGV mark, sequence, users. Whether the part knows nothing of what came before.
_ENTER = Script(
    """
for i = 3, #ARGV do
  local name = ARGV[1] .. ARGV[i]
  local listed = redis.call('HGET', KEYS[1], name)
  redis.call('HSET', KEYS[1], name, listed and listed .. ' ' .. ARGV[2] or ARGV[2])
end
return 1 - redis.call('HEXISTS', KEYS[1], ARGV[1])
"""
)

# KEYS a part of the census; ARGV mark, sequence, below, users. Takes out this number and those below.
_LEAVE = Script(
    """
for i = 4, #ARGV do
  local name = ARGV[1] .. ARGV[i]
  local kept = {}
  for number in (redis.call('HGET', KEYS[1], name) or ''):gmatch('%d+') do
    if number ~= ARGV[2] and tonumber(number) >= tonumber(ARGV[3]) then kept[#kept + 1] = number end
  end
  if #kept == 0 then redis.call('HDEL', KEYS[1], name)
  else redis.call('HSET', KEYS[1], name, table.concat(kept, ' ')) end
end
return 1
"""
)


def enter(catalog: Catalog, event_type: str, sequence: int, users: Collection[bytes]) -> None:
    """Of a batch that is not committed yet."""
    names, parts = catalog.names, _parts(catalog, event_type, users)
    if not any(catalog.link.run([_ENTER([part], NOW, sequence, *mine) for part, mine in parts.items()])):
        return
    asked = [("HEXISTS", names.pin, b"m" + type_name(event_type)), ("ZCARD", names.batches(event_type))]
    since = sequence if any(catalog.link.run(asked, repeatable=True)) else 0
    every = [names.census(event_type, number) for number in range(SHARDS)]
    catalog.link.run([("HSETNX", part, NOW, since) for part in every], repeatable=True)


def leave(catalog: Catalog, event_type: str, sequence: int, users: Collection[bytes], *, below: int = 0) -> None:
    """Of a batch whose blocks will be deleted, and with it of those numbered ``below``, which are gone."""
    parts = _parts(catalog, event_type, users)
    catalog.link.run([_LEAVE([part], NOW, sequence, below, *mine) for part, mine in parts.items()], repeatable=True)


def asked(user: bytes) -> Command:
    """Fields of a part of the census: a user's list, and from which batch on the part knows."""
    return (NOW + user, NOW)


def missing(
    found: Sequence[bytes | None], blocks: Mapping[bytes, bytes], pin: Pin, event_type: str, first: int
) -> list[int]:
    """Numbers of now blocks, from ``first`` on, that should be visible and are lost.

    ``blocks`` is the user's now hash. Where nobody knows what he had, that is one number.
    """
    listed, since = found
    if since is None:
        return [pin.last] if pin.has_arrivals(event_type) else []
    numbers = [number for number in map(int, (listed or b"").split()) if number >= first and pin.shows(number)]
    lost = [number for number in numbers if b"%d" % number not in blocks]
    if lost:
        spans = [(int(blocks.get(b"f" + name, name)), int(name)) for name in blocks if name[:1] != b"f"]
        lost = [number for number in lost if not any(start <= number <= end for start, end in spans)]
    return lost or ([int(since)] if max(first, pin.floor) < int(since) else [])


def _parts(catalog: Catalog, event_type: str, users: Iterable[bytes]) -> Mapping[bytes, Sequence[bytes]]:
    parts = defaultdict[bytes, list[bytes]](list)
    for user in users:
        parts[catalog.names.census(event_type, shard(user))].append(user)
    return parts

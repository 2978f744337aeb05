"""The online store in Redis or Valkey, one server or a cluster. The only room that imports ``redis``.

Doors: ``RedisStore``, ``RedisSettings``.
Only ``online_store.opening`` enters.
"""

from seqplat_resources.online_store.redis.store import RedisStore
from seqplat_resources.online_store.redis.wire.settings import RedisSettings

__all__ = ["RedisSettings", "RedisStore"]

"""The online store in Redis or Valkey, one server or a cluster. The only package that imports ``redis``."""

from seqplat_resources.online_store.redis_store.settings import RedisSettings
from seqplat_resources.online_store.redis_store.store import RedisStore

__all__ = ["RedisSettings", "RedisStore"]

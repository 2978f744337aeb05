"""Which online store a channel uses: ``SEQPLAT_ONLINE``, by default LMDB in a local home.

A channel whose home is a part of the installation has the same part of the store: a folder, or a prefix of keys.

>>> from contextlib import closing
>>> with closing(open_online_store(home)) as opened:
...     print(type(opened).__name__, opened.epoch("purchase"))
...
LmdbStore None
"""

import os
from dataclasses import replace

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.online_store.contract import OnlineStore
from seqplat_resources.online_store.lmdb import LmdbStore


class OnlineStoreUnset(Final):
    """A home on object storage has no place for an embedded store."""


def open_online_store(home: Home, *, readonly: bool = False) -> OnlineStore:
    """Open the store: a folder, which its first writer creates, or ``redis://...``, a server that is there.

    Raises:
        OnlineStoreUnset: the home is not local and ``SEQPLAT_ONLINE`` says nothing.
        StoreUnusableError: ``SEQPLAT_ONLINE`` is a URL of another kind, or as the store says.
    """
    where = home.environment.get("SEQPLAT_ONLINE")
    if not where and not home.is_local:
        raise OnlineStoreUnset(
            f"the home {home.root} is not local: set SEQPLAT_ONLINE to a folder for the online store, "
            "or to redis://host:port/0"
        )
    if where and "://" in where:
        # Only where it is used: it takes a sixth of a second to import.
        from seqplat_resources.online_store.redis import RedisSettings, RedisStore  # noqa: PLC0415

        settings = RedisSettings.parse(where, home.environment)
        if home.place:
            settings = replace(settings, prefix=f"{settings.prefix}{home.place}/")
        return RedisStore(settings, readonly=readonly)
    return LmdbStore(os.path.join(where, home.place) if where else home.uri("online"), readonly=readonly)

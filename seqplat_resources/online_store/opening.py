"""Which online store an installation uses: ``SEQPLAT_ONLINE``, by default LMDB in a local home."""

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.online_store.contract import OnlineStore
from seqplat_resources.online_store.lmdb_store import LmdbStore


class OnlineStoreUnset(Final):
    """A home on object storage has no place for an embedded store."""


def open_online_store(home: Home, *, readonly: bool = False) -> OnlineStore:
    """Open the store; a local folder is created by its first writer.

    Raises:
        OnlineStoreUnset: the home is not local and ``SEQPLAT_ONLINE`` says nothing.
    """
    path = home.environment.get("SEQPLAT_ONLINE")
    if not path and not home.is_local:
        raise OnlineStoreUnset(
            f"the home {home.root} is not local: set SEQPLAT_ONLINE to a folder for the online store"
        )
    return LmdbStore(path or home.uri("online"), readonly=readonly)

"""The online store in LMDB. The only package that imports ``lmdb``."""

from seqplat_resources.online_store.lmdb_store.store import LmdbStore

__all__ = ["LmdbStore"]

"""The online store in LMDB files of this machine. The only room that imports ``lmdb``.

Door: ``LmdbStore``.
Only ``online_store.opening`` enters, and those who ask which store they have.
"""

from seqplat_resources.online_store.lmdb.store import LmdbStore

__all__ = ["LmdbStore"]

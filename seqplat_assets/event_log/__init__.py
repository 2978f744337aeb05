"""Dagster's event log on one host: its own SQLite tables, over open connections, in batches, and packed.

Door: ``storage.PooledSqliteStorage``. Dagster enters, by the settings of its instance, which is why the path does not
move; nobody of ours does.
"""

from seqplat_assets.event_log.storage import PooledSqliteEventLog, PooledSqliteStorage

__all__ = ["PooledSqliteEventLog", "PooledSqliteStorage"]

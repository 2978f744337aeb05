"""Dagster's event log on one host: its own SQLite tables, over open connections, in batches, and packed.

Door: ``PooledSqliteStorage``, named in ``dagster.yaml``, which is why its path does not move.
Nobody of ours enters; Dagster does.
"""

from seqplat_assets.event_log.storage import PooledSqliteEventLog, PooledSqliteStorage

__all__ = ["PooledSqliteEventLog", "PooledSqliteStorage"]

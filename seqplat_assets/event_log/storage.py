"""SQLite storage for Dagster that keeps its database connections: named in ``dagster.yaml``, for one host.

Dagster opens and closes a connection for every statement. Closing the last connection of a WAL database copies the
log into the file and syncs both, so one event costs 10 to 45 ms; six weeks of all demo assets log 2,400 events.
Over connections that stay open an event costs about a millisecond, and a fifth of that among others. It also writes
the text of each event two or three times: into a file of the run, into the index over all runs, and beside the check.
Here it is in the index, packed.

Built on Dagster's own classes, some of whose private methods are replaced: hence the pin below 1.14. What those wrote
is read as it is.
"""

import fcntl
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import sqlalchemy
import sqlalchemy.event
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage, SqlPollingEventWatcher
from dagster._core.storage.event_log.schema import AssetEventTagsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from seqplat_assets.event_log.batch import store
from seqplat_assets.event_log.packing import packed, unpacked

# There is one index, and a database of each run that was begun by Dagster's own class; a webserver shows a few.
OPEN_DATABASES = 8


class PooledSqliteEventLog(SqliteEventLogStorage):
    """The stock event log's tables, over connections that stay open; the events of all runs are in the index.

    Called from any thread; the stock lock lets one at a time in. A crash of the process leaves every committed event,
    some of them still in the write-ahead log that the next reader recovers. A power cut may take the last seconds of
    events, never the consistency of the file: what was built is known from the lake, not from here.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        self._tables: set[str] = set()
        self._watcher: SqlPollingEventWatcher | None = None
        super().__init__(base_dir, inst_data)

    def has_table(self, table_name: str) -> bool:
        """Asked for every event; tables are never dropped, so only "no" is asked again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event(self, event: dg.EventLogEntry) -> None:
        if self._is_apart(event.run_id):
            super().store_event(event)
        else:
            self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """All or none, in one commit. Batches are what a range of days was planned to be, built to, and judged."""
        apart = {run for run in {event.run_id for event in events} if self._is_apart(run)}
        for event in events:
            if event.run_id in apart:
                super().store_event(event)
        self.has_table(AssetEventTagsTable.name)  # not to be asked over another connection while this one writes
        with self.index_connection() as connection:
            store(self, connection, [event for event in events if event.run_id not in apart])

    def get_event_records(
        self, event_records_filter: dg.EventRecordsFilter, limit: int | None = None, ascending: bool = False
    ) -> Sequence[dg.EventLogRecord]:
        """From the index. Steps of runs that have a database of their own are not among them; nobody asks for those."""
        return SqlEventLogStorage.get_event_records(self, event_records_filter, limit, ascending)

    def _event_to_row(self, event: dg.EventLogEntry) -> dict[str, Any]:
        row = super()._event_to_row(event)
        return {**row, "event": packed(row["event"])}

    def _is_apart(self, run: str) -> bool:
        """Whether Dagster's own class began the run, which gives each a database."""
        return os.path.exists(self.path_for_shard(run))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock, self._engine(shard if self._is_apart(shard) else INDEX_SHARD_NAME).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            # SQLAlchemy's default for a file: a pool whose connections may move between threads.
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}, pool_size=1
            )
            sqlalchemy.event.listen(engine, "connect", _prepare)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
        self._engines[shard] = engine
        while len(self._engines) > OPEN_DATABASES:
            self._engines.popitem(last=False)[1].dispose()
        return engine

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Poll: the stock class watches the file, which no longer changes with every event."""
        if self._watcher is None:
            self._watcher = SqlPollingEventWatcher(self)
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: EventHandlerFn) -> None:
        if self._watcher is not None:
            self._watcher.unwatch_run(run_id, handler)

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def dispose(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _prepare(raw: sqlite3.Connection, _: object) -> None:
    raw.text_factory = unpacked
    # With NORMAL a commit does not wait for the disk; on a busy one that wait is four fifths of an event.
    raw.execute("PRAGMA synchronous = NORMAL")


class PooledSqliteStorage(DagsterSqliteStorage):
    """Runs and schedules as in the stock class, events in ``PooledSqliteEventLog``; all below ``base_dir``."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Webserver and daemon start together; the stock classes stumble when both create the same empty database.
        os.makedirs(base_dir, exist_ok=True)
        with open(os.path.join(base_dir, ".creating"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            super().__init__(base_dir, inst_data)
            self._event_log_storage = PooledSqliteEventLog(os.path.join(base_dir, "history", "runs"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> "PooledSqliteStorage":
        return cls(inst_data=inst_data, **config_value)

"""SQLite storage for Dagster that keeps its database connections: named in ``dagster.yaml``, for one host.

Dagster opens and closes a connection for every statement. Closing the last connection of a WAL database copies the
log into the file and syncs both, so one event costs 10 to 45 ms; six weeks of all demo assets log 2,400 events.
Over connections that stay open an event costs about a millisecond.

Built on Dagster's own classes, two of whose private methods are replaced: hence the pin below 1.14. Dropping
``storage`` from ``dagster.yaml`` goes back to the stock classes over the same files.
"""

import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
import sqlalchemy
import sqlalchemy.event
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log import SqliteEventLogStorage, SqlPollingEventWatcher
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

# There is a database per run and one index over all. A worker uses its run's and the index; a webserver shows a few.
OPEN_DATABASES = 8


class PooledSqliteEventLog(SqliteEventLogStorage):
    """The stock event log, same files and tables, over connections that stay open.

    Called from any thread; the stock lock lets one at a time in. A crash of the process leaves every committed event,
    some of them still in the write-ahead log that the next reader recovers. A power cut may take the last seconds of
    events, never the consistency of the file: what was built is known from the lake, not from here.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        self._tables: set[str] = set()
        self._together: dict[str, sqlalchemy.Connection] = {}  # that a batch is written over
        self._watcher: SqlPollingEventWatcher | None = None
        super().__init__(base_dir, inst_data)
        # A batch holds it while it stores its events.
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    def has_table(self, table_name: str) -> bool:
        """Asked for every event; tables are never dropped, so only "no" is asked again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """All or none: one commit of each database, where every event would take three. Batches are what a range of
        days was built to, once it is built.
        """
        with self._db_lock, ExitStack() as commits:
            self._together = {}
            try:
                for event in events:
                    for shard in (event.run_id, INDEX_SHARD_NAME):
                        if shard not in self._together:
                            self._together[shard] = commits.enter_context(self._engine(shard).begin())
                    self.store_event(event)
            finally:
                self._together = {}

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            if shard in self._together:
                yield self._together[shard]
                return
            with self._engine(shard).begin() as connection:
                yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            # SQLAlchemy's default for a file: a pool whose connections may move between threads.
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}, pool_size=1
            )
            # With NORMAL a commit does not wait for the disk; on a busy one that wait is four fifths of an event.
            sqlalchemy.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = NORMAL"))
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

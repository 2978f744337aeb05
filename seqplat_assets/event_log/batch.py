"""Many events stored at once: a statement for each table, where Dagster's own class has three commits an event."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import dagster as dg
import sqlalchemy
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from sqlalchemy.dialects.sqlite import insert

Row = Mapping[str, Any]


class EventTables(Protocol):
    """What Dagster's own class knows to write over a connection."""

    def _event_to_row(self, event: dg.EventLogEntry) -> dict[str, Any]: ...

    def _store_asset_event_tags(
        self, conn: sqlalchemy.Connection, events: Sequence[dg.EventLogEntry], event_ids: Sequence[int]
    ) -> None: ...

    def _store_asset_event(self, conn: sqlalchemy.Connection, event: dg.EventLogEntry, event_id: int) -> None: ...


def store(log: EventTables, connection: sqlalchemy.Connection, events: Sequence[dg.EventLogEntry]) -> None:
    """Store events in their order, in the transaction of ``connection``.

    Of an asset only its last event of a kind is written to the table of assets, which keeps the last.
    """
    rows = [log._event_to_row(event) for event in events]
    table = SqlEventLogStorageTable
    inserted = connection.execute(table.insert().returning(table.c.id, sort_by_parameter_order=True), rows)
    stored = list(zip(inserted.scalars(), events, rows, strict=True))
    of_assets = [(id, event) for id, event, _ in stored if event.dagster_event_type in ASSET_EVENTS]
    if of_assets:
        log._store_asset_event_tags(connection, [event for _, event in of_assets], [id for id, _ in of_assets])
    last = {(event.dagster_event_type, event.get_dagster_event().asset_key): (id, event) for id, event in of_assets}
    for id, event in sorted(last.values(), key=lambda each: each[0]):
        log._store_asset_event(connection, event, id)
    _store_checks(connection, [(id, e, row) for id, e, row in stored if e.dagster_event_type in ASSET_CHECK_EVENTS])


def _store_checks(connection: sqlalchemy.Connection, stored: Sequence[tuple[int, dg.EventLogEntry, Row]]) -> None:
    """A verdict takes the place of the plan to make it, which has the same asset, check, run and day."""
    rows = [each for id, event, row in stored for each in _check_rows(id, event, row)]
    by_day = [row for row in rows if row["partition"] is not None]
    if by_day:
        new = insert(AssetCheckExecutionsTable)
        key = ("asset_key", "check_name", "run_id", "partition")
        told = {name: new.excluded[name] for name in by_day[0] if name not in key}
        connection.execute(new.on_conflict_do_update(index_elements=key, set_=told), by_day)
    for row in rows:
        if row["partition"] is None:  # which is like no other to an index
            _store_check(connection, row)


def _store_check(connection: sqlalchemy.Connection, row: Row) -> None:
    of = AssetCheckExecutionsTable.c
    same = [of[name] == row[name] for name in ("asset_key", "check_name", "run_id")]
    planned = AssetCheckExecutionsTable.update().where(*same, of.partition.is_(None))
    if not row["run_id"] or not connection.execute(planned.values(**row)).rowcount:
        connection.execute(AssetCheckExecutionsTable.insert().values(**row))


def _check_rows(id: int, event: dg.EventLogEntry, row: Row) -> list[Row]:
    """What is planned of several days is a row of each."""
    said = event.get_dagster_event().event_specific_data
    common = {
        "run_id": event.run_id,
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "evaluation_event_storage_id": id,
    }
    if isinstance(said, AssetCheckEvaluationPlanned):
        days: list[str | None] = [*said.partitions_subset.get_partition_keys()] if said.partitions_subset else [None]
        target, status = None, Status.PLANNED
    else:
        assert isinstance(said, AssetCheckEvaluation)
        days = [said.partition]
        target = said.target_materialization_data and said.target_materialization_data.storage_id
        status = Status.SUCCEEDED if said.passed else Status.FAILED
    of = {"asset_key": said.asset_key.to_string(), "check_name": said.check_name, "execution_status": status.value}
    return [{**common, **of, "partition": day, "materialization_event_storage_id": target} for day in days]

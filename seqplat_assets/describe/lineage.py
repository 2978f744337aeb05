"""From which columns of upstream assets each column of an asset is made, as far as the release tells.

>>> found = origins(event_lineage(shop.release, shop.release.event_types["purchase"]), upstream=2)
>>> found["event_id"], found["price"]
(['raw/orders.number'], ['enrichments/price.price'])
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import dagster as dg

from seqplat_assets.describe.keys import ENRICHMENTS, SOURCES, input_keys, key_of, name_of
from seqplat_resources.batch.days.partitions import asset_of
from seqplat_resources.release.view_plan import ViewPlan
from sequence_defs.compiler.project import attached, labelled_as, status_column
from sequence_defs.compiler.release import Release
from sequence_defs.compiler.sql import names
from sequence_defs.schema import Column, Derived, EventType, SessionView, Snapshot, Source, Versioned

# Column -> the (asset, column) pairs it is made of. A column that is absent is made by code or by the platform.
Lineage: TypeAlias = dict[str, list[tuple[dg.AssetKey, str]]]

_POSITION = {"source_partition": "_partition", "offset": "_offset", "shard": "_shard"}


def table_lineage(lineage: Lineage) -> dg.TableColumnLineage:
    """In Dagster's words; columns made of nothing are left out."""
    deps = {
        out: [dg.TableColumnDep(asset_key=key, column_name=c) for key, c in made]
        for out, made in lineage.items()
        if made
    }
    return dg.TableColumnLineage(deps)


def origins(lineage: Lineage, upstream: int) -> dict[str, list[str]]:
    """Upstream columns by name, for people. What goes without saying is left out: equal names, one upstream asset."""
    named = {out: [f"{name_of(key)}.{column}" for key, column in made] for out, made in lineage.items() if made}
    return {out: texts for out, texts in named.items() if upstream > 1 or [c for _, c in lineage[out]] != [out]}


def raw_lineage(source: Source) -> Lineage:
    """A raw column is the field of that name; the receipt columns come from the expressions of their times."""
    key = key_of(f"{SOURCES}/{source.name}")
    lineage: Lineage = {column.name: [(key, column.name)] for column in source.columns}
    for out, time in (("_event_time", source.event_time), ("_ingest_time", source.ingest_time)):
        if time is not None:
            lineage[out] = _of(names(time.sql), lineage)
    return lineage


def enrichment_lineage(enrichment: Versioned | Snapshot) -> Lineage:
    """Keys and values from fields of the source."""
    key = key_of(f"{SOURCES}/{enrichment.source}")
    lineage: Lineage = {name: [(key, name)] for name in enrichment.key}
    lineage |= {column.name: [(key, name) for name in _inputs(column)] for column in enrichment.columns}
    if isinstance(enrichment, Versioned):
        lineage["valid_from"] = [(key, name) for name in names(enrichment.valid_from.sql)]
        lineage["valid_to"] = [(key, name) for name in names(enrichment.valid_to.sql)] if enrichment.valid_to else []
    return lineage


def event_lineage(release: Release, event_type: EventType) -> Lineage:
    """Own columns from raw ones, looked-up columns from their tables, derived ones from what their inputs are made of.

    Raw ones are those of files, of the log, or of both where a source has both.

    A column that neither has an expression nor the name of a raw column is made by the executor's code: nothing is
    said about it.
    """
    source = release.sources[event_type.source]
    keys = input_keys(source)
    raw: Lineage = {column.name: [(key, column.name) for key in keys] for column in source.columns}
    receipt = {name: [(key, name) for key in keys] for name in ("_event_time", "_ingest_time", *_POSITION.values())}
    lineage: Lineage = {
        "user_id": raw.get(source.user_id or "", []),
        "event_time": receipt["_event_time"],
        "ingest_time": receipt["_ingest_time"],
        "available_time": receipt["_ingest_time"],
        "rev": raw.get(source.rev or "", []),
        "op": raw.get(source.op or "", []),
        **{out: receipt[name] for out, name in _POSITION.items()},
    }
    for column in event_type.columns:
        lineage[column.name] = _of(_inputs(column), raw)
    lineage["event_id"] = _of([event_type.id_field] if event_type.id_field else event_type.natural_key, lineage)
    for use in event_type.enrichments:
        enrichment = release.enrichments[use.enrichment]
        for out, column in attached(use, enrichment).items():
            if isinstance(enrichment, Derived):
                lineage[out] = _of(_inputs(column), lineage)
            elif isinstance(enrichment, Versioned | Snapshot):
                lineage[out] = [(key_of(f"{ENRICHMENTS}/{enrichment.name}"), column.name)]
        lineage[status_column(enrichment.name)] = []
    return lineage


def sequence_lineage(release: Release, name: str) -> Lineage:
    """Each column from the event types that have it."""
    lineage: Lineage = {
        column: [(key_of(f"events/{t}"), column) for t in release.sequences[name].event_types]
        for column in ("user_id", "event_time", "event_type", "event_id")
    }
    for out, by_type in release.sequence_columns(name).items():
        lineage[out] = [(key_of(f"events/{t}"), column.name) for t, column in by_type.items()]
    return lineage


def training_lineage(release: Release, name: str, asked: Mapping[str, str]) -> Lineage:
    """Labels from the events or sessions they are made of; columns ``asked`` of the sequence, by what the set calls
    them, from the event types that have these.
    """
    definition, moments = release.training[name], release.training[name].moments
    made_of = {each.name: (_made_from(each.events), each.column or "event_time") for each in definition.outcomes}
    lineage: Lineage = {out: [found] for out, found in made_of.items()}
    if moments is not None:
        layer, _ = labelled_as(moments.events)
        told = {"user": "user_id", "time": "start_time" if layer == "sessions" else "event_time"}
        lineage |= {out: [(_made_from(moments.events), column)] for out, column in told.items()}
    of_sequence = sequence_lineage(release, definition.sequence)
    return lineage | {out: of_sequence.get(column, []) for out, column in asked.items()}


def _made_from(events: str) -> dg.AssetKey:
    """The asset of what labels are made of, as a training set calls it."""
    return key_of(asset_of(*labelled_as(events)))


def view_lineage(plan: ViewPlan) -> Lineage:
    """Each column from those event types that have what it is computed of."""
    owned = {column.name: of for column, of in zip(plan.owned_by, plan.told_by, strict=True)}
    named = {
        "user_id": "user_id",
        **owned,
        **{each.name: each.column for each in plan.definition.columns if each.column},
    }
    times = ("start_time", "end_time") if isinstance(plan.definition, SessionView) else ("first_time", "last_time")
    return {
        out: [(key_of(f"events/{t}"), column) for t, lacks in plan.lacks.items() if column not in lacks]
        for out, column in {**named, **dict.fromkeys(times, "event_time")}.items()
    }


def same_columns(columns: Iterable[Column], upstream: dg.AssetKey) -> Lineage:
    """Every column is the upstream column of its name."""
    return {column.name: [(upstream, column.name)] for column in columns}


def _inputs(column: Column) -> list[str]:
    return names(column.sql) if column.sql else [column.name]


def _of(inputs: Iterable[str], lineage: Mapping[str, list[tuple[dg.AssetKey, str]]]) -> list[tuple[dg.AssetKey, str]]:
    return list(dict.fromkeys(made for name in inputs for made in lineage.get(name, [])))

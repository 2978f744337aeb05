"""The assets of a release, one function per layer: what each is, what it is made from, which build makes it.

>>> sorted("/".join(asset.spec.key.path) for asset in built(shop))[:4]
['enrichments/price_enrichment', 'events/click_events', 'events/purchase_events', 'objects/product_objects']
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from seqplat_assets.describe import facts, lineage
from seqplat_assets.describe.keys import ENRICHMENTS, SOURCES, STREAM, input_keys, key_of, name_of
from seqplat_assets.layers.build import Build
from seqplat_assets.layers.daybook import Daybook
from seqplat_assets.layers.days import day_partitions
from seqplat_assets.runs.preview import day_mapping
from seqplat_resources.batch.builds import enrichments, events, objects, raw, sequences, sessions
from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.partitions import DayRange, Partitions, is_built, labelled_assets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish import enrichments as publish_enrichments
from seqplat_resources.batch.publish import events as publish
from seqplat_resources.engine.plan import system_columns
from seqplat_resources.lake import layout
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.experiment.build import read_out_days
from seqplat_resources.shadow.sequences.build import compare_days
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.training.daily import DailySet, build_days
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Column, Definition, Snapshot, Source, Versioned

_NOT_BUILT = (f"{SOURCES}/", f"{STREAM}/")


@dataclass(frozen=True)
class LayerAsset:
    """An asset the platform builds; ``by_column`` builds single columns of days that are there, where it can."""

    name: str
    layer: str
    spec: dg.AssetSpec
    days: DayRange
    build: Build
    by_column: Callable[[Sequence[str]], Build] | None = None

    @property
    def full_name(self) -> str:
        return name_of(self.spec.key)

    def book(self, runtime: Runtime) -> Daybook:
        """How its days stand."""
        made_of = [name_of(dep.asset_key) for dep in self.spec.deps]
        return Daybook(runtime, self.full_name, [name for name in made_of if not name.startswith(_NOT_BUILT)])


def source_specs(runtime: Runtime) -> Iterator[dg.AssetSpec]:
    """Source files: nobody here makes them, so they are external and unpartitioned."""
    for source in runtime.release.sources.values():
        if source.location and is_built(source):
            yield dg.AssetSpec(
                key_of(f"{SOURCES}/{source.name}"),
                description=facts.source_text(source),
                metadata={
                    "dagster/column_schema": facts.table_schema(source.columns),
                    "dagster/uri": _located(runtime, source),
                },
                **_common(source, SOURCES, kinds={source.format}),
            )


def stream_specs(runtime: Runtime) -> Iterator[dg.AssetSpec]:
    """Logs that are streamed: external, because a stream fills them at all times, whoever runs it."""
    for name in streamed_sources(runtime.release):
        source = runtime.release.sources[name]
        yield dg.AssetSpec(
            key_of(f"{STREAM}/{name}"),
            description=facts.stream_text(source),
            metadata={
                "dagster/column_schema": facts.table_schema(tables.archive(runtime, source).columns),
                "dagster/table_name": f"archive/{name}",
                "dagster/uri": runtime.home.uri(layout.archive_table(name)),
            },
            **_common(source, STREAM, kinds={"kafka", "deltalake"}),
        )


def built(runtime: Runtime) -> Iterator[LayerAsset]:
    """All assets in layer order. Adding a layer is one function like those below and one line here."""
    partitions = Partitions.of(runtime.release)
    yield from _raw(runtime, partitions)
    yield from _enrichments(runtime, partitions)
    yield from _events(runtime, partitions)
    yield from _sequences(runtime, partitions)
    yield from _views(runtime, layout.SESSIONS, partitions.sessions, sessions.build)
    yield from _views(runtime, layout.OBJECTS, partitions.objects, objects.build)
    yield from _online(runtime, partitions)
    yield from _shadow(runtime, partitions)
    yield from _shadow_sequences(runtime, partitions)
    yield from _readout(runtime, partitions)
    yield from _training(runtime, partitions)


def _raw(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.raw.items():
        source = runtime.release.sources[name]
        spec = _spec(
            runtime,
            key_of(f"raw/{name}"),
            source,
            days,
            [dg.AssetDep(key_of(f"{SOURCES}/{name}"))],
            text=facts.raw_text(source),
            columns=tables.raw(runtime, source).columns,
            made_of=lineage.raw_lineage(source),
            table=layout.raw_table(name),
            code_version=facts.semantic_hash(runtime.release, "sources", name),
        )
        yield LayerAsset(name, "raw", spec, days, partial(raw.ingest, runtime, name))


def _enrichments(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.enrichments.items():
        definition = runtime.release.enrichments[name]
        assert isinstance(definition, Versioned | Snapshot)
        spec = _spec(
            runtime,
            key_of(f"{ENRICHMENTS}/{name}"),
            definition,
            days,
            [dg.AssetDep(key_of(f"{SOURCES}/{definition.source}"))],
            text=facts.enrichment_text(definition),
            columns=tables.enrichment(runtime, definition).columns,
            made_of=lineage.enrichment_lineage(definition),
            table=layout.enrichment_table(name),
            code_version=facts.semantic_hash(runtime.release, "enrichments", name),
        )
        yield LayerAsset(name, "enrichments", spec, days, partial(_enrich, runtime, name))


def _events(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    release = runtime.release
    for name, days in partitions.event_types.items():
        definition = release.event_types[name]
        looked_up = [use.enrichment for use in definition.enrichments if use.enrichment in partitions.enrichments]
        spec = _spec(
            runtime,
            key_of(f"events/{name}"),
            definition,
            days,
            [
                *_inputs(release.sources[definition.source]),
                *(_same_day(key_of(f"{ENRICHMENTS}/{e}")) for e in looked_up),
            ],
            text=facts.event_text(definition, release.sources[definition.source], release.enrichments),
            columns=event_columns(release, name),
            made_of=lineage.event_lineage(release, definition),
            table=layout.events_table(name),
            code_version=facts.semantic_hash(release, "event_types", name),
        )
        by_column = partial(_columns_built, runtime, name)
        yield LayerAsset(name, "events", spec, days, partial(events.build, runtime, name), by_column)


def _sequences(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.sequences.items():
        definition = runtime.release.sequences[name]
        spec = _spec(
            runtime,
            key_of(f"sequences/{name}"),
            definition,
            days,
            [_same_day(key_of(f"events/{t}")) for t in definition.event_types if t in partitions.event_types],
            text=facts.sequence_text(definition),
            columns=tables.sequence(runtime, name).columns,
            made_of=lineage.sequence_lineage(runtime.release, name),
            table=layout.sequence_table(name),
            code_version=facts.semantic_hash(runtime.release, "sequences", name),
        )
        yield LayerAsset(name, "sequences", spec, days, partial(sequences.build, runtime, name))


def _views(
    runtime: Runtime,
    layer: str,
    partitions: Mapping[str, DayRange],
    build: Callable[[Runtime, str, Sequence[Any]], Any],
) -> Iterator[LayerAsset]:
    for name, days in partitions.items():
        plan = ViewPlan.of(runtime.loaded, f"{layer}/{name}")
        spec = _spec(
            runtime,
            key_of(plan.name),
            plan.definition,
            days,
            [
                _same_day(key_of(f"events/{t}"))
                for t in plan.definition.event_types
                if is_built(runtime.release.event_types[t])
            ],
            text=facts.view_text(plan.definition),
            columns=tables.view(runtime, plan).columns,
            made_of=lineage.view_lineage(plan),
            table=layout.view_table(plan.name),
            code_version=facts.semantic_hash(runtime.release, layer, name),
        )
        yield LayerAsset(name, layer, spec, days, partial(build, runtime, name))


def _online(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.event_types.items():
        definition = runtime.release.event_types[name]
        columns = [c for c in event_columns(runtime.release, name) if c.name not in publish.NOT_STORED]
        spec = _spec(
            runtime,
            key_of(f"online/{name}"),
            definition,
            days,
            [_same_day(key_of(f"events/{name}"))],
            text=facts.online_text(definition),
            columns=columns,
            made_of=lineage.same_columns(columns, key_of(f"events/{name}")),
            kinds={"lmdb"},
            code_version=facts.semantic_hash(runtime.release, "event_types", name),
        )
        yield LayerAsset(name, "online", spec, days, partial(_publish, runtime, name))


def _shadow(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.shadow.items():
        definition = runtime.release.event_types[name]
        assert definition.legacy is not None
        spec = _spec(
            runtime,
            key_of(f"shadow/{name}"),
            definition,
            days,
            [_same_day(key_of(f"events/{name}")), _same_day(key_of(f"raw/{definition.legacy.source}"))],
            text=facts.shadow_text(definition),
            columns=tables.shadow(runtime, name).columns,
            made_of={},
            table=layout.shadow_table(name),
            code_version=None,
        )
        yield LayerAsset(name, "shadow", spec, days, partial(compare, runtime, name))


def _shadow_sequences(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.shadow_sequences.items():
        definition = runtime.release.sequences[name]
        spec = _spec(
            runtime,
            key_of(f"{layout.SHADOW_SEQUENCES}/{name}"),
            definition,
            days,
            [_same_day(key_of(f"events/{t}")) for t in definition.event_types if t in partitions.event_types],
            text=facts.shadow_sequence_text(definition),
            columns=tables.shadow(runtime, name, layout.SHADOW_SEQUENCES).columns,
            made_of={},
            table=layout.shadow_table(name, layout.SHADOW_SEQUENCES),
            code_version=None,
        )
        yield LayerAsset(name, layout.SHADOW_SEQUENCES, spec, days, partial(compare_days, runtime, name))


def _readout(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    for name, days in partitions.readout.items():
        definition = runtime.release.event_types[name]
        assert definition.experiment is not None
        counted = dict.fromkeys([name, *(metric.event_type for metric in definition.experiment.metrics)])
        spec = _spec(
            runtime,
            key_of(f"{layout.READOUT}/{name}"),
            definition,
            days,
            [_same_day(key_of(f"events/{t}")) for t in counted if t in partitions.event_types],
            text=facts.readout_text(definition),
            columns=tables.readout(runtime, name).columns,
            made_of={},
            table=layout.readout_table(name),
            code_version=None,
        )
        yield LayerAsset(name, layout.READOUT, spec, days, partial(read_out_days, runtime, name))


def _training(runtime: Runtime, partitions: Partitions) -> Iterator[LayerAsset]:
    release, there = runtime.release, ranges_of(runtime)
    for name, days in partitions.training.items():
        daily = DailySet.of(runtime, name)
        types = release.sequences[daily.definition.sequence].event_types
        # Labels come from the days after theirs as well; an event type may be in both.
        named = {f"events/{each}": 0 for each in types} | dict.fromkeys(labelled_assets(daily.definition), days.lag)
        made_of = {key_of(each): lag for each, lag in named.items() if each in there}
        spec = _spec(
            runtime,
            key_of(f"{layout.TRAINING}/{name}"),
            daily.definition,
            days,
            [dg.AssetDep(key, partition_mapping=day_mapping(lag)) for key, lag in made_of.items()],
            text=facts.training_text(daily.definition),
            columns=daily.columns(),
            made_of=lineage.training_lineage(release, name, daily.asked()),
            kinds={"polars", "parquet"},
            code_version=facts.semantic_hash(release, layout.TRAINING, name),
        )
        yield LayerAsset(name, layout.TRAINING, spec, days, partial(build_days, runtime, name))


def _enrich(runtime: Runtime, name: str, days: Sequence[Any]) -> Iterator[Any]:
    """Build the days; what streams look up is published as well."""
    yield from enrichments.build(runtime, name, days)
    if name in streamed_enrichments(runtime.release):
        with closing(open_online_store(runtime.home)) as store:
            for _ in publish_enrichments.publish(runtime, store, name, days):
                pass


def _columns_built(runtime: Runtime, name: str, columns: Sequence[str]) -> Build:
    return partial(events.build, runtime, name, columns=columns)


def streamed_enrichments(release: Release) -> set[str]:
    """Enrichments that events of a log are looked up in while they stream."""
    streamed = [e for e in release.event_types.values() if release.sources[e.source].topic]
    return {use.enrichment for event_type in streamed for use in event_type.enrichments}


def _publish(runtime: Runtime, name: str, days: Sequence[Any]) -> Iterator[Any]:
    with closing(open_online_store(runtime.home)) as store:
        yield from publish.publish(runtime, store, name, days)


def event_columns(release: Release, name: str) -> list[Column]:
    """Table columns of an event type; unlike a plan of the engine it needs no executor to be installed."""
    source = release.sources[release.event_types[name].source]
    user = next(column for column in source.columns if column.name == source.user_id)
    return [*system_columns(user), *release.event_columns(name).values()]


def _spec(
    runtime: Runtime,
    key: dg.AssetKey,
    definition: Definition,
    days: DayRange,
    deps: Sequence[dg.AssetDep],
    *,
    text: str,
    columns: Sequence[Column],
    made_of: lineage.Lineage,
    code_version: str | None,
    table: str = "",
    kinds: frozenset[str] | set[str] = frozenset({"polars", "deltalake"}),
) -> dg.AssetSpec:
    stored = {"dagster/table_name": name_of(key), "dagster/uri": runtime.home.uri(table)} if table else {}
    return dg.AssetSpec(
        key,
        deps=deps,
        description=text,
        partitions_def=day_partitions(days),
        code_version=code_version,
        metadata={
            "dagster/column_schema": facts.table_schema(columns, lineage.origins(made_of, len(deps))),
            "dagster/column_lineage": lineage.table_lineage(made_of),
            "release": runtime.loaded.id[:12],
            **stored,
        },
        **_common(definition, key.path[0], kinds=set(kinds)),
    )


def _common(definition: Definition, layer: str, *, kinds: set[str]) -> dict[str, Any]:
    # NOTE: groups could nest ("grocery/events"), but the lineage page then scatters the layers of a team over the
    # page; in one group they line up as columns. The layer is in the key and in a tag, to filter by.
    return {
        "group_name": definition.tenant,
        "owners": facts.owners(definition),
        "tags": facts.tags(definition, layer),
        "kinds": kinds,
    }


def _same_day(key: dg.AssetKey) -> dg.AssetDep:
    return dg.AssetDep(key, partition_mapping=day_mapping())


def _inputs(source: Source) -> list[dg.AssetDep]:
    """Files by day; the log has no days of its own: a bucket reads whatever it holds of the day."""
    return [_same_day(key) if key == key_of(f"raw/{source.name}") else dg.AssetDep(key) for key in input_keys(source)]


def _located(runtime: Runtime, source: Source) -> str:
    relative = "://" not in source.location and not source.location.startswith("/")
    return f"{runtime.sources_root}/{source.location}" if relative else source.location

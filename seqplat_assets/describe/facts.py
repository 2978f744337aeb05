"""What people see of an asset before anything ran: text, owners, tags, columns. Pure, from the release alone.

>>> tags(shop.release.event_types["purchase"], "events")
{'layer': 'events', 'tenant': 'shop', 'lifecycle': 'shadow'}
>>> print(event_text(shop.release.event_types["purchase"], shop.release.sources["orders"], shop.release.enrichments))
- made from `raw/orders` by executor `declarative`
- one row per user and `number`
- versioned `price`: `price`
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import dagster as dg

from seqplat_assets.describe.keys import input_keys, name_of
from sequence_defs.compiler.release import Release
from sequence_defs.schema import (
    Column,
    Definition,
    Enrichment,
    EventType,
    SessionView,
    Snapshot,
    Source,
    TrainingSet,
    Versioned,
    View,
)
from sequence_defs.schema import Sequence as SequenceDefinition

_OWNER = re.compile(r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_.-]+")
_TAG_LENGTH = 63
_ORIGINS_SHOWN = 3


def owners(definition: Definition) -> list[str]:
    """The owner, where it is of a form Dagster knows (static analysis asks for one of these two)."""
    return [definition.owner] if _OWNER.match(definition.owner) else []


def tags(definition: Definition, layer: str) -> dict[str, str]:
    """Layer, tenant, stage and the definition's own tags, in Dagster's alphabet; ours win over an author's."""
    authored = {_tag(key): _tag(value) for key, value in definition.tags.items()}
    ours = {"layer": layer, "tenant": definition.tenant, "lifecycle": definition.lifecycle}
    return {key: value for key, value in authored.items() if key} | ours


def _tag(text: str) -> str:
    """Dagster takes letters, digits, ``_ . -``, and no other character at either end."""
    return _NOT_IN_TAG.sub("-", text)[:_TAG_LENGTH].strip("-")


def table_schema(
    columns: Iterable[Column], origins: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dg.TableSchema:
    """Columns with their portable types; unit and embedding model are told as constraints, PII as a tag.

    ``origins`` names upstream columns (``raw/orders.quantity``). They are said in the description as well, because
    the open-source UI draws no column lineage.
    """
    return dg.TableSchema([_table_column(column, origins.get(column.name, ())) for column in columns])


def _table_column(column: Column, origins: Sequence[str]) -> dg.TableColumn:
    other = [f"unit: {column.unit}"] if column.unit else []
    other += [f"model: {column.model}"] if column.model else []
    origin = f"from {', '.join(origins[:_ORIGINS_SHOWN])}{' …' if len(origins) > _ORIGINS_SHOWN else ''}"
    return dg.TableColumn(
        column.name,
        column.dtype,
        description="; ".join(part for part in (column.description, origin if origins else "") if part) or None,
        constraints=dg.TableColumnConstraints(nullable=column.nullable, other=other),
        tags={"pii": ""} if column.pii else {},
    )


def source_text(source: Source) -> str:
    """Markdown of a source of raw files."""
    facts = [f"{source.format} files `{source.location}`"]
    facts += [f"joined with `{join.location}` on {_listed(join.on)}" for join in source.joins]
    return _page(source, facts)


def raw_text(source: Source) -> str:
    """Markdown of decoded raw rows."""
    facts = [
        f"rows of `{source.location}`, decoded once into typed columns; refused rows are in `rejects/{source.name}`"
    ]
    if source.event_time:
        zone = "" if source.event_time.timezone == "UTC" else f" ({source.event_time.timezone})"
        facts.append(f"day of `{source.event_time.sql}`{zone} in UTC, user `{source.user_id}`")
    return _page(source, facts)


def stream_text(source: Source) -> str:
    """Markdown of a log that is streamed."""
    facts = [
        f"messages of topic `{source.topic}`, one JSON object each; refused ones are in `rejects/{source.name}`",
        "each is visible online first, then kept here as received, once",
        "numbers of a materialization are those since the one before; a run ends and is followed by the next",
    ]
    if source.retention_days:
        facts.append(f"messages of events more than {source.retention_days} days old are refused")
    return _page(source, facts)


def event_text(event_type: EventType, source: Source, enrichments: Mapping[str, Enrichment]) -> str:
    """Markdown of an event type: where rows come from, which are kept, what identifies and enriches them."""
    kept = f", where `{event_type.filter}`" if event_type.filter else ""
    made_of = " and ".join(f"`{name_of(key)}`" for key in input_keys(source))
    identity = [event_type.id_field] if event_type.id_field else list(event_type.natural_key)
    facts = [
        f"made from {made_of} by executor `{event_type.executor}`{kept}",
        f"one row per user and {_listed(identity)}",
    ]
    for use in event_type.enrichments:
        enrichment = enrichments[use.enrichment]
        names = list(use.columns) or [column.name for column in enrichment.columns]
        facts.append(f"{enrichment.kind} `{enrichment.name}`: {_listed(names)}")
    return _page(event_type, facts)


def enrichment_text(enrichment: Versioned | Snapshot) -> str:
    """Markdown of an enrichment table."""
    facts = [f"{enrichment.kind}, by {_listed(enrichment.key)} from `{enrichment.source}`"]
    if isinstance(enrichment, Versioned):
        facts.append(f"a version holds from `{enrichment.valid_from.sql}`")
        if enrichment.valid_to:
            facts.append(f"until `{enrichment.valid_to.sql}`")
        if enrichment.max_age_days:
            facts.append(f"for at most {enrichment.max_age_days:g} days")
    return _page(enrichment, facts)


def sequence_text(sequence: SequenceDefinition) -> str:
    """Markdown of a sequence's day segments."""
    length = f"the newest {sequence.length}" if sequence.length else "all"
    window = f" of {sequence.window_days} days" if sequence.window_days else ""
    return _page(
        sequence,
        [
            f"one row per user and day, newest event first, of {_listed(sequence.event_types)}",
            f"readers get {length} events{window}; segments hold all of the day",
        ],
    )


def view_text(view: View) -> str:
    """Markdown of a view's table."""
    if isinstance(view, SessionView):
        scope = f" and `{view.scope}`" if view.scope else ""
        said = [
            f"one row per session, on the day it began, of {_listed(view.event_types)}",
            f"a user{scope} begins another after a pause of {view.gap_s} s, and after {view.cap_s} s at the latest",
        ]
        return _page(view, [*said, *([f"and where {view.boundary}"] if view.boundary else [])])
    return _page(view, [f"one row per user, day and `{view.key}`, of {_listed(view.event_types)}"])


def online_text(event_type: EventType) -> str:
    """Markdown of an event type's blocks in the online store."""
    return _page(
        event_type,
        ["blocks of one user and day in the online store; a run publishes its days together, as one epoch"],
    )


def shadow_text(event_type: EventType) -> str:
    """Markdown of the comparison of an event type with legacy's."""
    assert event_type.legacy is not None
    return _page(
        event_type,
        [
            f"events of a day beside those of `{event_type.legacy.source}`: what differs, how often, and why",
            "days are judged together; `seqplat shadow verdict` prints the verdict",
        ],
    )


def shadow_sequence_text(sequence: SequenceDefinition) -> str:
    """Markdown of the comparison of a sequence with legacy's."""
    assert sequence.legacy is not None
    where = getattr(sequence.legacy.at, "location", "") or "a service"
    return _page(
        sequence,
        [
            f"users' sequences at the end of a day beside those of `{where}`: how far apart they are",
            "days are judged together; `seqplat shadow verdict` prints the verdict",
        ],
    )


def readout_text(event_type: EventType) -> str:
    """Markdown of the readout of an experiment."""
    assert event_type.experiment is not None
    metrics = [f"`{m.name}` ({m.kind} of `{m.event_type}`)" for m in event_type.experiment.metrics]
    return _page(
        event_type,
        [
            "what users with our events did, beside those with legacy's, until the end of a day",
            f"metrics: {', '.join(metrics) or 'none; only how large the arms are'}",
            "`seqplat cutover readout` prints it as of now",
        ],
    )


def training_text(training: TrainingSet) -> str:
    """Markdown of a training set."""
    outcomes = [f"`{o.name}` ({o.kind} of `{o.events}` within {o.within_h} h)" for o in training.outcomes]
    moments = training.moments
    every = f", every {moments.every_h} h" if moments and moments.every_h else ""
    labels = f"each `{moments.events}`{every}" if moments else f"`{training.labels}`"
    return _page(
        training,
        [
            f"labels of {labels}, with the user's `{training.sequence}` before each, {training.mode.replace('_', ' ')}",
            f"outcomes: {', '.join(outcomes) or 'those of the file'}",
            f"a folder a day, once its outcomes are known; `seqplat training-set {training.name}` makes them as well",
        ],
    )


def _page(definition: Definition, facts: Iterable[str]) -> str:
    return "\n\n".join(part for part in (definition.description, "\n".join(f"- {fact}" for fact in facts)) if part)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def semantic_hash(release: Release, kind: str, name: str) -> str | None:
    """The code version of an object: moves when its values may."""
    hashes = release.hashes.get(f"{kind}/{name}")
    return hashes.semantic if hashes else None

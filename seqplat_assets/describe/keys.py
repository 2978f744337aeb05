"""Asset keys: layer, then name."""

import dagster as dg

from sequence_defs.schema import Source

SOURCES = "sources"
STREAM = "stream"
ENRICHMENTS = "enrichments"


def source_key(source: str) -> dg.AssetKey:
    return dg.AssetKey([SOURCES, source])


def stream_key(source: str) -> dg.AssetKey:
    return dg.AssetKey([STREAM, source])


def raw_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", source])


def enrichment_key(enrichment: str) -> dg.AssetKey:
    return dg.AssetKey([ENRICHMENTS, enrichment])


def events_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["events", event_type])


def sequence_key(sequence: str) -> dg.AssetKey:
    return dg.AssetKey(["sequences", sequence])


def online_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["online", event_type])


def input_keys(source: Source) -> list[dg.AssetKey]:
    """What events of a source are made from: its ingested files, its log, or both."""
    streamed = bool(source.topic) and not source.joins
    return [*([raw_key(source.name)] if source.location else []), *([stream_key(source.name)] if streamed else [])]

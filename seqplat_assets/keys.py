"""Asset keys: layer, then name."""

import dagster as dg

SOURCES = "sources"


def source_key(source: str) -> dg.AssetKey:
    return dg.AssetKey([SOURCES, source])


def raw_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", source])


def enrichment_key(enrichment: str) -> dg.AssetKey:
    return dg.AssetKey(["enrichments", enrichment])


def events_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["events", event_type])


def sequence_key(sequence: str) -> dg.AssetKey:
    return dg.AssetKey(["sequences", sequence])


def online_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["online", event_type])

"""Asset keys: layer, then the asset's name with a word for the layer.

The UI shows the last part of a key alone, so no two may read alike: the raw rows of ``transactions`` are
``raw/transactions_raw``, its stream is ``stream/transactions_stream``. Everywhere else (commands, tables, records) an
asset is called by layer and name, ``raw/transactions``; ``key_of`` and ``name_of`` are the only ways between the two.

>>> key_of("events/purchase").path, name_of(key_of("events/purchase"))
(['events', 'purchase_events'], 'events/purchase')
"""

import dagster as dg

from sequence_defs.schema import Source

RELEASE = "release"
SOURCES = "sources"
STREAM = "stream"
ENRICHMENTS = "enrichments"

# No word ends with another after "_", so two keys differ in their last parts wherever they differ.
_WORD = {
    RELEASE: "release",
    SOURCES: "files",
    STREAM: "stream",
    "raw": "raw",
    ENRICHMENTS: "enrichment",
    "events": "events",
    "sequences": "sequence",
    "sessions": "sessions",
    "objects": "objects",
    "online": "online",
    "shadow": "shadow",
    "shadow_sequences": "beside_legacy",
    "readout": "readout",
    "training": "training_set",
}


def key_of(asset: str) -> dg.AssetKey:
    """The key of an asset: ``events/purchase`` has ``events/purchase_events``."""
    layer, name = asset.split("/")
    return dg.AssetKey([layer, f"{name}_{_WORD[layer]}"])


def name_of(key: dg.AssetKey) -> str:
    """The asset of a key of ``key_of``."""
    layer, last = key.path
    return f"{layer}/{last.removesuffix(f'_{_WORD[layer]}')}"


def input_keys(source: Source) -> list[dg.AssetKey]:
    """What events of a source are made from: its ingested files, its log, or both."""
    layers = {"raw": bool(source.location), STREAM: bool(source.topic) and not source.joins}
    return [key_of(f"{layer}/{source.name}") for layer, is_there in layers.items() if is_there]

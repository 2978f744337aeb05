"""Messages framed by a schema registry (Avro, Protobuf, JSON Schema), opened to JSON texts.

Door: ``framing.open_framing``; a library is imported in the one module named after it. Knows no source.
Streams and explain enter; it stands on errors and the clock.
"""

from seqplat_resources.sources.schema_registry.framing import Framing, OpenedMessages, open_framing

__all__ = ["Framing", "OpenedMessages", "open_framing"]

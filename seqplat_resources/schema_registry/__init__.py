"""Messages framed by a schema registry (Avro, Protobuf, JSON Schema), opened to JSON texts; knows no source."""

from seqplat_resources.schema_registry.framing import Framing, Opened, open_framing

__all__ = ["Framing", "Opened", "open_framing"]

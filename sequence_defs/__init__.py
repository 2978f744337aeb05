"""WHAT: definitions of events, enrichments and sequences, and their compilation to a portable release."""

from sequence_defs.schema import (
    Column,
    Csv,
    Definition,
    Derived,
    Enrich,
    EventType,
    Join,
    Pick,
    Sequence,
    Service,
    Snapshot,
    Source,
    Tenant,
    Time,
    Versioned,
)

__all__ = [
    "Column",
    "Csv",
    "Definition",
    "Derived",
    "Enrich",
    "EventType",
    "Join",
    "Pick",
    "Sequence",
    "Service",
    "Snapshot",
    "Source",
    "Tenant",
    "Time",
    "Versioned",
]

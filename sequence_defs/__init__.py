"""WHAT: definitions of events, enrichments and sequences, checked, and compiled to a portable release.

Authors import the models from here. Pure: nothing below reads a clock, a store or the network.
Everybody may enter; it imports no other package of ours.
"""

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

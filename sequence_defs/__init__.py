"""WHAT: definitions of events, enrichments and sequences, checked, and compiled to a portable release.

Authors import the models from here. Pure: nothing below reads a clock, a store or the network.
Everybody may enter; it imports no other package of ours.
"""

from sequence_defs.schema import (
    Blobs,
    Column,
    Compared,
    Csv,
    Definition,
    Derived,
    Enrich,
    EventType,
    Experiment,
    Explained,
    Http,
    Join,
    Legacy,
    LegacySequence,
    Pick,
    Sequence,
    Service,
    Snapshot,
    Source,
    Tenant,
    Time,
    UserMetric,
    Versioned,
)

__all__ = [
    "Blobs",
    "Column",
    "Compared",
    "Csv",
    "Definition",
    "Derived",
    "Enrich",
    "EventType",
    "Experiment",
    "Explained",
    "Http",
    "Join",
    "Legacy",
    "LegacySequence",
    "Pick",
    "Sequence",
    "Service",
    "Snapshot",
    "Source",
    "Tenant",
    "Time",
    "UserMetric",
    "Versioned",
]

"""The definition models: what authors write and, unchanged in shape, what a release holds.

Example: ``Source``, ``EventType``, ``Sequence``. It knows models and portable types, not what is done with them.
Everybody may enter; it imports nothing but itself.
"""

from sequence_defs.schema.base import Definition, Location
from sequence_defs.schema.columns import Column, Time
from sequence_defs.schema.dtypes import Dtype, parse_dtype
from sequence_defs.schema.enrichments import Derived, Enrichment, Keyed, Service, Snapshot, Versioned
from sequence_defs.schema.events import Enrich, EventType
from sequence_defs.schema.experiment import Experiment, UserMetric
from sequence_defs.schema.legacy import Blobs, Cause, Compared, Explained, Http, Legacy, LegacySequence
from sequence_defs.schema.sequences import Collapse, FewNegatives, Followed, Moments, Pick, Sequence, TrainingSet
from sequence_defs.schema.sharing import Shareable, Tenant
from sequence_defs.schema.sources import Csv, Join, Source
from sequence_defs.schema.views import Aggregate, ObjectView, SessionView, View

__all__ = [
    "Aggregate",
    "Blobs",
    "Cause",
    "Collapse",
    "Column",
    "Compared",
    "Csv",
    "Definition",
    "Derived",
    "Dtype",
    "Enrich",
    "Enrichment",
    "EventType",
    "Experiment",
    "Explained",
    "FewNegatives",
    "Followed",
    "Http",
    "Join",
    "Keyed",
    "Legacy",
    "LegacySequence",
    "Location",
    "Moments",
    "ObjectView",
    "Pick",
    "Sequence",
    "Service",
    "SessionView",
    "Shareable",
    "Snapshot",
    "Source",
    "Tenant",
    "Time",
    "TrainingSet",
    "UserMetric",
    "Versioned",
    "View",
    "parse_dtype",
]

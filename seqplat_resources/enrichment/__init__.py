"""Enrichment values while events stream: online tables that batch publishes, and services over HTTP.

Doors: ``lookups.StreamLookup``, ``table.online_name``; ``requests.Requests``, for others who ask a service.
Batch, stream, shadow and the API's health may enter; it stands on engine and online store.
"""

from seqplat_resources.enrichment.lookups import StreamLookup
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.enrichment.service import ServiceLookup
from seqplat_resources.enrichment.table import DAYS_KEPT, online_name

__all__ = ["DAYS_KEPT", "OnlineLookup", "ServiceLookup", "StreamLookup", "online_name"]

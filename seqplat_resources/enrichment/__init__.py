"""Enrichment values while events stream: the online tables batch publishes, and services asked over HTTP."""

from seqplat_resources.enrichment.online_lookup import OnlineLookup
from seqplat_resources.enrichment.online_table import DAYS_KEPT, online_name
from seqplat_resources.enrichment.service import ServiceLookup, ServiceStats
from seqplat_resources.enrichment.stream_lookup import StreamLookup

__all__ = ["DAYS_KEPT", "OnlineLookup", "ServiceLookup", "ServiceStats", "StreamLookup", "online_name"]

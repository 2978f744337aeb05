"""Everything a stream looks up: keyed enrichments in the online store, services over HTTP.

>>> from contextlib import closing
>>> from seqplat_resources.batch.publish import enrichments
>>> published = list(enrichments.publish(shop, store, "price", days))
>>> with closing(StreamLookup(shop, store, {})) as lookup:
...     lookup.versions("price", pl.DataFrame({"product": ["tea", "soap"]})).frame.select("product", "price").rows()
...
[('tea', 2.5)]
"""

from collections import Counter
from collections.abc import Mapping

import polars as pl

from seqplat_resources.engine.contract import Versions
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.enrichment.service import ServiceLookup
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.release.runtime import Runtime


class StreamLookup:
    """The engine's lookup for one worker of a stream, under one release. Not thread-safe; ``close`` it at the end."""

    def __init__(self, runtime: Runtime, store: OnlineStore, environment: Mapping[str, str]) -> None:
        self._online, self._services = OnlineLookup(runtime, store), ServiceLookup(runtime, environment)

    def versions(self, enrichment: str, keys: pl.DataFrame) -> Versions | None:
        return self._online.versions(enrichment, keys)

    def fetch(self, service: str, keys: pl.DataFrame) -> pl.DataFrame:
        return self._services.fetch(service, keys)

    def take_counts(self) -> Counter[str]:
        """See ``ServiceLookup``."""
        return self._services.take_counts()

    def close(self) -> None:
        """Close connections to services; the store is the caller's."""
        self._services.close()

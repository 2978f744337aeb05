"""An API key of a home that is measured. It goes to child processes by environment: arguments are seen by everybody."""

from __future__ import annotations

import os
from pathlib import Path

from seqplat_resources.home import Home
from serving.access.keys import changes
from serving.access.keys.store import KeyStore

TENANT = "bench"
VARIABLE = "SEQPLAT_KEY"


def new(home: Path, tenant: str = TENANT) -> str:
    """A new key without quotas, which also reads /metrics and /v1/status."""
    store = KeyStore(Home(str(home.absolute()), {}))
    return changes.create(store, tenant, by="benchmarks", name="benchmarks", roles=("reader", "operator"))[1]


def headers(text: str = "") -> dict[str, str]:
    """What a request sends; without ``text`` the key of this process' environment."""
    return {"Authorization": f"Bearer {text or os.environ[VARIABLE]}"}

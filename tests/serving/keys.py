"""Keys for tests: a home gets one by a line, and requests send it by another."""

from pathlib import Path
from typing import Any

from seqplat_resources.home import Home
from serving.access.keys import changes
from serving.access.keys.store import KeyStore

# Whose the demo's sequences are.
TENANT = "grocery"


def new_key(home: Path | Home, tenant: str = TENANT, **options: Any) -> str:
    """The text of a new key of ``home``; ``options`` are those of ``issuing.create``. It may read and operate."""
    home = home if isinstance(home, Home) else Home(str(home), {})
    _, text = changes.create(KeyStore(home), tenant, by="tests", **{"roles": ("reader", "operator"), **options})
    return text


def headers(text: str) -> dict[str, str]:
    """What a request sends with the key of that text."""
    return {"Authorization": f"Bearer {text}"}


def new_headers(home: Path | Home, tenant: str = TENANT, **options: Any) -> dict[str, str]:
    """Headers with a new key of ``home``, as ``new_key``."""
    return headers(new_key(home, tenant, **options))

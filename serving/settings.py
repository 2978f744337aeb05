"""What the API is started with, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from seqplat_resources.home import Home
from seqplat_resources.runtime import DEFAULT_CHANNEL


@dataclass(frozen=True)
class Settings:
    """``poll_s`` is how long a moved channel, or a store that has just been created, may go unnoticed."""

    home: Home
    channel: str = DEFAULT_CHANNEL
    poll_s: float = 2.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """``SEQPLAT_HOME`` and ``SEQPLAT_CHANNEL``; the store is found as ``open_online_store`` finds it."""
        return cls(Home.from_environment(environment), environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL)

"""What every runtime is started with: a home, a release, the root of source files, a clock."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from sequence_defs.compiler.release import Release

DEFAULT_CHANNEL = "dev"


@dataclass(frozen=True)
class Runtime:
    """Collaborators of batch work. ``sources_root`` is where relative source locations start."""

    home: Home
    loaded: LoadedRelease
    sources_root: str
    clock: Clock = field(default_factory=SystemClock)

    @property
    def release(self) -> Release:
        return self.loaded.release

    @property
    def channel(self) -> str:
        """The channel that this process follows."""
        return self.home.environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Runtime":
        """``SEQPLAT_HOME``, ``SEQPLAT_CHANNEL`` (default ``dev``), ``SEQPLAT_SOURCES`` (default: the demo's files).

        Raises:
            ReleaseNotFound: nothing is published to the channel.
        """
        home = Home.from_environment(environment)
        loaded = ReleaseStore(home).load(environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL)
        sources = environment.get("SEQPLAT_SOURCES") or str(files("sequence_defs.definitions.demo") / "data")
        return cls(home, loaded, str(Path(sources).absolute()))

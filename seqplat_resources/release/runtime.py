"""What every runtime is started with: a home, a release, the root of source files, a clock.

>>> shop.channel, sorted(shop.release.event_types)
('dev', ['click', 'purchase'])
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from sequence_defs.compiler.release import Release

DEFAULT_CHANNEL = "dev"


@dataclass(frozen=True)
class Runtime:
    """Collaborators of batch work. ``home`` is where the channel's data lives, ``sources_root`` where relative source
    locations start.
    """

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
        store = ReleaseStore(Home.from_environment(environment))
        channel = environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
        loaded, home = store.load(channel), store.home_of(channel)
        return cls(home, loaded, sources_root(environment))

    def neighbours(self) -> list["Runtime"]:
        """The other channels of the installation whose data lives elsewhere: of each place one.

        Raises:
            ReleaseNotFound, ReleaseCorrupt, ChannelCorrupt: what a channel runs is not known.
        """
        store, found = ReleaseStore(self.home), dict[str, Runtime]()
        for channel in store.channels():
            home = store.home_of(channel)
            if home.root != self.home.root:
                environment = {**self.home.environment, "SEQPLAT_CHANNEL": channel}
                there = replace(home, environment=environment)
                found[home.root] = replace(self, home=there, loaded=store.load(channel))
        return list(found.values())


def sources_root(environment: Mapping[str, str]) -> str:
    """Where relative source locations start: ``SEQPLAT_SOURCES``, or the demo's files."""
    sources = environment.get("SEQPLAT_SOURCES") or str(files("sequence_defs.definitions.demo") / "data")
    return str(Path(sources).absolute())

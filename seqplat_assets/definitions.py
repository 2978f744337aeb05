"""The code location: definitions of the release that the channel points at when this module is loaded.

The processes that this one starts for its runs load it again, and have the same release, wherever the channel is by
then: a run builds what the location showed. `seqplat code-server` loads the location anew when the channel moves.
"""

import os
from dataclasses import replace

from seqplat_assets.factory import definitions_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore

# NOTE: the one module here whose import has an effect, which is how a process tells those that it starts.
_RELEASE = "SEQPLAT_LOCATION_RELEASE"
# A run that waited in the queue may be of an asset that is gone since; one that waited longer ends in Dagster's words.
_EARLIER = 5


def _location() -> Runtime:
    runtime = Runtime.from_environment()
    pinned = os.environ.get(_RELEASE)
    return replace(runtime, loaded=ReleaseStore(runtime.home).get(pinned)) if pinned else runtime


def _earlier(runtime: Runtime) -> list[Runtime]:
    moves = ReleaseStore(runtime.home).history(runtime.channel)
    found = list(dict.fromkeys(move.release for move in moves if move.release != runtime.loaded.id))
    return [replace(runtime, loaded=ReleaseStore(runtime.home).get(release)) for release in found[:_EARLIER]]


_runtime = _location()
defs = definitions_of(_runtime, earlier=_earlier(_runtime) if os.environ.get(_RELEASE) else ())
os.environ[_RELEASE] = _runtime.loaded.id

"""The code location: definitions of the release that the channel points at when this module is loaded.

Reload the code location (or restart it) after `seqplat publish`.
"""

from seqplat_assets.factory import definitions_of
from seqplat_resources.runtime import Runtime

defs = definitions_of(Runtime.from_environment())

"""One view from two paths: history that batch published, and what streaming has seen since."""

from seqplat_resources.merge.folding import fold_crowded
from seqplat_resources.merge.view import Window, newest_events

__all__ = ["Window", "fold_crowded", "newest_events"]

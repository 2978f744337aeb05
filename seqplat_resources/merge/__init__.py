"""One view from two paths: history that batch published, and what streaming has seen since."""

from seqplat_resources.merge.folding import fold_crowded
from seqplat_resources.merge.published import Published
from seqplat_resources.merge.selection import Selection
from seqplat_resources.merge.view import Found, newest_events, window_start

__all__ = ["Found", "Published", "Selection", "fold_crowded", "newest_events", "window_start"]

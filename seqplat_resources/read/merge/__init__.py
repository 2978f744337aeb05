"""One view from two paths: history that batch published, and what streaming has seen since.

Door: ``newest.newest_events``, one pass over arrays for one user or a hundred; ``cut`` keeps each user's newest N.
Only ``read`` and explain enter; metrics look at ``published`` and ``due``.
"""

from seqplat_resources.read.merge.newest import NewestEvents, newest_events, window_start
from seqplat_resources.read.merge.published import PublishedDays
from seqplat_resources.read.merge.selection import RowSelection

__all__ = ["NewestEvents", "PublishedDays", "RowSelection", "newest_events", "window_start"]

"""Why is this event (not) in this user's sequence? Its way from the raw row to the answer, with what decided there.

Doors: ``explain``, ``recent``, ``explain_row``.
Serving enters; it stands on every room, and no room on it.
"""

from seqplat_resources.explain.account.model import Candidate, EventKey, Explanation, Step, Verdict
from seqplat_resources.explain.position import explain_row, parse_position
from seqplat_resources.explain.run import SEARCH_DAYS, explain, recent

__all__ = [
    "SEARCH_DAYS",
    "Candidate",
    "EventKey",
    "Explanation",
    "Step",
    "Verdict",
    "explain",
    "explain_row",
    "parse_position",
    "recent",
]

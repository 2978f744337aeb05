"""Why is this event (not) in this user's sequence? Its way from the raw row to the answer, with what decided there."""

from seqplat_resources.explain.explaining import SEARCH_DAYS, explain, recent
from seqplat_resources.explain.model import Candidate, EventKey, Explanation, Step, Verdict
from seqplat_resources.explain.of_row import explain_row, parse_position

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

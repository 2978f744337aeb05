"""Event types as people name them."""

from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.sides import Sides
from sequence_defs.analysis.wording import instead


class UnknownEventType(Final):
    """No event type of that name in the release."""


def sides_of(runtime: Runtime, event_type: str) -> Sides:
    """Ours and legacy's of an event type.

    Raises:
        UnknownEventType: the release has none of that name. NotCompared: it says no legacy.
    """
    known = runtime.release.event_types
    if event_type not in known:
        compared = [name for name, each in known.items() if each.legacy]
        fix = instead(event_type, compared or known, "define it and publish it")
        raise UnknownEventType(f"there is no event type {event_type!r}; {fix}")
    return Sides.open(runtime, event_type)

"""How findings speak: names of objects, nearest names, and short lists.

>>> instead("purchse", ["purchase", "click"], otherwise="define it")
"did you mean 'purchase'? Otherwise define it"
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from sequence_defs.schema import Definition, EventType, ObjectView, Sequence, SessionView, Source, Tenant, TrainingSet

# Longer lists hide the one name that was meant.
SHOWN_NAMES = 8


def kind_of(definition: Definition) -> str:
    """``event type``, ``source``, ...: two definitions of one kind may not share a name."""
    return next((kind for cls, kind in _KINDS.items() if isinstance(definition, cls)), "enrichment")


_KINDS: Mapping[type[Definition], str] = {
    Tenant: "tenant",
    Source: "source",
    EventType: "event type",
    Sequence: "sequence",
    SessionView: "session view",
    ObjectView: "object view",
    TrainingSet: "training set",
}


def label(definition: Definition) -> str:
    """``event type 'click'``."""
    return f"{kind_of(definition)} {definition.name!r}"


def listed(names: Iterable[str]) -> str:
    """Quoted names, sorted and cut to a readable number."""
    known = sorted(set(names))
    shown = ", ".join(repr(name) for name in known[:SHOWN_NAMES])
    return f"{shown} and {len(known) - SHOWN_NAMES} more" if len(known) > SHOWN_NAMES else shown


def excerpt(text: str, most_chars: int) -> str:
    """A text of somebody's in quotes, cut to so many characters."""
    return repr(text if len(text) <= most_chars else f"{text[:most_chars]}...")


def define(model: str, name: str) -> str:
    """What to write where a name is to be defined; of most models more is needed than it."""
    return f"define {model}(name={name!r}, {f'tenant={name!r}' if model == Tenant.__name__ else '...'})"


def instead(name: str, known: Iterable[str], otherwise: str) -> str:
    """The fix for a name that resolves to nothing: the nearest known one, else those there are, else ``otherwise``."""
    options = sorted(set(known))
    if close := get_close_matches(name, options, n=1) or [option for option in options if name in option]:
        return f"did you mean {close[0]!r}? Otherwise {otherwise}"
    some = listed(options) if len(options) == 1 else f"one of {listed(options)}"
    return f"use {some}, or {otherwise}" if options else otherwise

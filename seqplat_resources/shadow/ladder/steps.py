"""The steps of the ladder, and how many users each gives to us."""

from dataclasses import dataclass
from typing import Final

from seqplat_resources.shadow.routing import WHOLE
from sequence_defs.schema.base import Stage


@dataclass(frozen=True)
class Rung:
    """``share``: users of 10,000 whose events are ours. From one that ``is_gated`` a passing verdict leads up."""

    name: str
    share: int
    is_gated: bool


STEPS: Final = (
    Rung("legacy", 0, is_gated=False),
    Rung("shadow", 0, is_gated=True),
    Rung("ab_1", WHOLE // 100, is_gated=True),
    Rung("ab_10", WHOLE // 10, is_gated=True),
    Rung("ab_50", WHOLE // 2, is_gated=True),
    Rung("live", WHOLE, is_gated=True),
    Rung("retired", WHOLE, is_gated=False),
)
_BY_NAME: Final = {step.name: place for place, step in enumerate(STEPS)}


def step(name: str) -> Rung:
    """
    Raises:
        KeyError: the ladder has no such step.
    """
    return STEPS[_BY_NAME[name]]


def above(name: str) -> Rung | None:
    """The step after; None at the top."""
    place = _BY_NAME[name] + 1
    return STEPS[place] if place < len(STEPS) else None


def below(name: str) -> Rung | None:
    """The step before; None at the bottom."""
    place = _BY_NAME[name] - 1
    return STEPS[place] if place >= 0 else None


def is_lower(one: str, other: str) -> bool:
    """Whether ``one`` stands below ``other``."""
    return _BY_NAME[one] < _BY_NAME[other]


def first_step(lifecycle: Stage) -> Rung:
    """Where an event type stands that nobody moved yet: what is live already is not taken back by comparing it."""
    if lifecycle == "draft":
        return step("legacy")
    return step("shadow") if lifecycle == "shadow" else step("live")

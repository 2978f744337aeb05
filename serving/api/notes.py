"""What handlers tell about the request they answer; counted once the answer is sent, so a handler pays for a store."""

from litestar.types import Scope

PROBLEM, ANSWER = "seqplat.problem", "seqplat.answer"


def note_problem(scope: Scope, kind: str) -> None:
    """The request is answered with a problem: the last word of its ``type``, or ``http-404`` where HTTP names it."""
    scope["state"][PROBLEM] = kind


def note_answer(scope: Scope, *, events: int, corrupt_blocks: int = 0, degraded: bool = False) -> None:
    """The request is answered with sequences, of ``events`` together; ``corrupt_blocks`` of them were left out."""
    scope["state"][ANSWER] = (events, corrupt_blocks, degraded)

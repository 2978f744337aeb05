"""What a look at one part of a deployment found, and how looks are taken: all at once, each within a time.

A part that is broken must not keep the others from being looked at, nor hang the command: every look has a thread of
its own that nobody waits for longer than the patience there is.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from seqplat_resources.errors import SeqplatError
from seqplat_resources.foreign_errors import in_our_words

Status: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Diagnosis:
    """One line: which part, how it is, what was seen, and what to do where it is not well."""

    part: str
    status: Status
    said: str
    fix: str = ""


@dataclass(frozen=True)
class Deployment:
    """What a deployment is told by: its environment, and what only the command line says."""

    environment: Mapping[str, str]
    definitions: str
    api: str = ""


Look: TypeAlias = Callable[[Deployment], Iterator[Diagnosis]]


@dataclass
class _Taken:
    """A look under way: what it found so far, until it is done."""

    part: str
    found: list[Diagnosis] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def take(self, look: Look, deployment: Deployment) -> None:
        try:
            for finding in look(deployment):
                self.found.append(finding)
        except BaseException as error:  # of whatever is broken there; a panic of Polars is no Exception
            self.found.append(Diagnosis(self.part, "fail", _told(error)))
        finally:
            self.done.set()


def looked(looks: Mapping[str, Look], deployment: Deployment, *, patience_s: float) -> Iterator[Sequence[Diagnosis]]:
    """What each look found, in their order, as soon as it is known; one that takes too long is told as that."""
    taken = [_Taken(part) for part in looks]
    for each, look in zip(taken, looks.values(), strict=True):
        threading.Thread(target=each.take, args=(look, deployment), name=f"doctor-{each.part}", daemon=True).start()
    until = time.monotonic() + patience_s
    for each in taken:
        is_done, found = each.done.wait(max(0.0, until - time.monotonic())), list(each.found)
        if not is_done:
            late = f"no answer within {patience_s:g} s"
            found.append(Diagnosis(each.part, "fail", late, "see whether it is there, or wait longer with --seconds"))
        yield found


def _told(error: BaseException) -> str:
    told = in_our_words(error) or error
    return str(told) if isinstance(told, SeqplatError) else f"{type(told).__name__}: {told}"

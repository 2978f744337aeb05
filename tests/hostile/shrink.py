"""Make a failing story small: leave out steps for as long as it still fails in the same way."""

import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

# Of ``("first words: more", ...)``, also where pytest wrote the message anew.
_FIRST_WORDS = re.compile(r"\(?['\"]?([^:'\"\n]*)")
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """``kind`` is the same for failures of one cause, as far as one can tell; ``text`` is for people."""

    kind: str
    text: str


def tried(play: Callable[[Sequence[T]], object], steps: Sequence[T]) -> Failure | None:
    """Play the steps; what went wrong, if anything did. A native panic is no ``Exception``, and counts."""
    try:
        play(steps)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return _failure(error)
    return None


def _failure(error: BaseException) -> Failure:
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, AssertionError):
        what = _FIRST_WORDS.match(str(error))
        return Failure(f"wrong {what[1].split(' is ')[0][:60] if what else 'assertion'}", text[:2000])
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/tests/" not in frame.filename and "site-packages" not in frame.filename]
    where = ours[-1] if ours else frames[-1]
    name = "/".join(where.filename.split("/")[-2:])
    return Failure(f"{type(error).__name__} in {name} {where.name}", f"{text[:1000]} ({name}:{where.lineno})")


def shrunk(
    play: Callable[[Sequence[T]], object], steps: Sequence[T], failure: Failure, *, seconds: float = 60.0
) -> tuple[list[T], Failure]:
    """Fewer steps that fail alike, by leaving out ever smaller pieces, within the time given."""
    until, size, steps = time.monotonic() + seconds, max(1, len(steps) // 2), list(steps)
    while True:
        start, smaller = 0, False
        while start < len(steps):
            if time.monotonic() > until:
                return steps, failure
            fewer = [*steps[:start], *steps[start + size :]]
            found = tried(play, fewer) if fewer else None
            if found is not None and found.kind == failure.kind:
                steps, failure, smaller = fewer, found, True
            else:
                start += size
        if size == 1 and not smaller:
            return steps, failure
        size = max(1, size // 2)

"""A micro-batch that raises, taken apart: messages nothing can be made of are found alone, all others go on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from seqplat_resources.errors import Final, Retryable
from seqplat_resources.online_store.errors import InvalidKeyError, UnencodableEventsError
from seqplat_resources.sources.log import LogBatch
from seqplat_resources.values.isolation import RAISED_BY_VALUES, isolated

Made = TypeVar("Made")

# Messages looked at together: where all of them are bad, finding that out takes some ten seconds.
SLICE = 1 << 10

# Errors of ours that a message's values may be to blame for.
_OF_VALUES = (UnencodableEventsError, InvalidKeyError)


class StreamInterrupted(Retryable):
    """The machine, not a message, kept a batch from being made: no memory, no file, no network."""


class CannotBeShown(ValueError):
    """One of ``_OF_VALUES``, in a form that isolation takes for the message's fault."""


@dataclass(frozen=True)
class MessagePiece(Generic[Made]):
    """Messages in the order of the batches, with what was made of them; None of one message, for the ``reason``."""

    batches: Sequence[LogBatch]
    made: Made | None
    reason: str = ""

    @property
    def place(self) -> str:
        """Of its first message."""
        return f"{self.batches[0].partition}@{self.batches[0].offsets[0]}"


def is_of_values(error: BaseException) -> bool:
    """Whether a batch that raised this may go through without some of its messages."""
    if isinstance(error, (Final, Retryable)):
        return isinstance(error, _OF_VALUES)
    return isinstance(error, RAISED_BY_VALUES) and not isinstance(error, (OSError, MemoryError))


def pieces(batches: Sequence[LogBatch], make: Callable[[Sequence[LogBatch]], Made]) -> Iterator[MessagePiece[Made]]:
    """All messages of the batches, once and in order, in as few pieces as go through ``make``, which is pure.

    Raises:
        StreamInterrupted, and whatever ``make`` raises on no messages at all: then none is to blame.
    """
    messages = sum(map(len, batches))
    for start in range(0, messages, SLICE):
        found: dict[int, MessagePiece[Made]] = {}

        def step(numbers: pl.DataFrame, found: dict[int, MessagePiece[Made]] = found) -> pl.DataFrame:
            first = numbers.item(0, 0) if numbers.height else 0
            part = _part(batches, first, first + numbers.height)
            made = _attempted(part, make)
            if part:
                found[first] = MessagePiece(part, made)
            return numbers

        numbers = pl.DataFrame({"number": range(start, min(start + SLICE, messages))})
        for place, reason in isolated(numbers, step).failed.items():
            found[start + place] = MessagePiece(_part(batches, start + place, start + place + 1), None, reason)
        yield from (found[first] for first in sorted(found))


def _attempted(part: Sequence[LogBatch], make: Callable[[Sequence[LogBatch]], Made]) -> Made:
    try:
        return make(part)
    except _OF_VALUES as error:
        raise CannotBeShown(str(error)) from error
    except (OSError, MemoryError) as error:
        raise StreamInterrupted(
            f"{type(error).__name__}: {error}, while {sum(map(len, part))} message(s) were made into events; "
            "see that the machine has memory, disk and network"
        ) from error


def _part(batches: Sequence[LogBatch], first: int, end: int) -> list[LogBatch]:
    """Messages ``first`` up to, not including, ``end``, counted through all batches."""
    part, before = list[LogBatch](), 0
    for batch in batches:
        start, stop = max(0, first - before), min(len(batch), end - before)
        before += len(batch)
        if start < stop:
            offsets = batch.offsets[start:stop]
            next_offset = batch.next_offset if stop == len(batch) else offsets[-1] + 1
            stamps, values = batch.timestamps_ms[start:stop], batch.values[start:stop]
            part.append(LogBatch(batch.partition, offsets, stamps, values, next_offset))
    return part

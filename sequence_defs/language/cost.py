"""How many nodes an SQL text becomes, estimated from its words before anything parses it.

Polars writes an argument of some calls several times, and the operands of BETWEEN and IN: of calls within each other
that is a power, which parser, typing and engine take long to come to the end of. An estimate may be too large by a
small factor, and is never too small by more.
"""

from dataclasses import dataclass

# XOR is none: it binds closer than BETWEEN and IN, which write again all that stands before them.
_SEPARATORS = frozenset({",", "and", "or", "when", "then", "else", "from", "order", "partition"})
# Where all there is in a list is of these, it is one literal.
_CONSTANT = frozenset({"null", "true", "false", "date", "timestamp", "timestamptz", "time"})
# What stands in brackets is looked at four times, as a place in a list is counted from either end.
_OPENING = {"(": 1, "[": 4, "{": 4, "case": 1}
_CLOSING = frozenset({")", "]", "}", "end"})


@dataclass
class _Part:
    """What is open: ``nodes`` so far, of them ``operand`` since the last separator. ``repeated`` is written once more
    for every branch of a CASE, and ``asked`` for every item of the list behind IN. Of so many BETWEEN as ``bounds`` the
    AND has yet to come.
    """

    weight: int
    nodes: int = 0
    operand: int = 0
    repeated: int | None = None
    asked: int = 0
    bounds: int = 0
    items: int = 1
    is_constant: bool = True

    @property
    def is_literal(self) -> bool:
        """A list of constants is one node."""
        return self.is_constant and self.items > 1

    @property
    def all(self) -> int:
        return 1 if self.is_literal else self.nodes + self.operand


class Cost:
    """Words are added one after the other; ``depth`` is what is open now, ``nodes`` what is closed so far."""

    def __init__(self) -> None:
        self._open = [_Part(1)]
        self._weight: int | None = None

    @property
    def depth(self) -> int:
        return len(self._open) - 1

    @property
    def nodes(self) -> int:
        return max(part.all for part in self._open)

    def add(self, kind: str, word: str, weight: int | None) -> None:
        """``word`` in small letters, of words and signs; ``weight`` is that of a call, whose parenthesis follows."""
        part = self._open[-1]
        if word == "and" and part.bounds:
            part.bounds -= 1  # within one operand, which may go on and be the left side of another BETWEEN
        elif word in _SEPARATORS:
            self._separate(part, word)
        if weight is not None:
            self._weight = weight
        if word in _OPENING:
            self._open.append(_Part((self._weight or 1) * _OPENING[word] if word != "case" else 2))
            self._weight = None
        elif word in _CLOSING:
            self._close()
        elif word in ("between", "in"):
            part.asked, part.bounds = (part.operand, part.bounds) if word == "in" else (0, part.bounds + 1)
            part.operand *= 2
        elif kind in ("text", "number", "name", "word", "call", "step"):
            part.operand += 1
            part.is_constant &= kind in ("text", "number") or word in _CONSTANT or (kind == "step" and not word)

    def _separate(self, part: _Part, word: str) -> None:
        if word == "when":
            part.repeated = part.all if part.repeated is None else part.repeated
            part.operand += part.repeated
        part.items += word == ","
        part.nodes, part.operand = part.all, 0

    def _close(self) -> None:
        if len(self._open) == 1:
            return  # the parser says so
        part, within = self._open.pop(), self._open[-1]
        within.operand += 1 + part.weight * part.all + (0 if part.is_literal else within.asked * part.items)
        within.asked = 0
        within.is_constant &= part.is_constant

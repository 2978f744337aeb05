"""What whoever asks may see of an explanation: values of personal data never without a grant, and of columns that are
not theirs not even the names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.compiler.release import Release
from sequence_defs.schema import EventType, Source

HIDDEN = "(hidden)"

_OF_COLUMN = re.compile(r"column ([^\s:]+): ")
_VALUE = re.compile(r"(column [^\s:]+: ).*( is not \S+)$", re.DOTALL)


@dataclass(frozen=True)
class Sight:
    """``is_whole``: every column of the sequence is theirs, but for personal data that was not granted.

    ``columns`` are, by event type of the sequence, the event columns they see in answers. Of other event types they see
    no values, unless they may look ``inside``; and of ``lent`` ones, which are another tenant's, no more than those.
    """

    is_whole: bool
    columns: Mapping[str, frozenset[str]]
    inside: bool = False
    lent: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: SequencePlan, release: Release, *, inside: bool = False) -> "Sight":
        """What the plan made for a caller lets them see."""
        declared = release.sequence_columns(plan.definition.name)
        plain = [out for out, by_type in declared.items() if not any(column.pii for column in by_type.values())]
        columns = {
            name: frozenset(by_out[o].name for o in plan.columns if o in by_out)
            for name, by_out in plan.sources.items()
        }
        owner = plan.definition.tenant
        lent = frozenset(name for name in plan.sources if release.event_types[name].tenant != owner)
        return cls(all(out in plan.columns for out in plain), columns, inside, lent)

    def may_see(self, event_type: str, source: Source, name: str) -> bool:
        """Whether the values of a raw column may be shown."""
        column = next((column for column in source.columns if column.name == name), None)
        is_pii = column is not None and column.pii
        return (self._is_theirs(event_type) and not is_pii) or name in self.columns.get(event_type, ())

    def sees_rows(self, event_type: str, source: Source) -> bool:
        """Whether a raw row may be shown as it came: only where nothing in it is personal."""
        return self._is_theirs(event_type) and not any(column.pii for column in source.columns)

    def _is_theirs(self, event_type: str) -> bool:
        return self.is_whole and (self.inside or (event_type in self.columns and event_type not in self.lent))

    def values(self, event_type: str, source: Source, row: Mapping[str, Any]) -> dict[str, str]:
        """Raw values as text, those that may be shown; of a caller with fewer columns not even the names of others."""
        shown = {name: repr(value) if self.may_see(event_type, source, name) else HIDDEN for name, value in row.items()}
        return shown if self._is_theirs(event_type) else {name: text for name, text in shown.items() if text != HIDDEN}

    def expression(self, event_type: EventType, source: Source, text: str, names: list[str]) -> str:
        """A filter's text, unless it names columns that are not theirs."""
        if self._is_theirs(event_type.name) or all(self.may_see(event_type.name, source, name) for name in names):
            return text
        return "a condition on columns that you may not see"

    def reason(self, event_type: str, source: Source, text: str) -> str:
        """Why a row was refused, without a value that may not be shown."""
        if self.sees_rows(event_type, source):
            return text
        is_theirs = self._is_theirs(event_type)
        if named := _OF_COLUMN.search(text):
            if self.may_see(event_type, source, named[1]):
                return text
            return _VALUE.sub(rf"\1{HIDDEN}\2", text) if is_theirs else "a column that you may not see does not fit"
        if is_theirs and text.startswith(("event_time: ", "ingest_time: ")):
            return text
        return f"{text.partition(': ')[0]}: {HIDDEN}"  # of an executor's error nobody knows what it quotes

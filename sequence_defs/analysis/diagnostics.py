"""What static analysis says: one finding, with where it is and how to mend it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sequence_defs.compiler.project import Project
from sequence_defs.schema import Location

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Diagnostic:
    """One finding. Errors stop a publish, warnings do not."""

    rule: str
    severity: Severity
    where: Location
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.severity} {self.rule}: {self.message}\n    fix: {self.fix}"


@dataclass(frozen=True)
class Finding:
    """What a rule yields; its id and severity come from the rule's registration."""

    where: Location
    message: str
    fix: str


Check = Callable[[Project], Iterator[Finding]]


@dataclass(frozen=True)
class Rule:
    """A registered check. ``title`` is the one line shown in the rule list."""

    id: str
    severity: Severity
    title: str
    check: Check


RULES: dict[str, Rule] = {}


def rule(id: str, severity: Severity, title: str) -> Callable[[Check], Check]:
    """Register a check under a stable id (``SP101``); a second use of an id refuses to import."""

    def register(check: Check) -> Check:
        if id in RULES:
            raise ValueError(f"rule id {id} is taken by {RULES[id].check.__name__}; give {check.__name__} another")
        RULES[id] = Rule(id, severity, title, check)
        return check

    return register

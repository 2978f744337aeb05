"""Run every rule over a project and report every finding, in file order.

>>> from sequence_defs.schema import Sequence
>>> basket = Sequence(name="basket", tenant="shop", owner="team:shop", event_types=("purchace",), columns=("amount",))
>>> for finding in analyse(Project((basket,)))[:2]:
...     print(finding.rule, finding.severity, finding.message)
...
SP102 error tenant 'shop' of sequence 'basket' is not defined
SP106 error sequence 'basket' takes events of type 'purchace', which is not defined
"""

from collections.abc import Iterable

from sequence_defs.analysis.diagnostics import RULES, Diagnostic
from sequence_defs.analysis.rules import (  # noqa: F401  (importing a module of rules registers them)
    collapse,
    cost,
    fields,
    identity,
    lifecycle,
    services,
    sql,
    streams,
    time,
    training,
    types,
    views,
)
from sequence_defs.analysis.rules.legacy import (
    arms,  # noqa: F401
    experiments,  # noqa: F401
    replays,  # noqa: F401
    tolerances,  # noqa: F401
)
from sequence_defs.analysis.rules.legacy import events as legacy_events  # noqa: F401
from sequence_defs.analysis.rules.legacy import sequences as legacy_sequences  # noqa: F401
from sequence_defs.analysis.rules.names import (  # noqa: F401  (importing a module of rules registers them)
    collisions,
    columns,
    definitions,
    sharing,
)
from sequence_defs.compiler.discover import LoadError
from sequence_defs.compiler.project import Project

# Not in RULES: it judges files that gave no definitions a rule could look at.
LOAD_RULE = "SP001"


def analyse(project: Project, load_errors: Iterable[LoadError] = ()) -> list[Diagnostic]:
    """All findings of all rules, and what did not load, by file, line and rule. A rule never stops another one."""
    findings = [
        Diagnostic(rule.id, rule.severity, finding.where, finding.message, finding.fix)
        for rule in RULES.values()
        for finding in rule.check(project)
    ]
    return sorted(
        [*load_findings(load_errors), *findings], key=lambda d: (d.where.file, d.where.line, d.rule, d.message)
    )


def load_findings(errors: Iterable[LoadError]) -> list[Diagnostic]:
    """What could not be loaded, as findings."""
    fix = "mend it and check again: names it defines may be reported as unknown until then"
    return [Diagnostic(LOAD_RULE, "error", error.where, error.message, fix) for error in errors]

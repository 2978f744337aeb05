"""Run every rule over a project and report every finding, in file order."""

from sequence_defs.analysis import rules_cost, rules_lifecycle, rules_reference, rules_types  # noqa: F401  (registration)
from sequence_defs.analysis.diagnostics import RULES, Diagnostic
from sequence_defs.compiler.project import Project


def analyse(project: Project) -> list[Diagnostic]:
    """All findings of all rules, ordered by file, line and rule. A rule never stops another one."""
    findings = [
        Diagnostic(rule.id, rule.severity, finding.where, finding.message, finding.fix)
        for rule in RULES.values()
        for finding in rule.check(project)
    ]
    return sorted(findings, key=lambda d: (d.where.file, d.where.line, d.rule, d.message))

"""The rules as a page of the documentation: ``python -m sequence_defs.analysis.catalogue > docs/rules.md``."""

import sys

from sequence_defs.analysis.diagnostics import RULES, Rule
from sequence_defs.analysis.runner import LOAD_RULE

_HEAD = f"""# Rules of static analysis

`seqplat check` reports every finding of these rules in one run, as `file:line: severity rule: message` and a fix.
Errors stop a publish, warnings do not. A rule looks at the definitions alone and never at data.

This page is generated from the rules: `python -m sequence_defs.analysis.catalogue > docs/rules.md`.

| Rule | Severity | What holds | Why |
|---|---|---|---|
| {LOAD_RULE} | error | definitions load | A file that does not import declares nothing that could be checked. |
"""


def page() -> str:
    """The whole page, rules in the order of their ids; the reason is the first paragraph of a rule's docstring."""
    return _HEAD + "".join(map(_row, sorted(RULES.values(), key=lambda rule: rule.id)))


def _row(rule: Rule) -> str:
    """With a name that other pages link to."""
    reason = _reason(rule.check.__doc__ or "")
    return f'| <a id="{rule.id.lower()}"></a>{rule.id} | {rule.severity} | {rule.title} | {reason} |\n'


def _reason(docstring: str) -> str:
    paragraph = docstring.strip().split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())

"""The example of docs/migration.md is sound, and the mistake it shows gets the findings it shows."""

import re
from pathlib import Path

from sequence_defs.analysis.diagnostics import Diagnostic
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(SHOWN,) = re.findall(r"```\n(shop\.py.*?)```", PAGE, re.DOTALL)
MISTAKES = {
    'field="usd", absolute': 'field="cents", absolute',
    '"price": Compared(field="paid")': '"prize": Compared()',
}


def findings(folder: Path, text: str) -> list[Diagnostic]:
    (folder / "shop.py").write_text(text)
    found = discover(str(folder / "shop.py"))
    return analyse(Project(found.definitions, {"declarative": "0" * 16}), found.errors)


def test_the_example_has_no_findings_and_its_mistake_has_those_that_are_shown(tmp_path: Path) -> None:
    assert findings(tmp_path, EXAMPLE) == []
    text = EXAMPLE
    for right, wrong in MISTAKES.items():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    found = findings(tmp_path, text)
    without_lines = re.sub(r"shop\.py:\d+: ", "", SHOWN)
    assert [f"{d.severity} {d.rule}: {d.message}\n    fix: {d.fix}" in without_lines for d in found] == [True, True]
    assert without_lines.endswith(f"{len(found)} error(s), 0 warning(s)\n")

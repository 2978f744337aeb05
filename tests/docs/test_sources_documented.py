"""The examples of docs/sources.md load and have no finding of how they are read."""

import re
from pathlib import Path

import polars as pl
import pytest

from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import expression
from sequence_defs.language.tokens import MAX_DEPTH, MAX_STEPS

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_sound(example: str, tmp_path: Path) -> None:
    (tmp_path / "defs.py").write_text(example)
    found = discover(str(tmp_path / "defs.py"))
    assert (found.errors, len(found.definitions)) == ((), 1)
    about_others = {"SP102", "SP107", "SP501", "SP502", "SP503"}  # no tenant, owner or event type is in it
    assert {finding.rule for finding in analyse(Project(found.definitions))} <= about_others


def test_what_is_said_of_numbers_is_so() -> None:
    nan = float("nan")
    rows = pl.DataFrame(
        {"v": [nan, 1.0, -1.0, float("inf")], "i": [2**63 - 1] * 4, "r": pl.Series([0.1] * 4, dtype=pl.Float32)}
    )

    def value(sql: str) -> list[object]:
        return rows.select(expression(sql).alias("value"))["value"].to_list()

    assert value("v > 0") == [True, True, False, True]
    assert value("v = v") == [True] * 4
    assert value("v < CAST('Infinity' AS DOUBLE)") == [False, True, True, False]
    assert rows["v"].sort().to_list()[:3] == [-1.0, 1.0, float("inf")]
    assert value("i + 1")[0] == -(2**63)
    assert value("CAST(i AS DOUBLE) + 1.0")[0] == 2.0**63
    assert (value("r = 0.1")[0], value("r IN (0.1)")[0]) == (True, False)
    assert f"have {MAX_STEPS} operators and be nested {MAX_DEPTH} deep" in PAGE

"""`make demo-migration` walks all the way, and docs/migration.md shows what it says."""

import ast
import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from examples.migration.shell import ClaimFalse, Shell
from examples.migration.walk import installed, walk

ROOT = Path(__file__).parents[2]
JOB = ROOT / "examples" / "legacy_job" / "nightly.py"
PAGE = (ROOT / "docs" / "migration.md").read_text()
(TOLD,) = re.findall(r"<!-- walk -->\n(.*?)<!-- end of the walk -->", PAGE, re.DOTALL)
ELLIPSIS = "..."


def test_the_old_job_is_independent() -> None:
    nodes = list(ast.walk(ast.parse(JOB.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported == {"datetime", "pathlib", "polars", "sys"}


def test_the_demo_leaves_alone_what_is_none_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ClaimFalse, match="is not empty and is none of this demo's folders"), installed(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_the_walk_comes_to_its_end_and_the_page_shows_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    shell, folder = Shell(StringIO()), tmp_path / "demo"

    walk(shell, folder)

    said = [plain(line, folder) for line in shell.lines]
    assert list(missing(said, folder)) == [], "docs/migration.md shows lines that the demo does not say"


def missing(said: list[str], folder: Path) -> Iterator[str]:
    """Lines of the page that are not said, or not after those before them in the output of their command."""
    shown = [line for line in TOLD.splitlines() if line.startswith("    ") and line.strip() != ELLIPSIS]
    commands = [line for line in shown if line.startswith("    $ seqplat")]
    assert len(commands) > 15
    at = 0
    for line in shown[1:]:  # the first is how the demo is started
        text = plain(line, folder)
        at = 0 if line.startswith("    $ ") else at
        if text not in said[at:]:
            yield text
        else:
            at = said.index(text, at) + 1


def plain(line: str, folder: Path) -> str:
    """Without what is another one every time: how long it took, which release, today, and how wide columns are."""
    line = line.replace(str(folder), ".seqplat-migration").replace(sys.prefix, "")
    line = re.sub(r"\b\d+\.\d s\b", "T s", line)
    line = re.sub(r"\b[0-9a-f]{12}\b", "RELEASE", line)
    line = re.sub(r"\b20(?!17)\d\d-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", "TODAY", line)
    return " ".join(line.split())
